"""Laying a day's bills beside our book: two streams in the order of bill numbers, in constant memory.

The lines are sorted on disk; our bills that ended on the day come out of the database already sorted; one
pass compares them. A line whose bill did not end on the day is looked up, a thousand at once: it belongs
to a bill that is still open (and is carried until that ends), to a day that is closed, or to nobody here.

Nothing is written to the database: what was found waits in a spool until the day is closed.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, String, and_, case, cast, func, literal, or_, select, type_coerce
from sqlalchemy.orm import Session

from app.payouts.models import Bill
from app.payouts.numbers import is_bill_number
from app.payouts.states import BillState
from app.reconciliation.bill_file import BillFile, Line
from app.reconciliation.days import bounds
from app.reconciliation.findings import Carried, Finding, Spool, batches
from app.reconciliation.judging import Flows, Ours, assumed_before, booked, judge
from app.reconciliation.models import StatementCarry, StatementDifference
from app.reconciliation.sorting import Sorter
from app.reconciliation.states import DifferenceKind

_BATCH = 1000
_FETCHED = 5000
_LONGEST_NUMBER = 128
_SUCCESS = BillState.SUCCESS.value
_CARRIED = (
    StatementCarry.out_count,
    StatementCarry.out_fen,
    StatementCarry.in_count,
    StatementCarry.in_fen,
    StatementCarry.platform_no,
)
# Differences that are not a full account of their bill's lines, and so cannot be judged again by adding.
_PARTIAL = (
    DifferenceKind.STILL_OPEN,
    DifferenceKind.UNKNOWN,
    DifferenceKind.POSTED_LATER,
    DifferenceKind.BALANCE,
)


@dataclass
class Totals:
    """What one pass over a day adds up, in fen and counts. `carried_change_fen`: see ReconciledDay."""

    other_out_fen: int = 0
    other_in_fen: int = 0
    paid_bills: int = 0
    paid_fen: int = 0
    carried_change_fen: int = 0
    digest: str = ""


class Case(NamedTuple):
    """A payer's day. `first_day` is the first that was ever reconciled; `shared`: see StatementPayer."""

    payer_id: int
    day: date
    first_day: date
    shared: bool


class _Group(NamedTuple):
    number: str
    ours: bool
    flows: Flows


def book_of(payer_id: int, day: date, first_moment: datetime) -> Select[*tuple[Any, ...]]:
    """Return the query for the bills of a payer that ended on `day`, in the order of their numbers.

    Two texts a row, since reading a value from the server costs the same whether it is long or short: the
    bill (number, state, fen, id, opened before `first_moment`, the platform's number), and what has been
    carried for it, if anything.
    """
    start, end = bounds(day)
    early = case((Bill.opened_at < first_moment, literal("1")), else_=literal("0"))
    bill = _joined(
        Bill.bill_no,
        type_coerce(Bill.state, String),
        cast(Bill.amount_fen, String(20)),
        cast(Bill.id, String(20)),
        early,
        func.coalesce(Bill.transfer_bill_no, ""),
    )
    carried = _joined(*(cast(column, String(128)) for column in _CARRIED))
    carry = and_(StatementCarry.payer_id == Bill.payer_id, StatementCarry.bill_no == Bill.bill_no)
    return (
        select(bill, carried)
        .outerjoin(StatementCarry, carry)
        .where(Bill.payer_id == payer_id, Bill.ended_at >= start, Bill.ended_at < end)
        .order_by(Bill.bill_no)
    )


def _joined(*columns: Any) -> Any:
    joined = columns[0]
    for column in columns[1:]:
        joined = joined + literal("\t") + column
    return joined


class Ended(NamedTuple):
    """A bill of ours as the book streams it."""

    bill_no: str
    state: str
    amount_fen: int
    bill_id: int
    early: bool
    platform_no: str
    carried: Flows | None


def read_book(
    session: Session, payer_id: int, day: date, first_moment: datetime | None = None
) -> Iterator[Ended]:
    """Yield the bills of `book_of` as they come from the server."""
    wanted = book_of(payer_id, day, first_moment or bounds(day)[0])
    options = {"yield_per": _FETCHED}
    with session.connection().execute(wanted, execution_options=options) as rows:
        for bill, carried in rows:
            number, state, fen, bill_id, early, platform_no = bill.split("\t", 5)
            yield Ended(
                number,
                state,
                int(fen),
                int(bill_id),
                early == "1",
                platform_no,
                None if carried is None else _unpacked(carried),
            )


def _unpacked(carried: str) -> Flows:
    out_count, out_fen, in_count, in_fen, platform_no = carried.split("\t", 4)
    return Flows(int(out_count), int(out_fen), int(in_count), int(in_fen), platform_no)


