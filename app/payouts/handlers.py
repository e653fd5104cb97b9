"""What payouts does when a bill is due to be opened or asked about, and when the platform calls back.

The number of a bill protects it: however often the request is repeated, there is one transfer. What needs
care is never to believe too early that there is none. Hence every attempt after the first asks before it
opens again, and a refusal counts only once a query has found nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.kernel.actor import Actor, ActorKind
from app.outbox.contracts import (
    Call,
    Callback,
    Done,
    EffectKind,
    Message,
    Park,
    RetryAt,
    RetryLater,
    Settlement,
    Skip,
)
from app.outbox.queries import outcomes
from app.outbox.registry import Registry
from app.payouts import notices, operations, queries
from app.payouts.advice import advice
from app.payouts.effects import (
    BillEffect,
    BillRow,
    Known,
    load,
    load_by_number,
    news_of,
    say,
    slow_down,
    tomorrow,
)
from app.payouts.interfaces import (
    PayerCredentials,
    ReportInfo,
    TransferAnswer,
    TransferNotice,
    TransferOutcome,
    TransferRequest,
    TransferState,
)
from app.payouts.models import Payer
from app.payouts.news import LOST_ALERT, OVERDUE_ALERT, News, apply_news
from app.payouts.states import BILL_TRANSITIONS, BillState, PayerState

QUERY_REFUSED_ALERT = "payer.query_refused"
STRANGE_CALLBACK_ALERT = "callback.strange"

# WeChat Pay closes what nobody confirmed after 24 hours; two more are patience.
OVERDUE_AFTER = timedelta(hours=26)
# WeChat Pay also says PROCESSING for as long as the merchant's balance is short.
SLOW_AFTER = timedelta(minutes=10)
# Bills of a paused payer look again so seldom because a resumed payer wakes them all.
_PAUSED_CHECK = timedelta(minutes=40)
# How soon to ask again for the package_info of a bill that is still being accepted, times the attempt.
_PACKAGE_CHECK = timedelta(seconds=2)
_PACKAGE_CHECK_MOST = timedelta(minutes=5)

# A platform in trouble is over it after as many tries, 4 to 9 minutes; a wrong secret never is.
_SUSPECT_TRIES = 9

_PLATFORM = Actor(ActorKind.PLATFORM, "wechat-pay")
_ASK_AGAIN = frozenset({TransferOutcome.ACCEPTED, TransferOutcome.NOT_FOUND})
_BEFORE_CONFIRMING = frozenset(
    {TransferState.ACCEPTED, TransferState.PROCESSING, TransferState.WAIT_USER_CONFIRM}
)
_OPENING = frozenset({BillState.NEW, BillState.ACCEPTED, BillState.PROCESSING, BillState.WAIT_USER_CONFIRM})
# In these the money has been set aside, so the payer has some.
_FUNDED = frozenset({TransferState.WAIT_USER_CONFIRM, TransferState.TRANSFERING, TransferState.SUCCESS})


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A bill to open; `ask_first` when an earlier attempt may have reached the platform."""

    request: TransferRequest
    ask_first: bool


@dataclass(frozen=True, slots=True)
class QueryCall:
    """A bill to ask about."""

    payer: PayerCredentials
    bill_no: str


