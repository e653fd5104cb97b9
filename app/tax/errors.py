"""Refusals of tax."""

from app.kernel.errors import Conflict, Forbidden, Malformed, Refused


class IdentityWanted(Refused):
    """The award is taxed and brings the year's total above what may be reported without a name.

    `over_fen` is that limit: show the notice, ask, collect again.
    """

    code = "identity_wanted"
    title = "Say who you are for the tax return first"


class BadIdentity(Refused):
    """No such document could have been issued; `field` says what is wrong."""

    code = "bad_identity"
    title = "This cannot be right"


class NoticeOutdated(Conflict):
    """The notice agreed to is not the current one: read it anew and ask again."""

    code = "notice_outdated"
    title = "The notice has changed"


class GuardianWanted(Forbidden):
    """Somebody under 14: a guardian settles it with the organiser (contract 14.2)."""

    code = "guardian_wanted"
    title = "A guardian must do this"


class IdentityKept(Refused):
    """The law asks that it is kept: taxed awards were collected with it."""

    code = "identity_kept"
    title = "This must be kept"


class BadMonth(Malformed):
    """No month is called that."""

    code = "bad_month"
    title = "This is not a month"


class MonthNotOver(Refused):
    """More tax may become due in it."""

    code = "month_not_over"
    title = "The month is not over"


class BadReference(Malformed):
    """A payment has the number of a tax return."""

    code = "bad_reference"
    title = "This cannot be a reference"


class NothingOwed(Refused):
    """No tax of the month is left to be paid."""

    code = "nothing_owed"
    title = "Nothing is owed"


class ReferenceUsed(Conflict):
    """A payment of the brand carries this reference already."""

    code = "reference_used"
    title = "This reference has been used"
