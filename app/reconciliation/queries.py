"""Reading statements, closed days and differences."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.payouts.models import Bill, Payout
from app.reconciliation.days import read_day
from app.reconciliation.errors import UnknownDay
from app.reconciliation.examination import BookDigest, read_book
from app.reconciliation.interfaces import AccountType
from app.reconciliation.models import (
    DayBalance,
    ReconciledDay,
    Statement,
    StatementDifference,
    StatementPayer,
)
from app.reconciliation.states import (
    BalanceState,
    BalanceUse,
    DifferenceKind,
    DifferenceState,
    StatementState,
)

FETCHED = (StatementState.EMPTY, StatementState.LOADED)


def statements(session: Session, *, payer_id: int, day: str) -> Sequence[Statement]:
    """Return the bills of a payer's day, one per account that was asked for."""
    wanted = select(Statement).where(Statement.payer_id == payer_id, Statement.day == day)
    return session.scalars(wanted.order_by(Statement.account)).all()


def is_shared(session: Session, *, payer_id: int) -> bool:
    """Tell whether other systems move money on the payer's number."""
    found = select(StatementPayer.shared).where(StatementPayer.payer_id == payer_id)
    return bool(session.connection().execute(found).scalar())


def latest_day(session: Session, *, payer_id: int) -> ReconciledDay | None:
    """Return the last day of a payer that is closed."""
    wanted = select(ReconciledDay).where(ReconciledDay.payer_id == payer_id)
    return session.scalar(wanted.order_by(ReconciledDay.day.desc()).limit(1))


def closed_day(session: Session, *, payer_id: int, day: str) -> ReconciledDay | None:
    """Return a payer's day if it is closed."""
    wanted = select(ReconciledDay).where(ReconciledDay.payer_id == payer_id, ReconciledDay.day == day)
    return session.scalar(wanted)


def next_day(session: Session, *, payer_id: int) -> str | None:
    """Return the day of a payer that is to be closed next: the first that was asked for and is not closed."""
    latest = latest_day(session, payer_id=payer_id)
    asked = select(func.min(Statement.day)).where(Statement.payer_id == payer_id)
    if latest is not None:
        asked = asked.where(Statement.day > latest.day)
    found: str | None = session.connection().execute(asked).scalar()
    return found


def first_day(session: Session, *, payer_id: int) -> date | None:
    """Return the first day of a payer that was ever closed."""
    asked = select(func.min(ReconciledDay.day)).where(ReconciledDay.payer_id == payer_id)
    found = session.connection().execute(asked).scalar()
    return read_day(found) if found else None


def ready_days(session: Session) -> list[tuple[int, date]]:
    """Return the next day of each payer, (payer, day), where both its bills have come or are empty."""
    payers = session.scalars(select(Statement.payer_id).distinct().order_by(Statement.payer_id)).all()
    ready = []
    for payer_id in payers:
        day = next_day(session, payer_id=payer_id)
        if day is None:
            continue
        found = statements(session, payer_id=payer_id, day=day)
        if len(found) == len(AccountType) and all(one.state in FETCHED for one in found):
            ready.append((payer_id, read_day(day)))
    return ready


def bill_balance(session: Session, *, payer_id: int, day: str) -> int:
    """Return what a payer's accounts hold at the end of `day` by the last bills that had a line, in fen."""
    told = (account_balance(session, payer_id=payer_id, day=day, account=account) for account in AccountType)
    return sum(fen or 0 for fen in told)


def account_balance(session: Session, *, payer_id: int, day: str, account: AccountType) -> int | None:
    """Return what one account holds at the end of `day` by the last bill that had a line, in fen.

    None when no bill has had one: what was there before is in no book.
    """
    known = (
        select(Statement.closing_fen)
        .where(
            Statement.payer_id == payer_id,
            Statement.account == account,
            Statement.day <= day,
            Statement.closing_fen.is_not(None),
        )
        .order_by(Statement.day.desc())
        .limit(1)
    )
    return session.connection().execute(known).scalar()


def balance_use(session: Session, *, payer_id: int) -> BalanceUse:
    """Tell whether a payer's balances are asked for."""
    found = select(StatementPayer.balance).where(StatementPayer.payer_id == payer_id)
    return session.connection().execute(found).scalar() or BalanceUse.OFF


def balances(session: Session, *, payer_id: int, day: str) -> tuple[int, int] | None:
    """Return what the platform says that a payer held at a day's end: available, and with what is pending.

    In fen, of the accounts that the bills know; None while a balance has not come, or when none was told. An
    account that has money by the bills and no balance counts as one whose balance has not come.
    """
    wanted = select(
        DayBalance.account, DayBalance.state, DayBalance.available_fen, DayBalance.pending_fen
    ).where(
        DayBalance.payer_id == payer_id,
        DayBalance.day == day,
        DayBalance.state.in_([BalanceState.KNOWN, BalanceState.ABSENT]),
    )
    rows = session.connection().execute(wanted).all()
    if len(rows) < len(AccountType):
        return None
    billed = {
        row.account: account_balance(session, payer_id=payer_id, day=day, account=row.account) for row in rows
    }
    if any(row.state is BalanceState.ABSENT and billed[row.account] for row in rows):
        return None
    known = [row for row in rows if row.state is BalanceState.KNOWN and billed[row.account] is not None]
    if not known:
        return None
    available = sum(row.available_fen for row in known)
    return available, available + sum(row.pending_fen for row in known)


