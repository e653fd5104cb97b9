"""What reconciliation needs from WeChat Pay: the fund-flow bill of one account on one day, as a file.

And, from the few merchant numbers that may ask for it, what that account held when the day ended.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from app.payouts.interfaces import PayerCredentials


class AccountType(StrEnum):
    """The accounts of a merchant number; nobody guarantees which of them a transfer leaves (11.3)."""

    BASIC = "BASIC"
    OPERATION = "OPERATION"


class FetchOutcome(StrEnum):
    """What came of asking for a bill.

    loaded    the file is there and its digest is the one that was announced
    empty     nothing moved on that account on that day
    creating  the platform is still making it: ask again in half an hour
    retry     nobody knows: ask again
    refused   it will be refused until somebody changes something
    """

    LOADED = "loaded"
    EMPTY = "empty"
    CREATING = "creating"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class FetchAnswer:
    """The outcome; `sha1` is the hex digest of the uncompressed file, `size_bytes` its length.

    `code` is the platform's error code, or ours in lower case where it gave none; `message` is for an
    operator.
    """

    outcome: FetchOutcome
    sha1: str = ""
    size_bytes: int = 0
    code: str = ""
    message: str = ""


class StatementGateway(Protocol):
    """Fund-flow bills of WeChat Pay v3 (contract 11.1, 11.2). Never call it inside a transaction."""

    def fetch(self, payer: PayerCredentials, *, day: date, account: AccountType, into: Path) -> FetchAnswer:
        """Ask for the bill of `account` on Beijing day `day` and write it, verified, to `into`.

        The file appears whole or not at all, gzipped or plain as the platform sent it. Raises nothing for
        the platform's or the network's sake.
        """


class BalanceOutcome(StrEnum):
    """What came of asking for a balance.

    known      the platform has told it
    absent     no such account is open, or no balance of that day is kept
    forbidden  this merchant number may not ask
    retry      nobody knows: ask again
    refused    it will be refused until somebody changes something
    """

    KNOWN = "known"
    ABSENT = "absent"
    FORBIDDEN = "forbidden"
    RETRY = "retry"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class BalanceAnswer:
    """The outcome; `available_fen` can be spent, `pending_fen` not yet; the rest as in FetchAnswer."""

    outcome: BalanceOutcome
    available_fen: int = 0
    pending_fen: int = 0
    code: str = ""
    message: str = ""


class BalanceGateway(Protocol):
    """Balances of WeChat Pay v3 at a day's end (contract 11.4). Never call it inside a transaction."""

    def day_end(self, payer: PayerCredentials, *, day: date, account: AccountType) -> BalanceAnswer:
        """Ask what `account` held at the end of Beijing day `day`; raises nothing for the platform's sake."""
