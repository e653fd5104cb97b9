"""The states of a day's files and of differences, and the kinds of difference there are."""

from enum import StrEnum

from app.kernel.transitions import TransitionTable


class StatementState(StrEnum):
    """Where the bill of one account on one day stands."""

    PENDING = "pending"  # nobody has answered yet
    CREATING = "creating"  # the platform is still making it
    EMPTY = "empty"  # nothing moved
    LOADED = "loaded"  # the file is here, its digest is right


STATEMENT_TRANSITIONS = TransitionTable(
    {
        StatementState.PENDING: (StatementState.CREATING, StatementState.EMPTY, StatementState.LOADED),
        StatementState.CREATING: (StatementState.CREATING, StatementState.EMPTY, StatementState.LOADED),
        StatementState.EMPTY: (),
        StatementState.LOADED: (),
    }
)


class DifferenceKind(StrEnum):
    """In what way the platform's book and ours disagree about one number."""

    MISSING = "missing"  # paid here, no line there
    UNKNOWN = "unknown"  # money left there, no bill here
    AMOUNT = "amount"  # another amount
    DOUBLED = "doubled"  # money left more than once
    OTHER_BILL = "other_bill"  # the line names another transfer: perhaps another receiver
    REFUNDED = "refunded"  # paid here, returned there
    NOT_RETURNED = "not_returned"  # failed here, the money has not come back there
    LATE = "late"  # the line stands on a later day
    STILL_OPEN = "still_open"  # moved there days ago, not ended here
    POSTED_LATER = "posted_later"  # our ledger booked into a day that was closed
    BALANCE = "balance"  # the platform's balance at the day's end is not what its bills come to


class DifferenceState(StrEnum):
    """Whether somebody still has to look."""

    OPEN = "open"
    RESOLVED = "resolved"


DIFFERENCE_TRANSITIONS = TransitionTable(
    {
        DifferenceState.OPEN: (DifferenceState.RESOLVED,),
        # The line of a later day may turn it into something that nobody has settled.
        DifferenceState.RESOLVED: (DifferenceState.OPEN,),
    }
)


class BalanceUse(StrEnum):
    """Whether a payer's balances are asked for: few merchant numbers may ask (contract 11.4)."""

    OFF = "off"
    ON = "on"
    REFUSED = "refused"  # the platform said no; nobody asks until an operator switches it on again


class BalanceState(StrEnum):
    """Where the balance of one account at the end of one day stands."""

    PENDING = "pending"
    KNOWN = "known"
    ABSENT = "absent"
    FORBIDDEN = "forbidden"


BALANCE_TRANSITIONS = TransitionTable(
    {
        BalanceState.PENDING: (BalanceState.KNOWN, BalanceState.ABSENT, BalanceState.FORBIDDEN),
        BalanceState.KNOWN: (),
        BalanceState.ABSENT: (),
        BalanceState.FORBIDDEN: (),
    }
)
