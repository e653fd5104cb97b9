"""Asking for bills, closing days, settling differences.

A day is closed once: its row is unique, its figures are never written again. Whoever closes it has examined
it before in a transaction that wrote nothing, so two that race do the work twice and the books once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.alerts.operations import resolve_alert
from app.db.once import insert_once
from app.kernel.actor import SYSTEM, Actor
from app.kernel.ids import new_id
from app.ledger.models import Account, TransferRow
from app.payouts import queries as payouts
from app.payouts.models import Bill, Payer
from app.payouts.queries import PAID_PURPOSE
from app.reconciliation import queries
from app.reconciliation.asking import ask_once
from app.reconciliation.balances import BALANCE_ALERT, ask_again, ask_balances, compare
from app.reconciliation.bill_file import BillFile
from app.reconciliation.days import KEPT_DAYS, bounds, day_of, last_ready, read_day
from app.reconciliation.errors import BadDay, DayNotReady, UnknownDifference
from app.reconciliation.examination import Totals
from app.reconciliation.findings import Carried, Finding, Spool, batches
from app.reconciliation.interfaces import AccountType
from app.reconciliation.judging import Flows
from app.reconciliation.models import (
    ReconciledDay,
    Statement,
    StatementCarry,
    StatementDifference,
    StatementPayer,
)
from app.reconciliation.states import (
    DIFFERENCE_TRANSITIONS,
    BalanceUse,
    DifferenceKind,
    DifferenceState,
)
from app.reconciliation.telling import settle, tell

_ROWS = 500


def set_payer(session: Session, *, payer_id: int, shared: bool, now: datetime, actor: Actor) -> None:
    """Say whether other systems move money on a payer's number: then only lines of ours are looked at.

    Raises UnknownPayer.
    """
    payouts.payer(session, payer_id)
    values = {"shared": shared, "set_by": actor.label[:64], "set_at": now}
    row = {"payer_id": payer_id, "balance": BalanceUse.OFF, **values}
    if not insert_once(session, insert(StatementPayer), row):
        session.connection().execute(
            update(StatementPayer).where(StatementPayer.payer_id == payer_id).values(values)
        )


def ask(session: Session, *, payer_id: int, day: date, now: datetime) -> list[int]:
    """Enqueue the fetching of both bills of a payer's day, once; return the messages' ids.

    Raises UnknownPayer, or BadDay when the bill of that day is not to be had at `now`.
    """
    payouts.payer(session, payer_id)
    last = last_ready(now)
    if not last - timedelta(days=KEPT_DAYS) <= day <= last:
        raise BadDay(
            f"bills are to be had of the last {KEPT_DAYS} days, from 10:05 on the next day in Beijing"
        )
    return [
        ask_once(session, Statement, payer_id=payer_id, day=day, account=account, now=now)
        for account in AccountType
    ]


def ask_due(session: Session, *, now: datetime, limit: int = 20) -> int:
    """Ask for the bills of every payer's days that are over and have not been asked for; return how many.

    And for the balances, of payers that may ask for them.
    At most `limit` days in one go. Due from 10:05 Beijing time on the next day; days that nobody asked for
    while no scheduler ran are caught up.
    """
    last, asked = last_ready(now), 0
    known = (
        select(Payer.id, Payer.created_at, func.max(Statement.day).label("latest"))
        .outerjoin(Statement, Statement.payer_id == Payer.id)
        .group_by(Payer.id, Payer.created_at)
        .order_by(Payer.id)
    )
    for payer_id, created_at, latest in session.connection().execute(known).all():
        first = read_day(latest) + timedelta(days=1) if latest else day_of(created_at)
        day = max(first, last - timedelta(days=KEPT_DAYS))
        while day <= last and asked < limit:
            ask(session, payer_id=payer_id, day=day, now=now)
            ask_balances(session, payer_id=payer_id, day=day, now=now)
            day += timedelta(days=1)
            asked += 1
    return asked


@dataclass(frozen=True, slots=True)
class Examined:
    """A day as it was examined: its files, what they add up to, and what was found."""

    payer_id: int
    day: date
    files: dict[AccountType, BillFile]
    totals: Totals
    spool: Spool


def close(session: Session, *, examined: Examined, now: datetime, actor: Actor) -> bool:
    """Close a payer's day with what its examination found; return False when it is closed already.

    Days are closed in their order. Raises DayNotReady when an earlier one is not.
    """
    payer_id, day = examined.payer_id, examined.day.isoformat()
    if queries.next_day(session, payer_id=payer_id) != day:
        if queries.closed_day(session, payer_id=payer_id, day=day) is not None:
            return False
        raise DayNotReady("an earlier day of this payer has to be closed first")
    before = queries.latest_day(session, payer_id=payer_id)
    row = _figures(examined, now=now, actor=actor)
    if not insert_once(session, insert(ReconciledDay), row):
        return False
    _store_files(session, examined)
    late = _posted_later(session, payer_id, before) if before is not None else []
    news: set[str] = set()
    for batch in chain(batches(examined.spool.all_findings(), _ROWS), [late]):
        news |= _store_findings(session, payer_id, batch, now)
    _store_carries(session, examined, now)
    figures = _closing(session, examined, row, before)
    session.connection().execute(update(ReconciledDay).where(ReconciledDay.id == row["id"]).values(figures))
    tell(session, payer_id=payer_id, day=day, news=news, now=now)
    ask_again(session, payer_id=payer_id, day=day, by=actor.label, now=now)
    compare(session, payer_id=payer_id, day=day, now=now)
    return True


def _figures(examined: Examined, *, now: datetime, actor: Actor) -> dict[str, object]:
    files, totals = examined.files.values(), examined.totals
    return {
        "id": new_id(),
        "payer_id": examined.payer_id,
        "day": examined.day.isoformat(),
        "lines": sum(file.count for file in files),
        "out_fen": sum(file.out_fen for file in files),
        "in_fen": sum(file.in_fen for file in files),
        "other_out_fen": totals.other_out_fen,
        "other_in_fen": totals.other_in_fen,
        "paid_bills": totals.paid_bills,
        "paid_fen": totals.paid_fen,
        "carried_fen": 0,
        "bill_closing_fen": 0,
        "book_closing_fen": 0,
        "unexplained_fen": 0,
        "differences": 0,
        "digest": totals.digest,
        # Before anything is read: what is posted from here on has a larger id.
        "ledger_mark": new_id(),
        "closed_by": actor.label[:64],
        "closed_at": now,
    }


def _store_files(session: Session, examined: Examined) -> None:
    for account, file in examined.files.items():
        session.connection().execute(
            update(Statement)
            .where(
                Statement.payer_id == examined.payer_id,
                Statement.day == examined.day.isoformat(),
                Statement.account == account,
            )
            .values(closing_fen=file.closing_fen, gaps=file.gaps)
        )


def _store_findings(session: Session, payer_id: int, findings: Sequence[Finding], now: datetime) -> set[str]:
    """Write what was found; return the days of which it is news."""
    new = [_difference(payer_id, finding, now) for finding in findings if finding.known is None]
    if new:
        session.connection().execute(insert(StatementDifference), new)
    for finding in findings:
        if finding.known is not None:
            _judge_again(session, finding, now)
    return {finding.day for finding in findings if finding.kind is not DifferenceKind.LATE}


def _difference(payer_id: int, finding: Finding, now: datetime) -> dict[str, object]:
    return {
        "id": new_id(),
        "payer_id": payer_id,
        "day": finding.day,
        "kind": finding.kind,
        "state": DifferenceState.OPEN,
        "number": finding.number,
        "bill_id": finding.bill_id,
        "expected_fen": finding.expected_fen,
        "created_at": now,
        **_lines(finding.flows),
    }


def _lines(flows: Flows) -> dict[str, object]:
    return flows._asdict()


def _judge_again(session: Session, finding: Finding, now: datetime) -> None:
    """Bring a known difference to what it is with the lines of a later day."""
    values: dict[str, object] = {**_lines(finding.flows), "kind": finding.kind, "found_on": finding.found_on}
    known = StatementDifference.id == finding.known
    if finding.kind is DifferenceKind.LATE:
        settled = {
            "state": DifferenceState.RESOLVED,
            "reason": "the line came with a later day",
            "resolved_by": SYSTEM.label,
            "resolved_at": now,
        }
        open_ones = and_(known, StatementDifference.state == DifferenceState.OPEN)
        session.connection().execute(update(StatementDifference).where(open_ones).values(settled))
    else:
        # What somebody settled was something else.
        values |= {"state": DifferenceState.OPEN, "reason": None, "resolved_by": None, "resolved_at": None}
    session.connection().execute(update(StatementDifference).where(known).values(values))


def _store_carries(session: Session, examined: Examined, now: datetime) -> None:
    """Replace the carries that have grown; drop those whose bill has ended by the day's end."""
    payer_id, connection = examined.payer_id, session.connection()
    for batch in batches(examined.spool.all_carries(), _ROWS):
        numbers = [carried.bill_no for carried in batch]
        connection.execute(
            delete(StatementCarry).where(
                StatementCarry.payer_id == payer_id, StatementCarry.bill_no.in_(numbers)
            )
        )
        connection.execute(insert(StatementCarry), [_carry_row(payer_id, carried) for carried in batch])
    end = bounds(examined.day)[1]
    ended = select(Bill.bill_no).where(
        Bill.payer_id == payer_id, Bill.bill_no == StatementCarry.bill_no, Bill.ended_at < end
    )
    connection.execute(delete(StatementCarry).where(StatementCarry.payer_id == payer_id, ended.exists()))
    known = StatementDifference
    over = select(Bill.id).where(Bill.id == known.bill_id, Bill.ended_at < end)
    connection.execute(
        update(known)
        .where(
            known.payer_id == payer_id,
            known.kind == DifferenceKind.STILL_OPEN,
            known.state == DifferenceState.OPEN,
            over.exists(),
        )
        .values(
            state=DifferenceState.RESOLVED,
            reason="the bill has ended",
            resolved_by=SYSTEM.label,
            resolved_at=now,
        )
    )