class BookDigest:
    """SHA-256 over number, end and amount of each bill, in the order of the numbers."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, bill: Ended) -> None:
        """Take one bill."""
        self._hash.update(f"{bill.bill_no} {bill.state} {bill.amount_fen}\n".encode())

    def hexdigest(self) -> str:
        """Return the digest of what was added."""
        return self._hash.hexdigest()


class Examination:
    """One pass over one day. `book` streams and can do nothing else meanwhile; `session` looks things up."""

    def __init__(self, book: Session, session: Session, case: Case, spool: Spool) -> None:
        self._book = book
        self._session = session
        self._case = case
        self._spool = spool
        self._day = case.day.isoformat()
        self._start, self._end = bounds(case.day)
        self._first_moment = bounds(case.first_day)[0]
        self._leftovers: list[_Group] = []
        self.totals = Totals()

    def run(self, files: Sequence[BillFile]) -> Totals:
        """Compare `files` with the book; return the totals. Raises BadStatement."""
        with Sorter() as sorter:
            for file in files:
                for batch in batches(file.lines(), _BATCH):
                    self._take(batch, sorter)
            self._compare(_groups(sorter))
        self._age()
        return self.totals

    def _take(self, lines: Sequence[Line], sorter: Sorter) -> None:
        """Put lines under the number that they are about: ours by its form, or by the platform's number."""
        strangers = []
        for line in lines:
            if is_bill_number(line.voucher):
                sorter.add(_entry(line.voucher, "b", line))
            else:
                strangers.append(line)
        known = self._by_platform_number(strangers)
        for line in strangers:
            number = known.get(line.platform_no)
            if number is not None:
                sorter.add(_entry(number, "b", line))
            elif not self._is_elsewhere(line):
                sorter.add(_entry(line.voucher or line.platform_no or line.flow_no, "s", line))

    def _is_elsewhere(self, line: Line) -> bool:
        """Tell whether a line that is not about a bill of ours is none of our business, and count it."""
        if not line.is_out:
            self.totals.other_in_fen += line.fen
        elif self._case.shared:
            self.totals.other_out_fen += line.fen
        else:
            return False
        return True

    def _by_platform_number(self, lines: Sequence[Line]) -> dict[str, str]:
        numbers = {line.platform_no for line in lines if line.platform_no}
        if not numbers:
            return {}
        wanted = select(Bill.transfer_bill_no, Bill.bill_no).where(
            Bill.payer_id == self._case.payer_id, Bill.transfer_bill_no.in_(numbers)
        )
        rows = self._session.connection().execute(wanted)
        return {row.transfer_bill_no: row.bill_no for row in rows}

    def _compare(self, groups: Iterator[_Group]) -> None:
        digest = BookDigest()
        group = next(groups, None)
        for bill in read_book(self._book, self._case.payer_id, self._case.day, self._first_moment):
            while group is not None and group.number < bill.bill_no:
                self._later(group)
                group = next(groups, None)
            flows = Flows()
            if group is not None and group.number == bill.bill_no:
                flows, group = group.flows, next(groups, None)
            digest.add(bill)
            self._ended(bill, flows)
        while group is not None:
            self._later(group)
            group = next(groups, None)
        self._look_up()
        self.totals.digest = digest.hexdigest()

    def _later(self, group: _Group) -> None:
        self._leftovers.append(group)
        if len(self._leftovers) >= _BATCH:
            self._look_up()

    def _ended(self, bill: Ended, flows: Flows) -> None:
        """Judge a bill that ended on the day."""
        totals = self.totals
        if bill.state == _SUCCESS:
            totals.paid_bills += 1
            totals.paid_fen += bill.amount_fen
        if bill.carried is not None:
            totals.carried_change_fen -= bill.carried.net_fen
            flows = bill.carried.plus(flows)
        ours = Ours(bill.state == _SUCCESS, bill.amount_fen, bill.platform_no or None)
        if bill.early:
            with_assumed = assumed_before(ours, flows)
            totals.carried_change_fen -= with_assumed.net_fen - flows.net_fen
            flows = with_assumed
        kind = judge(ours, flows)
        if kind is not None:
            self._spool.find(Finding(bill.bill_no, kind, self._day, ours.expected_fen, flows, bill.bill_id))

    def _look_up(self) -> None:
        """Judge lines whose number is not among the bills that ended on the day."""
        groups, self._leftovers = self._leftovers, []
        numbers = [group.number for group in groups if group.ours]
        known = {row.bill_no: row for row in self._bills(numbers)}
        earlier = self._differences(numbers)
        for group in groups:
            bill = known.get(group.number) if group.ours else None
            if bill is None:
                self._spool.find(Finding(group.number, DifferenceKind.UNKNOWN, self._day, 0, group.flows))
            elif bill.ended_at is None or bill.ended_at >= self._end:
                self._carry(bill, group.flows)
            else:
                self._closed_before(bill, group.flows, earlier.get(group.number))

    def _bills(self, numbers: Sequence[str]) -> Sequence[Any]:
        carry = and_(StatementCarry.payer_id == Bill.payer_id, StatementCarry.bill_no == Bill.bill_no)
        wanted = (
            select(
                Bill.id,
                Bill.bill_no,
                Bill.state,
                Bill.amount_fen,
                Bill.transfer_bill_no,
                Bill.ended_at,
                StatementCarry.first_day,
                *_CARRIED,
            )
            .outerjoin(StatementCarry, carry)
            .where(Bill.payer_id == self._case.payer_id, Bill.bill_no.in_(numbers))
        )
        return self._session.connection().execute(wanted).all()

    def _differences(self, numbers: Sequence[str]) -> dict[str, Any]:
        known = StatementDifference
        wanted = (
            select(
                known.id,
                known.day,
                known.number,
                known.out_count,
                known.out_fen,
                known.in_count,
                known.in_fen,
                known.platform_no,
            )
            .where(
                known.payer_id == self._case.payer_id,
                known.number.in_(numbers),
                known.day < self._day,
                known.kind.not_in(_PARTIAL),
            )
            # The latest about a number is the one that is judged again.
            .order_by(known.day)
        )
        return {row.number: row for row in self._session.connection().execute(wanted)}

    def _carry(self, bill: Any, flows: Flows) -> None:
        self.totals.carried_change_fen += flows.net_fen
        if bill.first_day is None:
            self._spool.carry(Carried(bill.bill_no, self._day, flows))
        else:
            self._spool.carry(Carried(bill.bill_no, bill.first_day, _carried(bill).plus(flows)))

    def _closed_before(self, bill: Any, flows: Flows, earlier: Any) -> None:
        """Judge lines about a bill that ended on an earlier day, beside what that day has found."""
        paid = bill.state is BillState.SUCCESS
        ours = Ours(paid, bill.amount_fen, bill.transfer_bill_no)
        if earlier is not None:
            flows = _carried(earlier).plus(flows)
            again = judge(ours, flows) or DifferenceKind.LATE
            late = Finding(bill.bill_no, again, earlier.day, ours.expected_fen, flows, bill.id)
            self._spool.find(late._replace(known=earlier.id, found_on=self._day))
            return
        if bill.ended_at < self._first_moment and judge(ours, assumed_before(ours, flows)) is None:
            # It ended before anything was reconciled, and this is its line.
            self.totals.other_out_fen += flows.out_fen
            self.totals.other_in_fen += flows.in_fen
            return
        flows = booked(ours).plus(flows)
        kind = judge(ours, flows)
        if kind is not None:
            self._spool.find(Finding(bill.bill_no, kind, self._day, ours.expected_fen, flows, bill.id))

    def _age(self) -> None:
        """Find what the bills have shown three days ago and earlier of bills that still have not ended."""
        from_before = date.fromordinal(self._case.day.toordinal() - 3).isoformat()
        listed = select(StatementDifference.number).where(
            StatementDifference.payer_id == self._case.payer_id,
            StatementDifference.kind == DifferenceKind.STILL_OPEN,
        )
        wanted = (
            select(StatementCarry, Bill.id)
            .join(Bill, Bill.bill_no == StatementCarry.bill_no)
            .where(
                StatementCarry.payer_id == self._case.payer_id,
                StatementCarry.first_day <= from_before,
                or_(Bill.ended_at.is_(None), Bill.ended_at >= self._end),
                StatementCarry.bill_no.not_in(listed),
            )
        )
        for carry, bill_id in self._session.execute(wanted):
            flows = _carried(carry)
            found = Finding(
                carry.bill_no, DifferenceKind.STILL_OPEN, self._day, flows.net_fen, flows, bill_id
            )
            self._spool.find(found)


def _entry(number: str, mark: str, line: Line) -> str:
    """Return a line as it is sorted; a number from elsewhere may hold anything."""
    clean = number.replace("\t", " ")[:_LONGEST_NUMBER]
    platform_no = line.platform_no.replace("\t", " ")[:_LONGEST_NUMBER]
    return f"{clean}\t{mark}{'o' if line.is_out else 'i'}\t{line.fen}\t{platform_no}"


def _carried(row: Any) -> Flows:
    return Flows(row.out_count, row.out_fen, row.in_count, row.in_fen, row.platform_no)


def _groups(texts: Iterable[str]) -> Iterator[_Group]:
    """Yield one group per number: what its lines add up to."""
    number, mark, flows = "", "", Flows()
    for text in texts:
        this, direction, fen, platform_no = text.split("\t")
        line = Flows(1, int(fen), 0, 0, platform_no) if direction[1] == "o" else Flows(0, 0, 1, int(fen), "")
        if this == number:
            flows = flows.plus(line)
            continue
        if number:
            yield _Group(number, mark == "b", flows)
        number, mark, flows = this, direction[0], line
    if number:
        yield _Group(number, mark == "b", flows)
