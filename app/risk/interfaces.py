"""What risk needs filled: WeChat's own opinion of a shopper, and the checking of captchas."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.identity.interfaces import AppCredentials


class RankUnknown(Exception):
    """WeChat gave no rank in time, or refused; the message says why, without personal data."""


class RiskRanks(Protocol):
    """Asks for risk ranks; never inside a transaction, and never longer than 300 ms (contract 13.6)."""

    def rank(self, app: AppCredentials, *, openid: str, address: str) -> int:
        """Return the rank of somebody who draws now, 0 (fine) to 4; raise RankUnknown."""


class Finding(StrEnum):
    """What came of asking about a ticket.

    passed: somebody has solved a captcha. refused: the ticket is no good. doubtful: refused in a way that a
    wrong captcha app or key of ours explains as well. unknown: no answer that counts; ask again. broken: our
    account, keys or package do not allow the question.
    """

    PASSED = "passed"
    REFUSED = "refused"
    DOUBTFUL = "doubtful"
    UNKNOWN = "unknown"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """A finding and the platform's own code for it, for logs and alerts; nothing of the ticket."""

    finding: Finding
    reason: str = ""


class Captchas(Protocol):
    """Asks the captcha platform about tickets; never inside a transaction, and never longer than 3 s."""

    @property
    def app_id(self) -> int:
        """The captcha app that the mini-program opens."""

    def check(self, ticket: str, *, address: str) -> Check:
        """Return what the platform says of a ticket; `address` is that of the shopper. Raises nothing.

        A ticket is good for one question: a second one is refused, whoever asks it.
        """