def open_days(session: Session, *, payer_id: int, besides: Collection[DifferenceKind] = ()) -> dict[str, int]:
    """Return how many differences are open on each day of a payer, those of some kinds left aside."""
    wanted = (
        select(StatementDifference.day, func.count())
        .where(
            StatementDifference.payer_id == payer_id,
            StatementDifference.state == DifferenceState.OPEN,
            StatementDifference.kind.not_in(list(besides)),
        )
        .group_by(StatementDifference.day)
    )
    return {day: int(count) for day, count in session.connection().execute(wanted)}


def gaps(session: Session, *, payer_id: int) -> dict[str, int]:
    """Return by how much, in fen, each day has changed what nothing explains, since that was last nothing.

    It is carried from day to day: a fen that nothing explains on Monday is in Tuesday's balances, too.
    """
    closed = ReconciledDay.payer_id == payer_id
    whole = select(func.max(ReconciledDay.day)).where(closed, ReconciledDay.unexplained_fen == 0)
    last_whole = session.connection().execute(whole).scalar() or ""
    later = (
        select(ReconciledDay.day, ReconciledDay.unexplained_fen)
        .where(closed, ReconciledDay.day > last_whole)
        .order_by(ReconciledDay.day)
    )
    changed, before = {}, 0
    for day, fen in session.connection().execute(later):
        if fen != before:
            changed[day] = fen - before
        before = fen
    return changed


@dataclass(frozen=True, slots=True)
class DayFault:
    """What no longer is as it was when a day was closed."""

    expected: str
    found: str


def verify_day(session: Session, *, payer_id: int, day: date) -> DayFault | None:
    """Read the bills that ended on a closed day anew; return what has changed since, None if nothing.

    `session` does nothing else. Raises UnknownDay.
    """
    closed = closed_day(session, payer_id=payer_id, day=day.isoformat())
    if closed is None:
        raise UnknownDay("this day has not been reconciled; `saoma reconcile status` lists those that are")
    digest = BookDigest()
    for bill in read_book(session, payer_id, day):
        digest.add(bill)
    found = digest.hexdigest()
    return None if found == closed.digest else DayFault(closed.digest, found)


def days(
    session: Session, *, payer_id: int | None = None, since: str = "", until: str = "9999-12-31"
) -> Sequence[ReconciledDay]:
    """Return closed days, the first first."""
    wanted = select(ReconciledDay).where(ReconciledDay.day >= since, ReconciledDay.day <= until)
    if payer_id is not None:
        wanted = wanted.where(ReconciledDay.payer_id == payer_id)
    return session.scalars(wanted.order_by(ReconciledDay.day, ReconciledDay.payer_id)).all()


def waiting(session: Session, *, payer_id: int | None = None) -> Sequence[Statement]:
    """Return the bills that have been asked for and have not come."""
    wanted = select(Statement).where(Statement.state.not_in(FETCHED))
    if payer_id is not None:
        wanted = wanted.where(Statement.payer_id == payer_id)
    return session.scalars(wanted.order_by(Statement.day, Statement.payer_id, Statement.account)).all()


@dataclass(frozen=True, slots=True)
class DifferenceView:
    """A difference as people read it; `award_id` is that of the bill, if there is one."""

    id: int
    payer_id: int
    day: str
    kind: DifferenceKind
    state: DifferenceState
    number: str
    platform_no: str
    award_id: int | None
    expected_fen: int
    out_fen: int
    in_fen: int
    found_on: str | None
    reason: str | None
    resolved_by: str | None


def differences(
    session: Session,
    *,
    payer_id: int | None = None,
    since: str = "",
    until: str = "9999-12-31",
    only_open: bool = False,
    after: tuple[str, int] = ("", 0),
    limit: int = 1000,
) -> list[DifferenceView]:
    """Return differences in the order of (day, id), at most `limit`, behind `after` = (day, id)."""
    known = StatementDifference
    wanted = (
        select(known, Payout.award_id)
        .outerjoin(Bill, Bill.id == known.bill_id)
        .outerjoin(Payout, Payout.id == Bill.payout_id)
        .where(known.day >= max(since, after[0]), known.day <= until)
        .where((known.day > after[0]) | (known.id > after[1]))
        .order_by(known.day, known.id)
        .limit(limit)
    )
    if payer_id is not None:
        wanted = wanted.where(known.payer_id == payer_id)
    if only_open:
        wanted = wanted.where(known.state == DifferenceState.OPEN)
    return [_view(row, award_id) for row, award_id in session.execute(wanted)]


def _view(row: Any, award_id: int | None) -> DifferenceView:
    return DifferenceView(
        id=row.id,
        payer_id=row.payer_id,
        day=row.day,
        kind=row.kind,
        state=row.state,
        number=row.number,
        platform_no=row.platform_no,
        award_id=award_id,
        expected_fen=row.expected_fen,
        out_fen=row.out_fen,
        in_fen=row.in_fen,
        found_on=row.found_on,
        reason=row.reason,
        resolved_by=row.resolved_by,
    )
