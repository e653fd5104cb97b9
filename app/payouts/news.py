"""What becomes of a bill when something is learned about it, on whichever road the news came.

Answer, query and callback all end here. The guarded UPDATE is the judge: it lets a bill move forward only,
and lets it end once; whoever ends it tells the rooms above, in the same transaction, so there is exactly
one fact per end.
"""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_later
from app.db.prepared import Prepared
from app.outbox.operations import publish
from app.outbox.registry import Registry
from app.payouts.interfaces import TransferState
from app.payouts.models import Bill, Payout
from app.payouts.states import BILL_TRANSITIONS, PAYOUT_TRANSITIONS, BillState, PayoutState

SETTLED_FACT = "payout.settled"
FAILED_FACT = "payout.failed"
FACT_VERSION = 1
CONTRADICTION_ALERT = "bill.contradiction"
OVERDUE_ALERT = "bill.overdue"
LOST_ALERT = "bill.lost"

STATES = {
    TransferState.ACCEPTED: BillState.ACCEPTED,
    TransferState.PROCESSING: BillState.PROCESSING,
    TransferState.WAIT_USER_CONFIRM: BillState.WAIT_USER_CONFIRM,
    TransferState.TRANSFERING: BillState.TRANSFERING,
    TransferState.SUCCESS: BillState.SUCCESS,
    TransferState.FAIL: BillState.FAIL,
    TransferState.CANCELING: BillState.CANCELING,
    TransferState.CANCELLED: BillState.CANCELLED,
}

_LONGEST_REASON = 128


@dataclass(frozen=True, slots=True)
class KnownBill:
    """A bill of ours as far as news about it must be compared."""

    id: int
    payout_id: int
    award_id: int
    brand_id: int
    person_id: int
    bill_no: str


@dataclass(frozen=True, slots=True)
class News:
    """What the platform said about a bill."""

    state: TransferState
    transfer_bill_no: str | None = None
    package_info: str | None = field(default=None, repr=False)
    fail_reason: str | None = None


def apply_news(
    session: Session, registry: Registry, *, bill: KnownBill, news: News, cause: str, now: datetime
) -> bool:
    """Bring a bill forward to what `news` says; return whether it moved.

    Old and repeated news change nothing. An end writes the payout's state and publishes payout.settled or
    payout.failed (version 1: award_id, payout_id, bill_id, reason). Two different ends of one bill cannot
    both be true: the first stands and an alert calls for a person.
    """
    new = STATES[news.state]
    ends = BILL_TRANSITIONS.final(new)
    told = {
        "bill": bill.id,
        "sources": sorted(BILL_TRANSITIONS.sources(new)),
        "new": new,
        "number": news.transfer_bill_no,
    }
    if ends:
        reason = (news.fail_reason or "")[:_LONGEST_REASON] or None
        moved = _END_BILL.run(session, {**told, "now": now, "why": reason})
    else:
        moved = _MOVE_BILL.run(session, {**told, "package": news.package_info})
    if not moved:
        if news.package_info is not None:
            # A query was faster in telling the state, but only this answer opens the confirmation page.
            _GIVE_PACKAGE.run(session, {"bill": bill.id, "state": new, "package": news.package_info})
        _compare(session, bill, new, now)
        return False
    if ends:
        _end(session, registry, bill, new, news.fail_reason, cause=cause, now=now)
    return True


_KNOWN_NUMBER = func.coalesce(
    bindparam("number", type_=Bill.transfer_bill_no.type),
    Bill.transfer_bill_no,
    type_=Bill.transfer_bill_no.type,
)
_NEWS = update(Bill).where(Bill.id == bindparam("bill"), Bill.state.in_(bindparam("sources", expanding=True)))
_MOVE_BILL = Prepared(
    _NEWS.values(
        state=bindparam("new"),
        transfer_bill_no=_KNOWN_NUMBER,
        package_info=func.coalesce(bindparam("package", type_=Bill.package_info.type), Bill.package_info),
    )
)
# What opened the confirmation page opens nothing any more.
_END_BILL = Prepared(
    _NEWS.values(
        state=bindparam("new"),
        transfer_bill_no=_KNOWN_NUMBER,
        package_info=None,
        poll_at=None,
        ended_at=bindparam("now"),
        fail_reason=bindparam("why"),
    )
)
_GIVE_PACKAGE = Prepared(
    update(Bill)
    .where(Bill.id == bindparam("bill"), Bill.state == bindparam("state"))
    .values(package_info=bindparam("package"))
)
_END_PAYOUT = Prepared(
    update(Payout)
    .where(Payout.id == bindparam("payout"), Payout.state.in_(bindparam("sources", expanding=True)))
    .values(state=bindparam("new"), settled_at=bindparam("settled"))
)


def _not_the_open_one() -> AssertionError:
    return AssertionError("a bill ended that was not the open one of its payout")


def _end(
    session: Session,
    registry: Registry,
    bill: KnownBill,
    new: BillState,
    reason: str | None,
    *,
    cause: str,
    now: datetime,
) -> None:
    paid = new is BillState.SUCCESS
    state = PayoutState.SETTLED if paid else PayoutState.FAILED
    _END_PAYOUT.write_later(
        session,
        {
            "payout": bill.payout_id,
            "sources": sorted(PAYOUT_TRANSITIONS.sources(state)),
            "new": state,
            "settled": now if paid else None,
        },
        lost=_not_the_open_one,
    )
    resolve_later(session, kinds=(OVERDUE_ALERT, LOST_ALERT), subject=bill.bill_no, by="wechat-pay", now=now)
    publish(
        session,
        registry,
        name=SETTLED_FACT if paid else FAILED_FACT,
        version=FACT_VERSION,
        brand_id=bill.brand_id,
        person_id=bill.person_id,
        payload={
            "award_id": bill.award_id,
            "payout_id": bill.payout_id,
            "bill_id": bill.id,
            "reason": (reason or "")[:_LONGEST_REASON] or str(new),
        },
        occurred_at=now,
        now=now,
        cause=cause[:96],
    )


def _compare(session: Session, bill: KnownBill, new: BillState, now: datetime) -> None:
    known = session.connection().execute(select(Bill.state).where(Bill.id == bill.id)).scalar_one()
    if not (BILL_TRANSITIONS.final(new) and BILL_TRANSITIONS.final(known)) or known is new:
        return
    raise_alert(
        session,
        kind=CONTRADICTION_ALERT,
        subject=bill.bill_no,
        severity=Severity.CRITICAL,
        detail=f"The bill ended as {known} and is now said to be {new}. Compare it with the merchant platform"
        " and with the award's other bills: it may have been paid twice, or not at all.",
        now=now,
    )