def _carry_row(payer_id: int, carried: Carried) -> dict[str, object]:
    return {
        "payer_id": payer_id,
        "bill_no": carried.bill_no,
        "first_day": carried.first_day,
        **_lines(carried.flows),
    }


def _posted_later(session: Session, payer_id: int, before: ReconciledDay) -> list[Finding]:
    """Return what our ledger has booked into the payer's closed days since the last of them was closed."""
    paid = select(Account.id).where(Account.purpose == PAID_PURPOSE, Account.owner_id == payer_id)
    end = bounds(read_day(before.day))[1]
    findings = []
    for column, sign in ((TransferRow.credit_account, 1), (TransferRow.debit_account, -1)):
        posted = select(TransferRow.key, TransferRow.amount, TransferRow.at).where(
            column.in_(paid), TransferRow.id > before.ledger_mark, TransferRow.at < end
        )
        for row in session.connection().execute(posted):
            day = day_of(row.at).isoformat()
            # Both sides say the same amount: the platform's lines are judged by the bill, not by this.
            flows = Flows(0, row.amount * sign, 0, 0, "")
            findings.append(
                Finding(f"ledger:{row.key}", DifferenceKind.POSTED_LATER, day, row.amount * sign, flows)
            )
    return findings


def _closing(
    session: Session, examined: Examined, row: dict[str, object], before: ReconciledDay | None
) -> dict[str, int]:
    """Return the balances at the day's end, by the bills and by our book, and what nobody explains."""
    payer_id, totals = examined.payer_id, examined.totals
    if before is None:
        opening = sum(file.opening_fen or 0 for file in examined.files.values())
    else:
        opening = before.book_closing_fen
    book = opening + totals.other_in_fen - totals.other_out_fen - totals.paid_fen - totals.carried_change_fen
    bill = queries.bill_balance(session, payer_id=payer_id, day=examined.day.isoformat())
    known = StatementDifference
    net = known.out_fen - known.in_fen - known.expected_fen
    explained = select(func.coalesce(func.sum(net), 0)).where(
        known.payer_id == payer_id, known.kind != DifferenceKind.BALANCE
    )
    found = select(func.count()).select_from(known).where(known.payer_id == payer_id, known.day == row["day"])
    carried = select(func.coalesce(func.sum(StatementCarry.out_fen - StatementCarry.in_fen), 0)).where(
        StatementCarry.payer_id == payer_id
    )
    connection = session.connection()
    return {
        "bill_closing_fen": bill,
        "book_closing_fen": book,
        "unexplained_fen": bill - book + int(connection.execute(explained).scalar_one()),
        "differences": int(connection.execute(found).scalar_one()),
        "carried_fen": int(connection.execute(carried).scalar_one()),
    }


