"""Refusals of the organisation room."""

from app.kernel.errors import Conflict, Malformed, NotFound


class UnknownBrand(NotFound):
    """There is no such brand."""

    code = "unknown_brand"


class UnknownApp(NotFound):
    """No app of ours has this appid."""

    code = "unknown_app"


class UnknownDealer(NotFound):
    """There is no such dealer."""

    code = "unknown_dealer"


class UnknownStore(NotFound):
    """There is no such store."""

    code = "unknown_store"


class InvalidPlace(Malformed):
    """A dealer or a store cannot be made from this."""

    code = "invalid_place"


class StoreTaken(Conflict):
    """The store's code belongs to a store of another dealer."""

    code = "store_taken"
    title = "This store belongs to another dealer"


class BrandExists(Conflict):
    """Another brand has this slug."""

    code = "brand_exists"
    title = "There is such a brand already"


class InvalidSlug(Malformed):
    """A slug is not made of lower-case letters, digits and hyphens."""

    code = "invalid_slug"


class AppTaken(Conflict):
    """The appid is registered for another brand."""

    code = "app_taken"
    title = "This app belongs to another brand"
