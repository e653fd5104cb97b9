"""The platform's balance at a day's end beside what its bills come to (contract 11.4).

A bill tells what moved, and what it says is left follows from what it tells; a balance is what is there. So
where the platform lets a merchant number ask, the two are compared once both have come, whichever is later.
Most may not ask: the switch is off by default, and a refusal switches it off again instead of being asked for
every day.

Compared are the platform's two words. What is between its bills and our book is told with the differences of
the day; told here as well, one fen that nothing explains would be one more difference every day. Nobody
documents whether money that is set aside counts as pending, so the bills may lie anywhere between what is
available and that plus what is pending; without anything pending it is one number. An account in which
nothing has moved since the first bill is left aside: what it holds is in no book.

"No such balance" is said of an account that is not open, and of a day's end that has not been made yet. Only
the day's own bill tells the two apart, so the word counts once the day is closed and not before.
"""

from datetime import date, datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.fen import format_yuan
from app.kernel.ids import new_id
from app.outbox.operations import recall
from app.payouts import queries as payouts
from app.reconciliation import queries
from app.reconciliation.asking import ask_once
from app.reconciliation.interfaces import AccountType
from app.reconciliation.models import DayBalance, StatementDifference, StatementPayer
from app.reconciliation.states import BalanceState, BalanceUse, DifferenceKind, DifferenceState

BALANCE_ALERT = "reconciliation.balance"
REFUSED_ALERT = "reconciliation.balance_refused"
NUMBER = "balance at the day's end"
"""What stands for the number of the difference: a balance has none."""


def set_balance(session: Session, *, payer_id: int, asks: bool, now: datetime, actor: Actor) -> None:
    """Say whether a payer's balances are asked for, from the next day on; raise UnknownPayer.

    Switching it on again forgets that the platform has refused.
    """
    mchid = payouts.payer(session, payer_id).mchid
    use = BalanceUse.ON if asks else BalanceUse.OFF
    values = {"balance": use, "set_by": actor.label[:64], "set_at": now}
    row = {"payer_id": payer_id, "shared": False, **values}
    if not insert_once(session, insert(StatementPayer), row):
        this = StatementPayer.payer_id == payer_id
        session.connection().execute(update(StatementPayer).where(this).values(values))
    resolve_alert(session, kind=REFUSED_ALERT, subject=mchid, by=actor.label, now=now)


def ask_balances(session: Session, *, payer_id: int, day: date, now: datetime) -> list[int]:
    """Enqueue the questions for a payer's balances at a day's end, once; return the messages' ids.

    None where the switch is off. The caller makes sure that the day is over.
    """
    if queries.balance_use(session, payer_id=payer_id) is not BalanceUse.ON:
        return []
    return [
        ask_once(session, DayBalance, payer_id=payer_id, day=day, account=account, now=now)
        for account in AccountType
    ]


def ask_again(session: Session, *, payer_id: int, day: str, by: str, now: datetime) -> None:
    """Let the questions of a day that is being closed be asked at once, those that were given up too.

    What a balance waited for, or was parked for, is the day. An answer that is being written meanwhile holds
    the lock of its message: either it finds the day closed, or its message is found here as it was left. In
    the order of the messages, and before `compare` locks the payer: as answers do.
    """
    waiting = (
        select(DayBalance.message_id)
        .where(
            DayBalance.payer_id == payer_id,
            DayBalance.day == day,
            DayBalance.state == BalanceState.PENDING,
        )
        .order_by(DayBalance.message_id)
    )
    for message_id in session.connection().execute(waiting).scalars().all():
        recall(session, message_id=message_id, by=by, now=now)


def refuse(session: Session, *, payer_id: int, said: str, now: datetime) -> None:
    """Note that the platform does not answer this payer, and ask no more; `said` is its own word."""
    refused = (
        update(StatementPayer)
        .where(StatementPayer.payer_id == payer_id, StatementPayer.balance == BalanceUse.ON)
        .values(balance=BalanceUse.REFUSED)
    )
    if session.connection().execute(refused).rowcount != 1:
        return
    mchid = payouts.payer(session, payer_id).mchid
    raise_alert(
        session,
        kind=REFUSED_ALERT,
        subject=mchid,
        severity=Severity.NOTICE,
        detail=f"WeChat Pay does not let merchant number {mchid} ask for its balance ({said}): few may. It is"
        " not asked for any more, and the bills are reconciled as before. Once it may:"
        f" `saoma reconcile payer {mchid} --balance`; otherwise `--no-balance`.",
        now=now,
    )


def _lock(session: Session, payer_id: int) -> None:
    """Let comparisons of a payer wait for one another: each sees what the one before it has written.

    A day that is closed and a balance that comes at the same moment would otherwise both find the other
    missing, and nobody would compare them.
    """
    this = select(StatementPayer.payer_id).where(StatementPayer.payer_id == payer_id)
    session.connection().execute(this.with_for_update())


def compare(session: Session, *, payer_id: int, day: str, now: datetime) -> int:
    """Compare the balances of a closed day, once all have come; return what is between, in fen.

    What differs is a difference of the kind `balance` and an alert of its own. 0 while something is missing.
    """
    _lock(session, payer_id)
    closed = queries.closed_day(session, payer_id=payer_id, day=day)
    told = queries.balances(session, payer_id=payer_id, day=day)
    if closed is None or told is None:
        return 0
    billed_fen = closed.bill_closing_fen
    available_fen, with_pending_fen = told
    off_fen = min(billed_fen - available_fen, 0) + max(billed_fen - with_pending_fen, 0)
    if not off_fen:
        return 0
    row = {
        "id": new_id(),
        "payer_id": payer_id,
        "day": day,
        "kind": DifferenceKind.BALANCE,
        "state": DifferenceState.OPEN,
        "number": NUMBER,
        "bill_id": None,
        "platform_no": "",
        "expected_fen": billed_fen,
        "out_count": 0,
        "out_fen": available_fen,
        "in_count": 0,
        "in_fen": 0,
        "created_at": now,
    }
    if insert_once(session, insert(StatementDifference), row):
        mchid = payouts.payer(session, payer_id).mchid
        raise_alert(
            session,
            kind=BALANCE_ALERT,
            subject=f"{mchid}:{day}",
            severity=Severity.CRITICAL,
            detail=f"At the end of {day} WeChat Pay held {format_yuan(available_fen)} yuan of merchant number"
            f" {mchid}; its bills come to {format_yuan(billed_fen)}."
            f" `saoma reconcile differences --payer {mchid}` says what to do.",
            now=now,
        )
    return off_fen


def may_be_absent(session: Session, *, payer_id: int, day: str, account: AccountType) -> bool | None:
    """Tell whether, by the bills, an account may have no balance at the end of a day; None: not known yet.

    Known once the day is closed: until then the bills end the day before, and money may have come since.
    """
    if queries.closed_day(session, payer_id=payer_id, day=day) is None:
        return None
    return not queries.account_balance(session, payer_id=payer_id, day=day, account=account)