def resolve(session: Session, *, difference_id: int, reason: str, now: datetime, actor: Actor) -> None:
    """Settle a difference with a reason; the day's figures stand. The day's alert goes with its last one.

    Raises UnknownDifference, or TransitionRefused when it is settled already.
    """
    found = session.get(StatementDifference, difference_id, populate_existing=True)
    if found is None:
        raise UnknownDifference(
            "there is no difference with this id; `saoma reconcile differences` lists them"
        )
    settled = (
        update(StatementDifference)
        .where(StatementDifference.id == difference_id, StatementDifference.state == DifferenceState.OPEN)
        .values(
            state=DifferenceState.RESOLVED,
            reason=reason[:200],
            resolved_by=actor.label[:64],
            resolved_at=now,
        )
    )
    if session.connection().execute(settled).rowcount != 1:
        DIFFERENCE_TRANSITIONS.require(DifferenceState.RESOLVED, DifferenceState.RESOLVED)
    session.expire(found)
    if found.kind is DifferenceKind.BALANCE:
        subject = f"{payouts.payer(session, found.payer_id).mchid}:{found.day}"
        resolve_alert(session, kind=BALANCE_ALERT, subject=subject, by=actor.label, now=now)
    settle(session, payer_id=found.payer_id, by=actor.label, now=now)
