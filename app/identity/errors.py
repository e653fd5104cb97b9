"""Refusals of the identity room."""

from app.kernel.errors import Conflict, Forbidden, Malformed, NotFound, Refused, Unauthenticated


class UnknownPerson(NotFound):
    """There is no such person."""

    code = "unknown_person"


class UnknownMerge(NotFound):
    """There is no such merge."""

    code = "unknown_merge"


class UnknownConflict(NotFound):
    """There is no such conflict."""

    code = "unknown_conflict"


class UnknownIdentifier(NotFound):
    """There is no such identifier."""

    code = "unknown_identifier"


class SessionEnded(Unauthenticated):
    """The session is unknown, over or revoked: log in again."""

    code = "session_ended"
    title = "The session has ended"


class InvalidToken(Unauthenticated):
    """The token was not made here, was altered or is too old: log in again."""

    code = "invalid_token"
    title = "The token is not valid"


class UnusableIdentifier(Malformed):
    """The record shows no identifier that could stand for anybody."""

    code = "unusable_identifier"


class VirtualPerson(Forbidden):
    """A virtual account belongs to nobody: open the mini-program itself and log in there."""

    code = "virtual_person"
    title = "Open the mini-program itself first"


class AlreadyMerged(Conflict):
    """The two are one person already."""

    code = "already_merged"


class AlreadyUnmerged(Conflict):
    """The merge has been taken back already."""

    code = "already_unmerged"


class MergeRefused(Refused):
    """Something that nobody has acknowledged speaks against making the two one; `against` names it all, and
    `seen` stands for what there is on both sides."""

    code = "merge_refused"
    title = "Something speaks against making these two one"


class NotWhatWasSeen(MergeRefused):
    """What speaks against it was acknowledged, but of something else than what there is now."""

    code = "not_what_was_seen"


class ConflictDecided(Conflict):
    """Somebody has decided this conflict, or it has lapsed."""

    code = "conflict_decided"


class AlreadyDemoted(Conflict):
    """The identifier has no say already, by rule or by hand."""

    code = "already_demoted"


class DemotionRefused(Refused):
    """Open conflicts rest on this kind, so the demotion would answer them; `conflicts` names them."""

    code = "demotion_refused"


class ReinstateRefused(Refused):
    """Too many persons show the identifier, or its owner has too many of the kind; `against` names that."""

    code = "reinstate_refused"


class MoveRefused(Refused):
    """The identifier cannot go to its claimant."""

    code = "move_refused"


class InvalidRule(Malformed):
    """A rule that cannot be kept."""

    code = "invalid_rule"


class LinkOver(Refused):
    """The link to a service account is not ours, too old or used."""

    code = "link_over"
    title = "The link is over"


class AnotherWeChat(Refused):
    """Whoever opened the link is not the member who asked for it."""

    code = "another_wechat"
    title = "Another WeChat account"