class OpenBills(BillEffect):
    """The effect payouts.open: hands a bill to WeChat Pay until it waits for the shopper to confirm.

    Its message stays alive until the platform has the bill and we have its package_info, so a bill that
    was never accepted is opened again, with the same number, by the message itself.
    """

    topic: str = operations.OPEN_TOPIC
    kind: EffectKind = EffectKind.IDEMPOTENT
    batch_size: int = 50
    concurrency: int = 10
    deadline_seconds: float = 30.0

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        """Build the request of each bill from its own row; hold back those whose payer is paused."""
        known = load(session, messages)
        return [self._prepare(session, message, known[message.payload["bill"]], now) for message in messages]

    def _prepare(self, session: Session, message: Message, known: Known, now: datetime) -> Call | Skip:
        bill, payer = known.bill, known.payer
        if bill.closing_at is not None:
            return Skip(Done("an operator is closing it"))
        # Where the app needs nothing to hand over, a bill is open as soon as the platform has it.
        opened = bill.package_info is not None or not (
            payer.method.taken_in_app or bill.state is BillState.NEW
        )
        if opened or bill.state not in _OPENING:
            return Skip(Done(f"nothing to open: {bill.state}"))
        if payer.state is PayerState.PAUSED_OPERATOR:
            return Skip(RetryAt(now + _PAUSED_CHECK, "the payer is paused by an operator", counts=False))
        if payer.state is PayerState.PAUSED_BALANCE and not operations.take_probe(
            session, payer_id=payer.id, now=now
        ):
            return Skip(RetryAt(now + _PAUSED_CHECK, "the payer's balance is short", counts=False))
        request = TransferRequest(
            payer=queries.credentials(payer, bill.appid),
            appid=bill.appid,
            openid=bill.openid,
            bill_no=bill.bill_no,
            amount_fen=bill.amount_fen,
            remark=bill.remark,
            scene_id=bill.scene_id,
            report_infos=tuple(ReportInfo(**info) for info in bill.report_infos),
            recv_style=bill.recv_style,
            user_name=bill.user_name,
            notify_url=bill.notify_url,
        )
        return Call(OpenCall(request, ask_first=message.attempt > 1))

    def perform(self, request: OpenCall) -> TransferAnswer:
        """Open the bill at the platform; ask before repeating, and after a refusal or a suspicion."""
        payer, number = request.request.payer, request.request.bill_no
        if request.ask_first:
            known = self._gateway.query(payer, number)
            if known.outcome not in _ASK_AGAIN:
                return known
            taken_in_app = payer.method.taken_in_app
            if known.state is not None and not (taken_in_app and known.state in _BEFORE_CONFIRMING):
                return known
            # Unknown there, or not confirmed yet in the app: only opening tells the package_info.
        answer = self._gateway.open(request.request)
        if answer.outcome is TransferOutcome.REFUSED:
            known = self._gateway.query(payer, number)
            if known.outcome not in {TransferOutcome.NOT_FOUND, TransferOutcome.REFUSED}:
                return known
        if answer.outcome is TransferOutcome.SUSPECT:
            known = self._gateway.query(payer, number)
            # A query that came to nothing must not hide the suspicion: it has to be counted.
            return answer if known.state is None else known
        return answer

    def answered(
        self, session: Session, message: Message, known: Known, answer: TransferAnswer, now: datetime
    ) -> Settlement:
        """Write what came of the calls."""
        match answer.outcome:
            case TransferOutcome.ACCEPTED | TransferOutcome.FINAL:
                return self._accepted(session, message, known, answer, now)
            case TransferOutcome.SHORT_OF_FUNDS:
                return _short_of_funds(session, known.payer, now)
            case TransferOutcome.FREQUENCY:
                return slow_down(message, answer, now)
            case TransferOutcome.NEXT_DAY:
                return tomorrow(answer, now)
            case TransferOutcome.REFUSED:
                return Done("refused while closing") if known.bill.closing_at else Park(advice(answer))
            case TransferOutcome.SUSPECT:
                return _suspect(session, message, known.bill, answer)
            case _:
                # Nobody knows whether it counted: the next attempt asks before it repeats the number.
                return RetryLater(say(answer))

    def _accepted(
        self, session: Session, message: Message, known: Known, answer: TransferAnswer, now: datetime
    ) -> Settlement:
        assert answer.state is not None
        cause = f"{self.topic}:{message.id}"
        apply_news(session, self._registry, bill=known.facts, news=news_of(answer), cause=cause, now=now)
        # Only a bill that had to wait can be the first sign of fresh money: the others spare the look-up.
        if answer.state in _FUNDED and message.attempt > 1:
            operations.note_funds(session, payer=known.payer, now=now, actor=_PLATFORM)
        if not known.payer.method.taken_in_app:
            return Done(str(answer.state))
        if answer.state is TransferState.WAIT_USER_CONFIRM and answer.package_info is None:
            return RetryLater("the bill waits for its receiver, and the platform gave no package_info")
        if answer.state in _BEFORE_CONFIRMING and answer.package_info is None:
            if now - known.bill.opened_at > SLOW_AFTER:
                _slow(session, known.payer, now)
            pause = min(_PACKAGE_CHECK * min(message.attempt, 1000), _PACKAGE_CHECK_MOST)
            return RetryAt(now + pause, f"the platform says {answer.state}", counts=False)
        return Done(str(answer.state))


