"""What an answer about a transfer means: a table, so that every code has been thought about.

The code decides, not the HTTP status, whose class differs between products. A code that is not in the
table means: ask before doing anything else (platform contracts 4.5, 4.8).
"""

from collections.abc import Mapping

from app.payouts.interfaces import FINAL_STATES, TransferAnswer, TransferOutcome, TransferState

_LONGEST_MESSAGE = 200

OUTCOMES: Mapping[str, TransferOutcome] = {
    # Nobody knows whether the first attempt counted; the number protects the second.
    "SYSTEM_ERROR": TransferOutcome.RETRY_SAME,
    "FREQUENCY_LIMITED": TransferOutcome.FREQUENCY,
    "FREQUENCY_LIMIT_EXCEED": TransferOutcome.FREQUENCY,
    "RATELIMIT_EXCEEDED": TransferOutcome.FREQUENCY,
    "NOT_ENOUGH": TransferOutcome.SHORT_OF_FUNDS,
    "NOT_FOUND": TransferOutcome.NOT_FOUND,
    "ORDER_NOT_EXIST": TransferOutcome.NOT_FOUND,
    "RESOURCE_NOT_EXISTS": TransferOutcome.NOT_FOUND,
    # Somebody has to change something: our request, our keys, the merchant's permissions or the account.
    "PARAM_ERROR": TransferOutcome.REFUSED,
    "INVALID_REQUEST": TransferOutcome.REFUSED,
    "SIGN_ERROR": TransferOutcome.REFUSED,
    "NO_AUTH": TransferOutcome.REFUSED,
    "APPID_MCHID_NOT_MATCH": TransferOutcome.REFUSED,
    "MCH_NOT_EXISTS": TransferOutcome.REFUSED,
    "ACCOUNT_ERROR": TransferOutcome.REFUSED,
    "USER_ERROR": TransferOutcome.REFUSED,
    "USER_ACCOUNT_ABNORMAL": TransferOutcome.REFUSED,
    "RULE_LIMIT": TransferOutcome.REFUSED,
    "TRADE_ERROR": TransferOutcome.REFUSED,
    # The number is taken: by our own earlier attempt, or wrongly. Only a query can tell.
    "ALREADY_EXISTS": TransferOutcome.UNKNOWN,
    "RESOURCE_ALREADY_EXISTS": TransferOutcome.UNKNOWN,
    "OUT_TRADE_NO_USED": TransferOutcome.UNKNOWN,
    "ORDER_CLOSED": TransferOutcome.UNKNOWN,
}


def read_success(http_status: int, body: object, *, mchid: str, bill_no: str) -> TransferAnswer:
    """Return what a verified 2xx answer says about bill `bill_no` of merchant `mchid`."""
    if not isinstance(body, dict):
        return unknown("unreadable", http_status)
    # Opening and cancelling do not repeat the merchant; the query does, with an underscore.
    if body.get("out_bill_no") != bill_no or body.get("mch_id", mchid) != mchid:
        return unknown("mismatch", http_status)
    try:
        state = TransferState(str(body.get("state")))
    except ValueError:
        return unknown("unreadable", http_status)
    final = state in FINAL_STATES
    return TransferAnswer(
        TransferOutcome.FINAL if final else TransferOutcome.ACCEPTED,
        state=state,
        transfer_bill_no=text_of(body, "transfer_bill_no"),
        # Only this state has one that still opens the confirmation page.
        package_info=text_of(body, "package_info") if state is TransferState.WAIT_USER_CONFIRM else None,
        fail_reason=text_of(body, "fail_reason"),
        http_status=http_status,
    )


def read_failure(http_status: int, body: object) -> TransferAnswer:
    """Return what an answer outside 2xx means."""
    code = text_of(body, "code") if isinstance(body, dict) else None
    if code is None:
        # A gateway in between speaks HTML. A 5xx without a code says that nobody has decided anything.
        outcome = TransferOutcome.RETRY_SAME if http_status >= 500 else TransferOutcome.UNKNOWN
        return TransferAnswer(outcome, code="unreadable", http_status=http_status)
    message = text_of(body, "message") if isinstance(body, dict) else None
    return TransferAnswer(
        OUTCOMES.get(code, TransferOutcome.UNKNOWN),
        code=code[:64],
        http_status=http_status,
        message=(message or "")[:_LONGEST_MESSAGE],
    )


def unknown(code: str, http_status: int | None, message: str = "") -> TransferAnswer:
    """Return the answer that says: do not trust this, query."""
    return TransferAnswer(TransferOutcome.UNKNOWN, code=code, http_status=http_status, message=message)


def text_of(body: Mapping[str, object], name: str) -> str | None:
    """Return the member `name` if it is a text with something in it."""
    value = body.get(name)
    return value if isinstance(value, str) and value else None
