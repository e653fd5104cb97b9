"""Refusals of the prize service."""

from app.kernel.errors import Conflict, Forbidden, NotFound, Refused


class UnknownAward(NotFound):
    """There is no such award, or it is somebody else's."""

    code = "unknown_award"
    title = "There is no such award"


class AlreadyAwarded(Conflict):
    """The draw has an award; there is never a second one."""

    code = "already_awarded"
    title = "This draw has been awarded"


class VirtualPerson(Forbidden):
    """A visitor without an identity of their own is never awarded anything (ID-22)."""

    code = "virtual_person"
    title = "Open the mini-program itself first"


class AwardHeld(Refused):
    """The award waits for a review."""

    code = "award_held"
    title = "This award is being reviewed"


class AwardRefused(Refused):
    """The review ended with a no."""

    code = "award_refused"
    title = "This award was refused"


class AwardLapsed(Refused):
    """Its time to be collected has ended."""

    code = "award_lapsed"
    title = "The time to collect this has ended"


class AlreadyFulfilled(Refused):
    """There is nothing left to collect."""

    code = "already_fulfilled"
    title = "This has been collected already"


class OpenElsewhere(Refused):
    """Its bill waits to be confirmed in another mini-program."""

    code = "open_elsewhere"
    title = "Confirm it where you began"


class PhoneWanted(Refused):
    """The campaign asks for the phone number before drawing, or before collecting; the shopper may decline.

    Contract 13.2: a prize must not be hidden behind it.
    """

    code = "phone_wanted"
    title = "The organiser asks for your phone number"


class NotDelivered(Refused):
    """The award does not get to its winner in this way."""

    code = "not_delivered"
    title = "It is not delivered like this"


class WayWanted(Refused):
    """Goods are not collected by a tap: the winner says where to send them, or shows a code in a store."""

    code = "way_wanted"
    title = "Say how you want to get it"


class DrawsWanted(Refused):
    """The award is unlocked by further draws, as its campaign has published; `missing` says how many."""

    code = "draws_wanted"
    title = "Scan and draw again to unlock this"


class HelpersWanted(Refused):
    """The award is unlocked by friends, as its campaign has published; `missing` says how many."""

    code = "helpers_wanted"
    title = "Friends must help to unlock this"
