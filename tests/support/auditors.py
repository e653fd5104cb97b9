"""The auditors: they believe nobody, neither our tables nor the platform, and compare every fen.

Each fault is one sentence; no fault means that nothing was lost and nothing was paid twice. They are asked
when everything that was due has happened.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.ledger.models import Account, TransferRow
from app.ledger.queries import audit as audit_ledger
from app.outbox.models import MessageState, OutboxMessage
from app.payouts.closing import CLOSE_TOPIC, NEVER_OPENED
from app.payouts.models import Bill, Payout
from app.payouts.operations import OPEN_TOPIC
from app.payouts.states import BillState
from app.rewards.models import Award, AwardKind, AwardState
from app.tax.models import AwardTax, TaxState
from app.tax.queries import WITHHELD_PURPOSE

_NOT_PAID = frozenset({"FAIL", "CANCELLED"})


class _Bill(NamedTuple):
    """A bill of ours with the award that it is for."""

    award_id: int
    bill_no: str
    state: BillState
    openid: str
    amount_fen: int
    package_info: str | None
    fail_reason: str | None


def audit(session: Session, book: Mapping[str, Any], *, openids: Collection[str]) -> list[str]:
    """Compare our tables with one another and with the platform's `book`, for the people of `openids`."""
    columns = (
        Payout.award_id,
        Bill.bill_no,
        Bill.state,
        Bill.openid,
        Bill.amount_fen,
        Bill.package_info,
        Bill.fail_reason,
    )
    joined = select(*columns).join(Payout, Payout.id == Bill.payout_id).order_by(Bill.id)
    ours = [_Bill._make(row) for row in session.execute(joined)]
    theirs = [bill for bill in book["bills"] if bill["openid"] in openids]
    paid = {openid: fen for openid, fen in book["paid"].items() if openid in openids}
    return [
        *audit_ledger(session),
        *(f"the platform's own book: {fault}" for fault in book["faults"]),
        *_messages(session),
        *_awards(session, ours),
        *_bills(ours, theirs),
        *_people(ours, paid),
        *_money(session, sum(paid.values())),
        *_taxes(session),
    ]


def _messages(session: Session) -> list[str]:
    faults = []
    for row in session.execute(select(OutboxMessage)).scalars():
        if row.state is MessageState.PENDING:
            faults.append(f"message {row.topic} {row.key} waits: attempt {row.attempts}, {row.reason}")
        elif not row.reason:
            faults.append(f"message {row.topic} {row.key} is parked without a reason")
    return faults


def _awards(session: Session, bills: Sequence[_Bill]) -> list[str]:
    """Check that each money award's value stands where its state says, and that none is stuck."""
    resolutions = select(TransferRow.key, Account.purpose).join(
        Account, Account.id == TransferRow.credit_account
    )
    rows = session.execute(resolutions.where(TransferRow.key.like("award:%:resolve")))
    resolved = {key: purpose for key, purpose in rows}  # noqa: C416 - rows are no pairs to mypy
    at_work = select(OutboxMessage.key).where(OutboxMessage.topic.in_([OPEN_TOPIC, CLOSE_TOPIC]))
    opening = {key.partition(":")[0] for key in session.scalars(at_work)}
    latest = {bill.award_id: bill for bill in bills}
    succeeded = Counter(bill.award_id for bill in bills if bill.state is BillState.SUCCESS)
    faults = []
    for award in session.scalars(select(Award).where(Award.kind == AwardKind.MONEY)):
        purpose = resolved.get(f"award:{award.id}:resolve")
        wanted = {AwardState.FULFILLED: "paid", AwardState.LAPSED: "budget", AwardState.REFUSED: "budget"}
        if purpose != wanted.get(award.state):
            faults.append(f"award {award.id} is {award.state} and its money went to {purpose}")
        if succeeded[award.id] != (1 if award.state is AwardState.FULFILLED else 0):
            faults.append(f"award {award.id} is {award.state} with {succeeded[award.id]} paid bills")
        bill = latest.get(award.id)
        if award.state is AwardState.LOCKED and not _alive(bill, opening):
            faults.append(f"award {award.id} is locked and nothing is at work for it")
    return faults


