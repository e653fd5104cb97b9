"""Reading products."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.catalogue.errors import UnknownProduct
from app.catalogue.models import Product


@dataclass(frozen=True, slots=True)
class ProductView:
    """A product as draws and shoppers see it; tags ascending."""

    id: int
    brand_id: int
    sku: str
    line: str
    name_zh: str
    name_en: str
    category: str | None
    spec: str | None
    tags: tuple[str, ...]
    origin: str | None


PRODUCT_COLUMNS = (
    Product.id,
    Product.brand_id,
    Product.sku,
    Product.line,
    Product.name_zh,
    Product.name_en,
    Product.category,
    Product.spec,
    Product.tags,
    Product.origin,
)
"""What `view_of_product` wants of a row, for statements that join products with something else."""

_PRODUCT = select(*PRODUCT_COLUMNS)
_BY_ID = _PRODUCT.where(Product.id == bindparam("wanted"))
_BY_BRAND = _PRODUCT.where(Product.brand_id == bindparam("wanted")).order_by(Product.sku)


def product(session: Session, *, product_id: int) -> ProductView:
    """Return a product; raise UnknownProduct. One prebuilt statement."""
    row = session.connection().execute(_BY_ID, {"wanted": product_id}).first()
    if row is None:
        raise UnknownProduct("there is no such product")
    return view_of_product(row)


def products(session: Session, *, brand_id: int) -> Sequence[ProductView]:
    """Return the products of a brand by SKU."""
    rows = session.connection().execute(_BY_BRAND, {"wanted": brand_id})
    return [view_of_product(row) for row in rows]


def view_of_product(row: Sequence[Any]) -> ProductView:
    """Return the product of a row of `PRODUCT_COLUMNS`."""
    values: Any = [*row[:-2], tuple(sorted(row[-2])), row[-1]]
    return ProductView(*values)
