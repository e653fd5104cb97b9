"""Refusals of the risk room."""

from app.kernel.errors import Malformed, NotFound


class InvalidEntry(Malformed):
    """The entry cannot be put on a list as it is."""

    code = "invalid_list_entry"


class UnknownEntry(NotFound):
    """No such entry is on a list."""

    code = "unknown_list_entry"
