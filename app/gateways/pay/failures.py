"""Why a question to WeChat Pay v3 brought nothing, said once for every question that may be repeated.

Bills and balances are read: asking again harms nothing, so only one thing is to be known of a failure, apart
from what a code means to one of them alone: whether to ask again or to tell an operator. Transfers move
money and have a table of their own (`app.gateways.pay.answers`).
"""

from typing import NamedTuple

import requests

from app.gateways.pay.answers import text_of
from app.gateways.pay.client import Reply, Unverified
from app.gateways.pay.credentials import CredentialFault

FAILURES = (CredentialFault, Unverified, requests.RequestException)
"""What a PayClient raises."""

_AGAIN = frozenset({"SYSTEM_ERROR", "FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED"})
_LONGEST_CODE = 64
_LONGEST_MESSAGE = 200


class Failure(NamedTuple):
    """A question without its answer. `again` False: it will be refused until somebody changes something.

    `code` is the platform's, or ours in lower case where it gave none; `message` is for an operator.
    """

    again: bool
    code: str
    message: str = ""


def failure(error: Exception) -> Failure:
    """Return what one of FAILURES means."""
    if isinstance(error, CredentialFault):
        return Failure(again=False, code="local", message=str(error))
    if isinstance(error, Unverified):
        return Failure(again=True, code="unverified", message=str(error))
    return Failure(again=True, code="timeout" if isinstance(error, requests.Timeout) else "network")


def refusal(reply: Reply) -> Failure:
    """Return what an answer outside 2xx means. The code decides, and the HTTP status where there is none."""
    body = reply.body if isinstance(reply.body, dict) else {}
    code = text_of(body, "code")
    if code is None:
        return Failure(again=reply.http_status >= 500, code="unreadable", message=f"HTTP {reply.http_status}")
    message = text_of(body, "message") or ""
    return Failure(again=code in _AGAIN, code=code[:_LONGEST_CODE], message=message[:_LONGEST_MESSAGE])
