"""What risk needs filled: WeChat's own opinion of a shopper."""

from typing import Protocol

from app.identity.interfaces import AppCredentials


class RankUnknown(Exception):
    """WeChat gave no rank in time, or refused; the message says why, without personal data."""


class RiskRanks(Protocol):
    """Asks for risk ranks; never inside a transaction, and never longer than 300 ms (contract 13.6)."""

    def rank(self, app: AppCredentials, *, openid: str, address: str) -> int:
        """Return the rank of somebody who draws now, 0 (fine) to 4; raise RankUnknown."""
