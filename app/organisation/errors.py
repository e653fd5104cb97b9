"""Refusals of the organisation room."""

from app.kernel.errors import Conflict, Malformed, NotFound, Unauthenticated


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


class InvalidApp(Malformed):
    """An app cannot be registered like this."""

    code = "invalid_app"


class InvalidMessageKeys(Malformed):
    """Token or EncodingAESKey are not what the platform's console gives."""

    code = "invalid_message_keys"


class ForgedMessage(Unauthenticated):
    """A message that the platform did not sign, or not for this app, or not now. It changes nothing."""

    code = "forged_message"
    title = "The message is not genuine"


class UnexpectedMessage(Malformed):
    """A genuine message that cannot be read."""

    code = "unexpected_message"
    title = "The message cannot be read"


class NothingPaused(Conflict):
    """No penalty of the platform pauses anything in this app."""

    code = "nothing_paused"
    title = "Nothing is paused in this app"
