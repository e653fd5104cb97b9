"""What an account held at a day's end: the BalanceGateway of reconciliation (platform contracts 11.4).

Written down by the platform for service providers and platforms only; direct merchants are told NO_AUTH.
"""

import time
from collections.abc import Callable
from datetime import date
from urllib.parse import urlencode

from app.gateways.http import check_origin, make_session
from app.gateways.pay.client import PayClient, Reply
from app.gateways.pay.failures import FAILURES, Failure, failure, refusal
from app.payouts.interfaces import PayerCredentials
from app.reconciliation.interfaces import AccountType, BalanceAnswer, BalanceOutcome

_DAY_END = "/v3/merchant/fund/dayendbalance"
_OUTCOMES = {
    "NO_AUTH": BalanceOutcome.FORBIDDEN,
    "INVALID_REQUEST": BalanceOutcome.ABSENT,
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
        except FAILURES as error:
            return _without(failure(error))
        return _read(reply) if 200 <= reply.http_status < 300 else _without(refusal(reply))


def _read(reply: Reply) -> BalanceAnswer:
    body = reply.body if isinstance(reply.body, dict) else {}
    available, pending = body.get("available_amount"), body.get("pending_amount", 0)
    if type(available) is not int or type(pending) is not int or min(available, pending) < 0:
        return BalanceAnswer(BalanceOutcome.RETRY, code="unreadable", message="no amounts in fen")
    return BalanceAnswer(BalanceOutcome.KNOWN, available, pending)


def _without(failed: Failure) -> BalanceAnswer:
    otherwise = BalanceOutcome.RETRY if failed.again else BalanceOutcome.REFUSED
    outcome = _OUTCOMES.get(failed.code, otherwise)
    return BalanceAnswer(outcome, code=failed.code, message=failed.message)