class QueryBills(BillEffect):
    """The effect payouts.query: asks where a bill stands that has been open too long without news."""

    topic: str = operations.QUERY_TOPIC
    kind: EffectKind = EffectKind.IDEMPOTENT
    batch_size: int = 50
    concurrency: int = 10
    deadline_seconds: float = 12.0

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        """Leave out what has ended and what a later poll asks about; a paused payer is still asked for."""
        known = load(session, messages)
        answers: list[Call | Skip] = []
        for message in messages:
            one = known[message.payload["bill"]]
            if BILL_TRANSITIONS.final(one.bill.state):
                answers.append(Skip(Done(f"it has ended: {one.bill.state}")))
            elif message.payload["poll"] < one.bill.polls:
                answers.append(Skip(Done("a later poll asks")))
            else:
                answers.append(
                    Call(QueryCall(queries.credentials(one.payer, one.bill.appid), one.bill.bill_no))
                )
        return answers

    def perform(self, request: QueryCall) -> TransferAnswer:
        """Ask the platform."""
        return self._gateway.query(request.payer, request.bill_no)

    def answered(
        self, session: Session, message: Message, known: Known, answer: TransferAnswer, now: datetime
    ) -> Settlement:
        """Write what the platform said."""
        match answer.outcome:
            case TransferOutcome.ACCEPTED | TransferOutcome.FINAL:
                cause = f"{self.topic}:{message.id}"
                apply_news(
                    session, self._registry, bill=known.facts, news=news_of(answer), cause=cause, now=now
                )
                _watch_age(session, known.bill, answer, now)
                resolve_alert(
                    session,
                    kind=QUERY_REFUSED_ALERT,
                    subject=str(known.payer.id),
                    by=_PLATFORM.label,
                    now=now,
                )
                return Done(str(answer.state))
            case TransferOutcome.NOT_FOUND:
                return _not_found(session, known.bill, now)
            case TransferOutcome.FREQUENCY:
                return slow_down(message, answer, now)
            case TransferOutcome.REFUSED:
                raise_alert(
                    session,
                    kind=QUERY_REFUSED_ALERT,
                    subject=str(known.payer.id),
                    severity=Severity.CRITICAL,
                    detail=f"WeChat Pay refuses to tell where bills of merchant {known.payer.mchid} stand."
                    f" {advice(answer)}",
                    now=now,
                )
        return RetryLater(say(answer))


class BillNotices:
    """What the callbacks of WeChat Pay do: end bills, if they are about ours and agree with them."""

    source: str = operations.CALLBACK_SOURCE

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def handle(self, session: Session, callbacks: Sequence[Callback], now: datetime) -> None:
        """Compare each notice with its bill and apply it; one that differs changes nothing and alerts."""
        found = [(callback, notices.read(callback.body)) for callback in callbacks]
        known = load_by_number(session, [notice.bill_no for _, notice in found])
        for callback, notice in found:
            bill = known.get(notice.bill_no)
            fault = "it names no bill of ours" if bill is None else _difference(bill, notice)
            if bill is None or fault is not None:
                raise_alert(
                    session,
                    kind=STRANGE_CALLBACK_ALERT,
                    subject=notice.bill_no[:64],
                    severity=Severity.CRITICAL,
                    detail=f"A genuine callback was not believed: {fault}. Compare the bill with the merchant"
                    " platform: another system may use this merchant number, or its key may have leaked.",
                    now=now,
                )
                continue
            apply_news(
                session,
                self._registry,
                bill=bill.facts,
                news=News(notice.state, notice.transfer_bill_no, fail_reason=notice.fail_reason),
                cause=f"inbox:{callback.id}",
                now=now,
            )


