"""What the trace room refuses, each with a stable code."""

from app.kernel.errors import Conflict, Malformed, NotFound, Refused


class InvalidEvent(Malformed):
    """What is said does not make an event."""

    code = "invalid_event"


class UnreadableFile(Malformed):
    """The file is not of the form that an import reads."""

    code = "unreadable_file"


class UnknownEvent(NotFound):
    """There is no event with this id."""

    code = "unknown_event"


class UnknownDiversion(NotFound):
    """There is no case of diversion with this id."""

    code = "unknown_diversion"


class InvalidDecision(Malformed):
    """A case is decided with a reason."""

    code = "invalid_decision"


class EventIdTaken(Conflict):
    """Another event has this id: an event is never changed, only declared wrong."""

    code = "event_id_taken"
    title = "Another event has this id"


class AlreadyDeclared(Conflict):
    """The event was declared wrong before, in other words."""

    code = "already_declared"
    title = "This event has been declared wrong"


class ImportBusy(Conflict):
    """Another process imports the same file."""

    code = "import_busy"
    title = "This file is being imported"


class WrongLevel(Refused):
    """A package holds only what is of a lower level: pallets hold cases, cases hold items."""

    code = "wrong_level"


class AlreadyPacked(Refused):
    """A code lies in one package at a time."""

    code = "already_packed"


class NotPacked(Refused):
    """The code lies in no package."""

    code = "not_packed"


class UnevenPackaging(Malformed):
    """The contents cannot be shared out evenly over the packages."""

    code = "uneven_packaging"
