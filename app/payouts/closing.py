"""Ending a bill that can get no further, so that its award comes free: the operator's way out.

A receiver whose account cannot take money, a scene that is refused for good, a bill that nobody confirms:
the award is locked as long as its bill may pay. Only the platform ends a bill. It is asked; what it still
may pay is cancelled there; what it does not know, it must not know twice, ten minutes apart, while nothing
of ours opens it any more. Ten minutes, because the platform refuses signatures older than five: whatever
was on its way at the first look has arrived by the second.

A red packet cannot be cancelled: what nobody opens comes back after a day, which is waited for. That it is
not known proves nothing at any time: its request carries no time and may still arrive.

Not being known proves nothing about a bill that the platform has once accepted, nor after the thirty days
for which it answers (platform contracts 4.8). Then a person looks at the merchant platform and concludes,
with evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert
from app.kernel.actor import Actor
from app.kernel.boundaries import reach
from app.outbox import queries as outbox
from app.outbox.contracts import (
    Call,
    Done,
    EffectKind,
    Message,
    Park,
    RetryAt,
    RetryLater,
    Settlement,
    Skip,
)
from app.outbox.operations import enqueue, recall
from app.outbox.registry import Registry
from app.payouts import queries
from app.payouts.advice import advice
from app.payouts.effects import BillEffect, BillRow, Known, load, news_of, say, slow_down
from app.payouts.errors import BillEnded, StillProvable, UnknownBill
from app.payouts.interfaces import (
    PayerCredentials,
    PayMethod,
    TransferAnswer,
    TransferOutcome,
    TransferState,
)
from app.payouts.models import Bill, Payout
from app.payouts.news import LOST_ALERT, KnownBill, News, apply_news
from app.payouts.states import BILL_TRANSITIONS, OPEN_BILL_STATES, BillState

CLOSE_TOPIC = "payouts.close"
NEVER_OPENED = "NEVER_OPENED"
CONCLUDED = "CONCLUDED"
LOOKS_APART = timedelta(minutes=10)
# The platform answers for 30 days; one of them is for clocks that differ.
ANSWERS_FOR = timedelta(days=29)

_IN_FLIGHT_CHECK = timedelta(minutes=1)
_CANCEL_CHECK = timedelta(seconds=15)
_CANCEL_CHECK_MOST = timedelta(minutes=5)
_PACKET_CHECK = timedelta(hours=1)
_CANCELLABLE = frozenset({TransferState.ACCEPTED, TransferState.PROCESSING, TransferState.WAIT_USER_CONFIRM})
_GOING = frozenset({TransferOutcome.ACCEPTED, TransferOutcome.FINAL})
_NOT_DECIDED = frozenset({TransferOutcome.RETRY_SAME, TransferOutcome.FREQUENCY, TransferOutcome.UNKNOWN})


def close_bill(session: Session, *, bill_no: str, reason: str, now: datetime, actor: Actor) -> int:
    """Begin to close a bill: from now on nothing opens it; return the message that asks the platform.

    The message that opens it runs once more, finds this and ends. It may be asked again when an earlier
    attempt came to no end. Raises UnknownBill, BillEnded.
    """
    found = (
        session.connection()
        .execute(select(Bill.id, Bill.message_id, Bill.payer_id).where(Bill.bill_no == bill_no))
        .first()
    )
    if found is None:
        raise UnknownBill("there is no bill with this number; `saoma payouts stuck` lists those in trouble")
    recall(session, message_id=found.message_id, by=actor.label, now=now)
    asked = (
        update(Bill)
        .where(Bill.id == found.id, Bill.state.in_(OPEN_BILL_STATES))
        .values(closing_at=now, closing_by=actor.label[:64], closing_reason=reason[:200])
    )
    if session.connection().execute(asked).rowcount == 0:
        raise BillEnded("it has ended already; its award is paid or can be collected again")
    message_id = enqueue(
        session,
        topic=CLOSE_TOPIC,
        key=f"{bill_no}:{now:%Y%m%dT%H%M%S.%f}",
        payload={"bill": found.id},
        now=now,
        group=str(found.payer_id),
    )
    reach("payouts.closing")
    return message_id


def conclude(
    session: Session,
    registry: Registry,
    *,
    bill_no: str,
    paid: bool,
    evidence: str,
    now: datetime,
    actor: Actor,
) -> None:
    """End a bill by a person's word, when the platform cannot tell any more; `evidence` is kept.

    Only after `close_bill` has asked, the platform did not know the bill, and that proves nothing. Raises
    UnknownBill, BillEnded, StillProvable.
    """
    wanted = (
        select(Bill, Payout)
        .join(Payout, Payout.id == Bill.payout_id)
        .where(Bill.bill_no == bill_no)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = session.execute(wanted).first()
    if found is None:
        raise UnknownBill("there is no bill with this number; `saoma payouts stuck` lists those in trouble")
    bill, payout = found
    method = queries.payer(session, bill.payer_id).method
    if BILL_TRANSITIONS.final(bill.state):
        raise BillEnded("it has ended already; its award is paid or can be collected again")
    if bill.closing_at is None or bill.absent_at is None or _absence_counts(bill, method, now):
        raise StillProvable("let WeChat Pay tell: `saoma payouts close` asks, and cancels what may still pay")
    bill.closing_by, bill.closing_reason = actor.label[:64], evidence[:200]
    session.flush()
    facts = KnownBill(bill.id, payout.id, payout.award_id, payout.brand_id, payout.person_id, bill_no)
    news = News(TransferState.SUCCESS if paid else TransferState.CANCELLED, fail_reason=CONCLUDED)
    apply_news(session, registry, bill=facts, news=news, cause=f"operator:{actor.label}"[:96], now=now)


def progress(session: Session, *, bill_no: str) -> str:
    """Return how far the closing of a bill has come, in a sentence for an operator; raise UnknownBill."""
    bill = session.scalar(select(Bill).where(Bill.bill_no == bill_no))
    if bill is None:
        raise UnknownBill("there is no bill with this number; `saoma payouts stuck` lists those in trouble")
    if bill.state is BillState.SUCCESS:
        return "WeChat Pay says that it was paid; the award is its winner's"
    if BILL_TRANSITIONS.final(bill.state):
        return f"ended as {bill.state}; the award can be collected again"
    if bill.state in (BillState.CANCELING, BillState.TRANSFERING):
        return f"WeChat Pay says {bill.state}; its end is asked for"
    if bill.absent_at is not None:
        return "WeChat Pay does not know it; that is asked once more before it counts"
    return "being asked about; `saoma payouts stuck` tells how it goes"


def _absence_counts(bill: Bill | BillRow, method: PayMethod, now: datetime) -> bool:
    if method.is_packet:
        return False
    return bill.state is BillState.NEW and now - bill.opened_at < ANSWERS_FOR


@dataclass(frozen=True, slots=True)
class CloseCall:
    """A bill to ask about and, while it may be, to cancel."""

    payer: PayerCredentials
    bill_no: str


class CloseBills(BillEffect):
    """The effect payouts.close: asks where a bill stands, cancels it, and ends it by the platform's word."""

    topic: str = CLOSE_TOPIC
    kind: EffectKind = EffectKind.IDEMPOTENT
    batch_size: int = 10
    concurrency: int = 5
    deadline_seconds: float = 30.0

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        """Leave out what has ended; wait for an attempt to open the bill that had begun before."""
        known = load(session, messages)
        opening = outbox.in_flight(session, [one.bill.message_id for one in known.values()])
        answers: list[Call | Skip] = []
        for message in messages:
            one = known[message.payload["bill"]]
            if BILL_TRANSITIONS.final(one.bill.state):
                answers.append(Skip(Done(f"it has ended: {one.bill.state}")))
            elif one.bill.message_id in opening:
                wait = RetryAt(now + _IN_FLIGHT_CHECK, "an attempt to open it is under way", counts=False)
                answers.append(Skip(wait))
            else:
                answers.append(
                    Call(CloseCall(queries.credentials(one.payer, one.bill.appid), one.bill.bill_no))
                )
        return answers

    def perform(self, request: CloseCall) -> TransferAnswer:
        """Ask first; cancel what its receiver has not confirmed."""
        known = self._gateway.query(request.payer, request.bill_no)
        if known.outcome is not TransferOutcome.ACCEPTED or known.state not in _CANCELLABLE:
            return known
        answer = self._gateway.cancel(request.payer, request.bill_no)
        if answer.outcome in _GOING or answer.outcome in _NOT_DECIDED:
            return answer
        # Refused: its receiver may have confirmed in between.
        return self._gateway.query(request.payer, request.bill_no)

    def answered(
        self, session: Session, message: Message, known: Known, answer: TransferAnswer, now: datetime
    ) -> Settlement:
        """Write what the platform said."""
        match answer.outcome:
            case TransferOutcome.ACCEPTED | TransferOutcome.FINAL:
                return self._found(session, message, known, answer, now)
            case TransferOutcome.NOT_FOUND:
                return self._absent(session, message, known, now)
            case TransferOutcome.FREQUENCY:
                return slow_down(message, answer, now)
            case TransferOutcome.REFUSED:
                return Park(advice(answer))
            case _:
                return RetryLater(say(answer))

    def _found(
        self, session: Session, message: Message, known: Known, answer: TransferAnswer, now: datetime
    ) -> Settlement:
        apply_news(
            session,
            self._registry,
            bill=known.facts,
            news=news_of(answer),
            cause=f"{self.topic}:{message.id}",
            now=now,
        )
        _note_absence(session, known.bill, None)
        match answer.state:
            case TransferState.CANCELING:
                pause = min(_CANCEL_CHECK * min(message.attempt, 1000), _CANCEL_CHECK_MOST)
                return RetryAt(now + pause, "the platform is cancelling it", counts=False)
            case TransferState.TRANSFERING:
                return Done("its receiver has confirmed: it pays or fails by itself")
            case state if state in _CANCELLABLE and known.payer.method.is_packet:
                return RetryAt(now + _PACKET_CHECK, f"{state}: what nobody opens comes back", counts=False)
            case state if state in _CANCELLABLE:
                return RetryLater(f"the platform says {state} and does not cancel it")
            case _:
                return Done(str(answer.state))

    def _absent(self, session: Session, message: Message, known: Known, now: datetime) -> Settlement:
        # What a callback has ended meanwhile must not be compared with an end that we only infer.
        state = _locked_state(session, known.bill)
        if BILL_TRANSITIONS.final(state):
            return Done(f"it has ended: {state}")
        since = known.bill.absent_at
        if since is None:
            since = now
            _note_absence(session, known.bill, since)
        if not _absence_counts(known.bill, known.payer.method, now):
            _needs_a_person(session, known.bill, now)
            return Done("not known to the platform, which proves nothing")
        if now - since < LOOKS_APART:
            return RetryAt(since + LOOKS_APART, "not known to the platform; it is asked again", counts=False)
        apply_news(
            session,
            self._registry,
            bill=known.facts,
            news=News(TransferState.CANCELLED, fail_reason=NEVER_OPENED),
            cause=f"{self.topic}:{message.id}",
            now=now,
        )
        return Done("never opened at the platform")


def _locked_state(session: Session, bill: BillRow) -> BillState:
    locked = select(Bill.state).where(Bill.id == bill.id).with_for_update()
    return session.connection().execute(locked).scalar_one()


def _note_absence(session: Session, bill: BillRow, since: datetime | None) -> None:
    if bill.absent_at != since:
        session.connection().execute(update(Bill).where(Bill.id == bill.id).values(absent_at=since))


def _needs_a_person(session: Session, bill: BillRow, now: datetime) -> None:
    raise_alert(
        session,
        kind=LOST_ALERT,
        subject=bill.bill_no,
        severity=Severity.CRITICAL,
        detail="WeChat Pay does not know this bill, which proves nothing: it accepted it once, or answers for"
        " 30 days only. Look it up on the merchant platform, then `saoma payouts conclude` with evidence.",
        now=now,
    )
