"""Refusals of the members room."""

from app.kernel.errors import Conflict, Malformed, NotFound, Refused


class PolicyMissing(NotFound):
    """No privacy policy has been published, so nobody can agree to one."""

    code = "policy_missing"


class PolicyOutdated(Conflict):
    """The version agreed to is not the current one, which `current` names: show that one and ask again."""

    code = "policy_outdated"
    title = "The privacy policy has changed"


class PolicyExists(Conflict):
    """A version is published once and never changed."""

    code = "policy_exists"


class GuardianConsentRequired(Refused):
    """A child under 14 joins only with a guardian's consent (PIPL 31)."""

    code = "guardian_consent_required"
    title = "A guardian must agree first"


class NotAMember(Refused):
    """The person has not joined."""

    code = "not_a_member"
    title = "Only members can do this"


class InvalidTier(Malformed):
    """A tier is a short word."""

    code = "invalid_tier"


class InvalidMemberCode(Malformed):
    """The member code was not made here, was altered, or is too old."""

    code = "invalid_member_code"
    title = "The member code is not valid"


class UnknownPlacement(NotFound):
    """There is no such placement."""

    code = "unknown_placement"


class NumbersExhausted(Conflict):
    """No free number was found; the space is too full."""

    code = "numbers_exhausted"
