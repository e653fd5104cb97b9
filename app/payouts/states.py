"""The states of payers, payouts and bills, and which may follow which."""

from enum import StrEnum

from app.kernel.transitions import TransitionTable


class PayerState(StrEnum):
    """Whether a payer's bills go out."""

    ACTIVE = "active"
    PAUSED_BALANCE = "paused_balance"  # its money ran out; a probe goes out now and then
    PAUSED_OPERATOR = "paused_operator"  # somebody stopped it; nothing goes out


class PayoutState(StrEnum):
    """Where the money for one award stands."""

    OPEN = "open"  # the latest bill has not ended
    FAILED = "failed"  # the latest bill ended without money; a new one may be opened
    SETTLED = "settled"  # the money has arrived


class BillState(StrEnum):
    """Where one bill stands: `new` until the platform first answers, then the platform's own states."""

    NEW = "new"
    ACCEPTED = "accepted"
    PROCESSING = "processing"
    WAIT_USER_CONFIRM = "wait_user_confirm"
    TRANSFERING = "transfering"
    CANCELING = "canceling"
    SUCCESS = "success"
    FAIL = "fail"
    CANCELLED = "cancelled"


_ENDS = (BillState.SUCCESS, BillState.FAIL, BillState.CANCELLED)

# News travels on three roads (answer, query, callback) and overtakes itself: a bill only moves forward.
BILL_TRANSITIONS = TransitionTable(
    {
        BillState.NEW: tuple(state for state in BillState if state is not BillState.NEW),
        BillState.ACCEPTED: (
            BillState.PROCESSING,
            BillState.WAIT_USER_CONFIRM,
            BillState.TRANSFERING,
            BillState.CANCELING,
            *_ENDS,
        ),
        BillState.PROCESSING: (
            BillState.WAIT_USER_CONFIRM,
            BillState.TRANSFERING,
            BillState.CANCELING,
            *_ENDS,
        ),
        BillState.WAIT_USER_CONFIRM: (BillState.TRANSFERING, BillState.CANCELING, *_ENDS),
        # Whoever confirms while a cancel runs may win.
        BillState.CANCELING: (BillState.TRANSFERING, *_ENDS),
        BillState.TRANSFERING: _ENDS,
        BillState.SUCCESS: (),
        BillState.FAIL: (),
        BillState.CANCELLED: (),
    }
)

OPEN_BILL_STATES = sorted(state for state in BillState if not BILL_TRANSITIONS.final(state))
"""Where a bill has not ended: it may still pay."""

PAYOUT_TRANSITIONS = TransitionTable(
    {
        PayoutState.OPEN: (PayoutState.FAILED, PayoutState.SETTLED),
        PayoutState.FAILED: (PayoutState.OPEN,),
        PayoutState.SETTLED: (),
    }
)

PAYER_TRANSITIONS = TransitionTable(
    {
        PayerState.ACTIVE: (PayerState.PAUSED_BALANCE, PayerState.PAUSED_OPERATOR),
        PayerState.PAUSED_BALANCE: (PayerState.ACTIVE, PayerState.PAUSED_OPERATOR),
        PayerState.PAUSED_OPERATOR: (PayerState.ACTIVE,),
    }
)
