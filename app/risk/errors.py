"""Refusals of the risk room."""

from collections.abc import Sequence

from app.kernel.errors import Conflict, Malformed, NotFound, TooMany, Unavailable


class InvalidEntry(Malformed):
    """The entry cannot be put on a list as it is."""

    code = "invalid_list_entry"


class UnknownEntry(NotFound):
    """No such entry is on a list."""

    code = "unknown_list_entry"


class InvalidPolicy(Malformed):
    """A document of risk rules that cannot be read; `faults` lists everything that is wrong with it."""

    code = "invalid_risk_rules"
    title = "These risk rules cannot be read"

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(faults)[:1000])


class UnknownPolicy(NotFound):
    """There is no such version of risk rules."""

    code = "unknown_risk_rules"


class NotPublished(Conflict):
    """The published rules do not say that draws may be verified, held or refused."""

    code = "risk_not_published"
    title = "The published rules do not say so"


class CaptchaNotSetUp(Conflict):
    """Rules ask for a captcha, and this installation has no account to check one with."""

    code = "captcha_not_set_up"
    title = "No captcha can be checked here"


class TooManyCaptchas(TooMany):
    """The shopper has shown too many tickets that were no good."""

    code = "too_many_captchas"
    title = "Too many captchas that were not solved"


class CaptchaUnavailable(Unavailable):
    """Whether the captcha was solved is not known yet; the chance and the ticket are kept."""

    code = "captcha_unavailable"
    title = "The captcha could not be checked just now"
