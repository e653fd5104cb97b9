"""Bills that get no further by themselves: what an operator must look at, with what to do about each."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.alerts.queries import open_of
from app.outbox.models import MessageState
from app.outbox.queries import unfinished
from app.payouts.closing import CLOSE_TOPIC
from app.payouts.models import Bill, Payout
from app.payouts.news import LOST_ALERT, OVERDUE_ALERT
from app.payouts.operations import OPEN_TOPIC
from app.payouts.states import OPEN_BILL_STATES, BillState

_PARKED_ALERT = "outbox.parked"

_CLOSE = "`saoma payouts close {bill_no} --reason …` frees its award once nothing can be paid any more"
_REPLAY = "mend the cause, then `saoma outbox replay {message}`; or " + _CLOSE
_CONCLUDE = (
    "`saoma payouts close {bill_no} --reason …`; look it up on the merchant platform,"
    " then `saoma payouts conclude {bill_no}`"
)


@dataclass(frozen=True, slots=True)
class StuckBill:
    """A bill in trouble: `why` and since when, and `advice` for an operator; `amount_fen` in fen."""

    bill_no: str
    award_id: int
    person_id: int
    amount_fen: int
    state: BillState
    since: datetime
    why: str
    advice: str


@dataclass(slots=True)
class _Troubles:
    """The first trouble found of a bill is the one that is shown: they are looked for in that order."""

    by_id: dict[int, tuple[datetime, str, str]] = field(default_factory=dict)
    by_number: dict[str, tuple[datetime, str, str]] = field(default_factory=dict)

    def of(self, bill: Bill) -> tuple[datetime, str, str]:
        """Return since when, why, and what to do."""
        return self.by_number.get(bill.bill_no) or self.by_id[bill.id]


def stuck_bills(session: Session, *, limit: int = 100) -> list[StuckBill]:
    """Return open bills that were refused, lost, are overdue or being closed, the oldest trouble first."""
    troubles = _troubles(session, limit)
    wanted = (
        select(Bill, Payout.award_id, Payout.person_id)
        .join(Payout, Payout.id == Bill.payout_id)
        .where(
            or_(Bill.id.in_(troubles.by_id), Bill.bill_no.in_(troubles.by_number)),
            Bill.state.in_(OPEN_BILL_STATES),
        )
    )
    found = []
    for bill, award_id, person_id in session.execute(wanted):
        since, why, advice = troubles.of(bill)
        found.append(
            StuckBill(
                bill_no=bill.bill_no,
                award_id=award_id,
                person_id=person_id,
                amount_fen=bill.amount_fen,
                state=bill.state,
                since=since,
                why=why,
                advice=advice.format(bill_no=bill.bill_no, message=bill.message_id),
            )
        )
    return sorted(found, key=lambda one: (one.since, one.bill_no))[:limit]


def _troubles(session: Session, limit: int) -> _Troubles:
    troubles = _Troubles()
    parked_at = {
        alert.subject: alert.first_at for alert in open_of(session, kinds=[_PARKED_ALERT], limit=limit)
    }
    for message in unfinished(session, topic=CLOSE_TOPIC, limit=limit):
        since = parked_at.get(str(message.id), message.enqueued_at)
        parked = message.state is MessageState.PARKED
        advice = (
            _REPLAY.replace("{message}", str(message.id)) if parked else "wait: WeChat Pay is being asked"
        )
        why = f"closing it: {message.reason or 'begun'}"
        troubles.by_id.setdefault(message.payload["bill"], (since, why, advice))
    for alert in open_of(session, kinds=[LOST_ALERT], limit=limit):
        troubles.by_number[alert.subject] = (alert.first_at, "WeChat Pay does not know it", _CONCLUDE)
    for message in unfinished(session, topic=OPEN_TOPIC, parked_only=True, limit=limit):
        since = parked_at.get(str(message.id), message.enqueued_at)
        troubles.by_id.setdefault(message.payload["bill"], (since, message.reason or "parked", _REPLAY))
    for alert in open_of(session, kinds=[OVERDUE_ALERT], limit=limit):
        why = "open for longer than WeChat Pay keeps an unconfirmed bill"
        troubles.by_number.setdefault(alert.subject, (alert.first_at, why, _CLOSE))
    return troubles
