"""Refusals of reconciliation."""

from app.kernel.errors import Malformed, NotFound, Refused


class BadDay(Malformed):
    """The day cannot be reconciled: it is not over, or its bill is not to be had."""

    code = "bad_day"
    title = "This day cannot be reconciled"


class BadStatement(Refused):
    """The bill contradicts itself or cannot be read: nothing was taken from it."""

    code = "bad_statement"
    title = "The bill of WeChat Pay cannot be used"


class DayNotReady(Refused):
    """A file of the day, or the day before it, is still missing."""

    code = "day_not_ready"
    title = "The day cannot be closed yet"


class UnknownDay(NotFound):
    """The day has not been reconciled."""

    code = "unknown_day"
    title = "This day has not been reconciled"


class UnknownDifference(NotFound):
    """There is no such difference."""

    code = "unknown_difference"
    title = "There is no such difference"


class TooManyLines(Refused):
    """A spreadsheet cannot hold all of it."""

    code = "too_many_lines"
    title = "This does not fit into one sheet"