def _difference(known: Known, notice: TransferNotice) -> str | None:
    if notice.mchid != known.payer.mchid:
        return "it comes from another merchant number"
    if notice.amount_fen != known.bill.amount_fen:
        return f"its amount is {notice.amount_fen} fen, ours {known.bill.amount_fen}"
    if notice.openid is not None and notice.openid != known.bill.openid:
        return "its receiver is another one"
    if known.bill.transfer_bill_no not in (None, notice.transfer_bill_no):
        return "the platform's number of the bill is another one"
    return None


def _suspect(session: Session, message: Message, bill: BillRow, answer: TransferAnswer) -> Settlement:
    if bill.closing_at:
        return Done("suspect while closing")
    # Only these are counted: other failures are the platform's or the network's, and blame no secret.
    since_replay = takewhile(lambda said: not said.startswith("park"), outcomes(session, message.id))
    before = sum(said.startswith(f"retrylater: {TransferOutcome.SUSPECT}:") for said in since_replay)
    if before + 1 < _SUSPECT_TRIES:
        return RetryLater(say(answer))
    # The bill stays open under its number, whatever is the matter: a replay tries it again.
    return Park(advice(answer))


def _short_of_funds(session: Session, payer: Payer, now: datetime) -> RetryAt:
    if payer.state is PayerState.ACTIVE:
        operations.change_payer(
            session,
            payer.id,
            PayerState.ACTIVE,
            PayerState.PAUSED_BALANCE,
            reason="WeChat Pay says that the balance is short",
            now=now,
            actor=_PLATFORM,
        )
    raise_alert(
        session,
        kind=operations.BALANCE_ALERT,
        subject=str(payer.id),
        severity=Severity.CRITICAL,
        detail=f"Payer {payer.name} has not enough money: its bills wait, none is lost. Top up merchant"
        f" {payer.mchid}, then `saoma payers resume`; without it one bill tries every ten minutes.",
        now=now,
    )
    return RetryAt(now + operations.PROBE_EVERY, "the payer's balance is short", counts=False)


def _slow(session: Session, payer: Payer, now: datetime) -> None:
    raise_alert(
        session,
        kind=operations.SLOW_ALERT,
        subject=str(payer.id),
        severity=Severity.WARNING,
        detail=f"WeChat Pay has been accepting a bill of payer {payer.name} for over ten minutes. Look at the"
        f" balance of merchant {payer.mchid} and top it up.",
        now=now,
    )


def _not_found(session: Session, bill: BillRow, now: datetime) -> Settlement:
    if bill.state is BillState.NEW:
        return Done("not accepted yet; the message that opens it is still at work")
    raise_alert(
        session,
        kind=LOST_ALERT,
        subject=bill.bill_no,
        severity=Severity.CRITICAL,
        detail=f"WeChat Pay accepted this bill ({bill.state}) and now does not know it. Look it up on the"
        " merchant platform; the award stays locked until its end is known.",
        now=now,
    )
    return Done("accepted earlier, and not found now")


def _watch_age(session: Session, bill: BillRow, answer: TransferAnswer, now: datetime) -> None:
    if answer.outcome is TransferOutcome.FINAL or now - bill.opened_at < OVERDUE_AFTER:
        return
    raise_alert(
        session,
        kind=OVERDUE_ALERT,
        subject=bill.bill_no,
        severity=Severity.WARNING,
        detail=f"WeChat Pay still says {answer.state}, later than it should close a bill that nobody"
        " confirmed. Look it up on the merchant platform; its payer's balance may be short.",
        now=now,
    )
