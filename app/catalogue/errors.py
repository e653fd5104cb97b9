"""Refusals of the catalogue."""

from app.kernel.errors import Conflict, NotFound


class UnknownProduct(NotFound):
    """There is no such product."""

    code = "unknown_product"


class ProductExists(Conflict):
    """The brand has a product with this SKU."""

    code = "product_exists"
    title = "There is such a product already"