def _taxes(session: Session) -> list[str]:
    """Check that tax is owed for exactly the taxed awards that somebody has, and lies on its account."""
    states = {AwardState.FULFILLED: TaxState.DUE, AwardState.LAPSED: TaxState.VOID}
    states[AwardState.REFUSED] = TaxState.VOID
    faults, owed_fen = [], 0
    kept = {tax.award_id: tax for tax in session.scalars(select(AwardTax))}
    for award in session.scalars(select(Award).where(Award.withheld_fen + Award.borne_fen > 0)):
        tax = kept.pop(award.id, None)
        if tax is None or tax.tax_fen != award.withheld_fen + award.borne_fen:
            faults.append(f"award {award.id} and the record of its tax disagree")
            continue
        if tax.state is not states.get(award.state, TaxState.PROMISED):
            faults.append(f"award {award.id} is {award.state} and its tax {tax.state}")
        owed_fen += tax.tax_fen if award.state is AwardState.FULFILLED else 0
    faults += [f"there is tax for {award_id}, which takes none" for award_id in kept]
    booked = select(TransferRow.amount).join(Account, Account.id == TransferRow.credit_account)
    total = sum(session.scalars(booked.where(Account.purpose == WITHHELD_PURPOSE)))
    return (
        faults if total == owed_fen else [*faults, f"{owed_fen} fen of tax are owed, {total} are set aside"]
    )


def _alive(bill: _Bill | None, opening: Collection[str]) -> bool:
    if bill is None:
        return False
    if bill.state in (BillState.NEW, BillState.ACCEPTED, BillState.PROCESSING):
        return bill.bill_no in opening
    return bill.state is not BillState.WAIT_USER_CONFIRM or bill.package_info is not None


def _bills(ours: Sequence[_Bill], theirs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the platform's bills with ours by number, and count those that could pay one award."""
    known = {bill.bill_no: bill for bill in ours}
    faults = []
    could_pay: Counter[int] = Counter()
    for bill in theirs:
        number, state = bill["out_bill_no"], bill["state"]
        own = known.pop(number, None)
        if own is None:
            faults.append(f"the platform has bill {number}, which is none of ours")
            continue
        if (bill["amount_fen"], bill["openid"]) != (own.amount_fen, own.openid):
            faults.append(f"bill {number} has another amount or receiver at the platform")
        if state.lower() != own.state:
            faults.append(f"bill {number} is {state} at the platform and {own.state} here")
        if state not in _NOT_PAID:
            could_pay[own.award_id] += 1
    faults += [
        f"award {award} could be paid {number} times" for award, number in could_pay.items() if number > 1
    ]
    faults += [
        f"bill {bill.bill_no} is {bill.state} and the platform does not know it"
        for bill in known.values()
        # One that was closed before it ever arrived there is known to nobody else.
        if bill.state is not BillState.NEW and bill.fail_reason != NEVER_OPENED
    ]
    return faults


def _people(ours: Sequence[_Bill], paid: Mapping[str, int]) -> list[str]:
    expected: Counter[str] = Counter()
    for bill in ours:
        if bill.state is BillState.SUCCESS:
            expected[bill.openid] += bill.amount_fen
    return [
        f"somebody was paid {paid.get(openid, 0)} fen, our bills say {expected[openid]}"
        for openid in expected.keys() | paid.keys()
        if expected[openid] != paid.get(openid, 0)
    ]


def _money(session: Session, paid_fen: int) -> list[str]:
    booked = select(TransferRow.amount).join(Account, Account.id == TransferRow.credit_account)
    total = sum(session.scalars(booked.where(Account.purpose == "paid")))
    return [] if total == paid_fen else [f"the platform paid {paid_fen} fen, our ledger says {total}"]
