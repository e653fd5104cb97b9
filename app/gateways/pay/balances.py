"""What an account held at a day's end: the BalanceGateway of reconciliation (platform contracts 11.4).

Written down by the platform for service providers and platforms only; direct merchants are told NO_AUTH.
"""

import time
from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import urlencode

import requests

from app.gateways.http import check_origin, make_session
from app.gateways.pay.answers import text_of
from app.gateways.pay.client import PayClient, Unverified
from app.gateways.pay.credentials import CredentialFault
from app.payouts.interfaces import PayerCredentials
from app.reconciliation.interfaces import AccountType, BalanceAnswer, BalanceOutcome

_DAY_END = "/v3/merchant/fund/dayendbalance"
_OUTCOMES = {
    "NO_AUTH": BalanceOutcome.FORBIDDEN,
    "INVALID_REQUEST": BalanceOutcome.ABSENT,
    "SYSTEM_ERROR": BalanceOutcome.RETRY,
    "FREQUENCY_LIMITED": BalanceOutcome.RETRY,
    "FREQUENCY_LIMIT_EXCEED": BalanceOutcome.RETRY,
    "RATELIMIT_EXCEEDED": BalanceOutcome.RETRY,
}


class WeChatPayBalances:
    """The BalanceGateway on WeChat Pay v3 at `api_url` (an origin)."""

    def __init__(
        self, api_url: str, *, deadline_seconds: float = 8.0, wall: Callable[[], float] = time.time
    ) -> None:
        self._origin = check_origin(api_url)
        self._session = make_session(self._origin)
        self._deadline_seconds = deadline_seconds
        self._wall = wall

    def day_end(self, payer: PayerCredentials, *, day: date, account: AccountType) -> BalanceAnswer:
        """Ask for the balance of an account at a day's end."""
        try:
            client = PayClient(
                payer,
                origin=self._origin,
                session=self._session,
                deadline_seconds=self._deadline_seconds,
                wall=self._wall,
            )
            reply = client.get(f"{_DAY_END}/{account.value}?{urlencode({'date': day.isoformat()})}")
        except CredentialFault as fault:
            return BalanceAnswer(BalanceOutcome.REFUSED, code="local", message=str(fault))
        except Unverified as reason:
            return BalanceAnswer(BalanceOutcome.RETRY, code="unverified", message=str(reason))
        except requests.Timeout:
            return BalanceAnswer(BalanceOutcome.RETRY, code="timeout")
        except requests.RequestException:
            return BalanceAnswer(BalanceOutcome.RETRY, code="network")
        body: dict[str, Any] = reply.body if isinstance(reply.body, dict) else {}
        return _read(body) if 200 <= reply.http_status < 300 else _refusal(reply.http_status, body)


def _read(body: dict[str, Any]) -> BalanceAnswer:
    available, pending = body.get("available_amount"), body.get("pending_amount", 0)
    if type(available) is not int or type(pending) is not int or min(available, pending) < 0:
        return BalanceAnswer(BalanceOutcome.RETRY, code="unreadable", message="no amounts in fen")
    return BalanceAnswer(BalanceOutcome.KNOWN, available, pending)


def _refusal(http_status: int, body: dict[str, Any]) -> BalanceAnswer:
    code = text_of(body, "code")
    if code is None:
        outcome = BalanceOutcome.RETRY if http_status >= 500 else BalanceOutcome.REFUSED
        return BalanceAnswer(outcome, code="unreadable", message=f"HTTP {http_status}")
    outcome = _OUTCOMES.get(code, BalanceOutcome.REFUSED)
    return BalanceAnswer(outcome, code=code[:64], message=(text_of(body, "message") or "")[:200])
