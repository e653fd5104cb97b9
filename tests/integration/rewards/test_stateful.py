"""Prizes against a plain model: whatever happens in whatever order, the books hold and nobody is paid twice.

The platform's own book is the truth about money. The model knows each award's state and computes from it
what budget, stock and payments must be. At the end everything that stands in the way is cleared, and every
bill that can be paid must have been: nothing is lost either.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.ledger.errors import InsufficientBalance
from app.outbox.operations import replay
from app.outbox.queries import depths, parked
from app.payouts import closing
from app.payouts import operations as payouts
from app.payouts.interfaces import FINAL_STATES, TransferAnswer, TransferOutcome, TransferState
from app.payouts.models import Bill, Payout
from app.payouts.states import BILL_TRANSITIONS, PayerState
from app.points import queries as points
from app.rewards import operations
from app.rewards.errors import AlreadyFulfilled, AwardHeld, AwardLapsed, AwardRefused
from app.rewards.models import AwardKind, AwardState
from app.rewards.queries import AwardView, awards
from app.tax.models import AwardTax, TaxState
from app.tax.terms import TaxMode
from tests.factories.prizes import FUNDED_FEN, OPERATOR, PIECES, PrizeWorld
from tests.factories.taxes import taxed
from tests.support.scripted_pay import Hiccup

HELD, COLLECTIBLE, LOCKED = AwardState.HELD, AwardState.COLLECTIBLE, AwardState.LOCKED
FULFILLED, LAPSED, REFUSED = AwardState.FULFILLED, AwardState.LAPSED, AwardState.REFUSED
SILENT = [
    TransferAnswer(TransferOutcome.RETRY_SAME, code="timeout"),
    TransferAnswer(TransferOutcome.UNKNOWN, code="unverified"),
    TransferAnswer(TransferOutcome.FREQUENCY, code="FREQUENCY_LIMITED"),
    TransferAnswer(TransferOutcome.REFUSED, code="NO_AUTH"),
    RuntimeError("a bug in the gateway"),
]
REFUSALS = {HELD: AwardHeld, REFUSED: AwardRefused, LAPSED: AwardLapsed, FULFILLED: AlreadyFulfilled}
ENDS = [
    TransferState.SUCCESS,
    TransferState.FAIL,
    TransferState.CANCELLED,
    TransferState.WAIT_USER_CONFIRM,
]
numbers = st.integers(0, 99)


@dataclass
class Expected:
    """What the model says of one award."""

    view: AwardView
    state: AwardState
    deadline_at: datetime


class Prizes(RuleBasedStateMachine):
    """One campaign, three people, one payer."""

    def __init__(self, template: Path, folder: Path) -> None:
        super().__init__()
        self.path = folder / "machine.db"
        for rest in ("", "-wal", "-shm"):
            Path(f"{self.path}{rest}").unlink(missing_ok=True)
        shutil.copyfile(template, self.path)
        self.db = Database(f"sqlite:///{self.path}")
        # Nobody pulls the plug in the middle of an example.
        event.listen(self.db.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
        self.world = PrizeWorld.build(self.db, ManualClock(datetime.fromisoformat("2026-06-01T04:00Z")))
        self.people = [self.world.person() for _ in range(3)]
        self.awards: list[Expected] = []
        self.points: Counter[int] = Counter()

    def teardown(self) -> None:
        """Clear every obstacle: what can still be paid must be."""
        self.world.pay.script.clear()
        self.world.pay.balance_fen += FUNDED_FEN
        if self.world.payer().state is not PayerState.ACTIVE:
            self.resume()
        for message in self.world.read(parked):
            self.world.do(_replay, message_id=message.id)
        for _ in range(8):
            if all(award.state is not LOCKED for award in self.awards):
                break
            self.let_everything_happen()
            for number in self._waiting():
                self.world.pay.confirm(number)
        else:
            raise AssertionError("an award is stuck")
        self.let_everything_happen()
        assert self.world.read(depths) == [], "something is still at work, or stopped"
        self.books_hold()
        self.world.drainer.close()
        self.db.dispose()

    @initialize(ends=st.lists(st.sampled_from(ENDS), min_size=3, max_size=6))
    def some_have_won(self, ends: list[TransferState]) -> None:
        """Begin in the middle of things: awards in every stage, some bills ended, some ends heard of."""
        for position, end in enumerate(ends):
            mode = TaxMode.INCIDENTAL_WITHHOLD if position % 2 else TaxMode.INCIDENTAL_COMPANY_BEARS
            self.grant_money(position, 100, held=position == 4, mode=mode if position else None)
            self.collect_and(position, end)
        self.grant_points(0, 5, held=True)
        self.let_everything_happen()
        for position, end in enumerate(ends):
            self.collect_and(position, end)

    # What people do

    @precondition(lambda self: self.awards)
    @rule(which=numbers, end=st.sampled_from(ENDS))
    def collect_and(self, which: int, end: TransferState) -> None:
        """The whole way in one step, so that most examples get far."""
        award = self._pick(which)
        self.collect(which)
        if award.state is not LOCKED:
            return
        self.let_everything_happen()
        number = self._bills(award)[-1].bill_no
        if number not in self._waiting():
            return
        if end is TransferState.SUCCESS:
            self.world.pay.confirm(number)
        elif end in FINAL_STATES:
            self.world.pay.end(number, end, "ACCOUNT_FROZEN")

    @rule(
        who=numbers,
        fen=st.sampled_from([15, 100, 5_000, 60_000]),
        held=st.booleans(),
        mode=st.sampled_from([None, TaxMode.INCIDENTAL_WITHHOLD, TaxMode.INCIDENTAL_COMPANY_BEARS]),
    )
    def grant_money(self, who: int, fen: int, held: bool, mode: TaxMode | None = None) -> None:
        tax = None if mode is None else taxed(fen, mode=mode)
        changes = {"amount_fen": fen, "held_reason": "looks odd" if held else None, "tax": tax}
        person = self.people[who % 3]
        if fen + (tax.borne_fen if tax else 0) > self._budget() or self._stock() == 0:
            with pytest.raises(InsufficientBalance):
                self.world.grant(person, **changes)
            return
        self._add(self.world.grant(person, **changes))

    @rule(who=numbers, number=st.integers(1, 50), held=st.booleans())
    def grant_points(self, who: int, number: int, held: bool) -> None:
        person = self.people[who % 3]
        changes = {"kind": AwardKind.POINTS, "points": number, "held_reason": "odd" if held else None}
        if self._stock() == 0:
            with pytest.raises(InsufficientBalance):
                self.world.grant(person, **changes)
            return
        self._add(self.world.grant(person, **changes))
        self.points[person] += 0 if held else number

    @precondition(lambda self: self.awards)
    @rule(which=numbers)
    def collect(self, which: int) -> None:
        award = self._pick(which)
        refusal = REFUSALS.get(award.state)
        if award.state is COLLECTIBLE and award.deadline_at <= self.world.clock.now():
            refusal = AwardLapsed
        if refusal is not None:
            with pytest.raises(refusal):
                self.world.collect(award.view)
            return
        before = len(self.world.bill_rows())
        first, second = self.world.collect(award.view), self.world.collect(award.view)
        assert first.bill.bill_no == second.bill.bill_no
        assert len(self.world.bill_rows()) - before == (1 if award.state is COLLECTIBLE else 0)
        award.state = LOCKED

    @precondition(lambda self: self._waiting())
    @rule(which=numbers)
    def confirm(self, which: int) -> None:
        waiting = self._waiting()
        self.world.pay.confirm(waiting[which % len(waiting)])

    @precondition(lambda self: any(award.state is HELD for award in self.awards))
    @rule(which=numbers, yes=st.booleans())
    def review(self, which: int, yes: bool) -> None:
        held = [award for award in self.awards if award.state is HELD]
        award = held[which % len(held)]
        decide = operations.release if yes else operations.refuse
        view = self.world.do(decide, award_id=award.view.id, reason="reviewed", actor=OPERATOR)
        if not yes:
            award.state = REFUSED
        elif award.view.kind is AwardKind.MONEY:
            award.state, award.deadline_at = COLLECTIBLE, self.world.clock.now() + timedelta(days=7)
            assert view.deadline_at == award.deadline_at
        else:
            award.state = FULFILLED
            self.points[award.view.person_id] += award.view.points

    # What the platform and the payer do

    @precondition(lambda self: self._waiting())
    @rule(which=numbers, end=st.sampled_from([TransferState.FAIL, TransferState.CANCELLED]))
    def fail(self, which: int, end: TransferState) -> None:
        waiting = self._waiting()
        self.world.pay.end(waiting[which % len(waiting)], end, "ACCOUNT_FROZEN")

    @rule(answer=st.sampled_from(SILENT), method=st.sampled_from(["open", "query"]), after=st.booleans())
    def something_will_go_wrong(self, answer: TransferAnswer | Exception, method: str, after: bool) -> None:
        self.world.pay.script.append(Hiccup(method, answer, after=after))

    @precondition(lambda self: self.world.pay.bills)
    @rule(which=numbers, repeat=st.integers(1, 3))
    def call_back(self, which: int, repeat: int) -> None:
        ended = [no for no, bill in self.world.pay.bills.items() if bill.state in FINAL_STATES]
        if ended:
            self.world.call_back(ended[which % len(ended)], repeat)

    @rule(fen=st.sampled_from([0, 150, 5_100, FUNDED_FEN]))
    def balance_becomes(self, fen: int) -> None:
        self.world.pay.balance_fen = fen

    @precondition(lambda self: any(award.state is LOCKED for award in self.awards))
    @rule(which=numbers)
    def close_a_bill(self, which: int) -> None:
        """An operator closes an open bill, and the platform answers."""
        locked = [award for award in self.awards if award.state is LOCKED]
        award = locked[which % len(locked)]
        bill = self._bills(award)[-1]
        if BILL_TRANSITIONS.final(bill.state) or self.world.clock.now() - bill.opened_at > timedelta(days=20):
            return
        self.world.pay.script.clear()
        self.world.do(closing.close_bill, bill_no=bill.bill_no, reason="no way on", actor=OPERATOR)
        self.let_everything_happen()
        assert award.state is not LOCKED

    @rule()
    def pause(self) -> None:
        if self.world.payer().state is not PayerState.PAUSED_OPERATOR:
            self.world.do(payouts.pause, payer_id=self.world.payer_id, reason="audit", actor=OPERATOR)

    @rule()
    def resume(self) -> None:
        if self.world.payer().state is not PayerState.ACTIVE:
            self.world.do(payouts.resume, payer_id=self.world.payer_id, actor=OPERATOR)

    # What time does

    @rule(days=st.integers(1, 8))
    def days_pass(self, days: int) -> None:
        self.world.clock.advance(timedelta(days=days))

    @rule(days=st.integers(0, 8))
    def days_pass_and_awards_lapse(self, days: int) -> None:
        self.world.clock.advance(timedelta(days=days))
        due = [
            award
            for award in self.awards
            if award.state is COLLECTIBLE and award.deadline_at <= self.world.clock.now()
        ]
        assert self.world.do(operations.lapse_due) == len(due)
        for award in due:
            award.state = LAPSED

    @rule()
    def let_everything_happen(self) -> None:
        for _ in range(2):
            self.world.clock.advance(timedelta(hours=1))
            self.world.do(payouts.poll_due)
            self.world.drain()
        for award in self.awards:
            if award.state is LOCKED:
                award.state = self._heard_of(award)

    @rule()
    def all_facts_are_delivered_again(self) -> None:
        for award in self.awards:
            if award.state is FULFILLED and award.view.kind is AwardKind.MONEY:
                self.world.do(operations.settle, award_ids=[award.view.id])
            for bill in self._bills(award)[:-1]:
                self.world.db.transact(
                    lambda session, award=award, bill=bill: operations.unlock(
                        session, award_id=award.view.id, bill_id=bill.id, reason="late"
                    )
                )

    # What must hold

    @invariant()
    def books_hold(self) -> None:
        books = {"tax": 0} | self.world.books()
        withheld_fen = sum(award.view.withheld_fen for award in self.awards if award.state is FULFILLED)
        borne_fen = sum(award.view.borne_fen for award in self.awards if award.state is FULFILLED)
        assert books == {
            "budget": self._budget(),
            "committed": self._fen(HELD, COLLECTIBLE, LOCKED),
            "paid": self._fen(FULFILLED) - withheld_fen - borne_fen,
            "tax": withheld_fen + borne_fen,
            "stock": self._stock(),
            "awarded": PIECES - self._stock(),
        }

    @invariant()
    def awards_are_where_the_model_says(self) -> None:
        seen = self.world.read(awards, person_ids=self.people, limit=1000)
        now = {view.id: (view.state, view.deadline_at) for view in seen}
        assert now == {award.view.id: (award.state, award.deadline_at) for award in self.awards}

    @invariant()
    def taxes_follow_their_awards(self) -> None:
        found = self.world.read(lambda session: list(session.scalars(select(AwardTax))))
        due = {LAPSED: TaxState.VOID, REFUSED: TaxState.VOID, FULFILLED: TaxState.DUE}
        assert {tax.award_id: (tax.state, tax.tax_fen) for tax in found} == {
            award.view.id: (
                due.get(award.state, TaxState.PROMISED),
                award.view.withheld_fen + award.view.borne_fen,
            )
            for award in self.awards
            if award.view.withheld_fen or award.view.borne_fen
        }

    @invariant()
    def nobody_is_paid_twice(self) -> None:
        numbers = {bill.bill_no: bill.payout_id for bill in self.world.bill_rows()}
        assert set(self.world.pay.bills) <= set(numbers)
        live = Counter(
            numbers[no]
            for no, bill in self.world.pay.bills.items()
            if bill.state not in {TransferState.FAIL, TransferState.CANCELLED}
        )
        assert all(count == 1 for count in live.values())

    @invariant()
    def nothing_contradicts_itself(self) -> None:
        kinds = {alert.kind for alert in self.world.read(open_alerts)}
        assert not kinds & {"bill.contradiction", "bill.lost", "callback.strange", "award.paid_unexpectedly"}

    @invariant()
    def points_are_whole(self) -> None:
        now = self.world.clock.now()
        for person in self.people:
            assert self.world.read(points.balance, person_ids=[person], now=now) == self.points[person]

    # The model

    def _add(self, view: AwardView) -> None:
        self.awards.append(Expected(view, view.state, view.deadline_at))

    def _pick(self, which: int) -> Expected:
        return self.awards[which % len(self.awards)]

    def _fen(self, *states: AwardState) -> int:
        """What awards in these states have cost the budget, the tax on top included."""
        views = [award.view for award in self.awards if award.state in states]
        return sum(view.amount_fen + view.borne_fen for view in views)

    def _budget(self) -> int:
        return FUNDED_FEN - self._fen(HELD, COLLECTIBLE, LOCKED, FULFILLED)

    def _stock(self) -> int:
        return PIECES - sum(award.state not in {LAPSED, REFUSED} for award in self.awards)

    def _waiting(self) -> list[str]:
        return [
            no for no, bill in self.world.pay.bills.items() if bill.state is TransferState.WAIT_USER_CONFIRM
        ]

    def _bills(self, award: Expected) -> list[Bill]:
        wanted = select(Bill).join(Payout, Payout.id == Bill.payout_id).order_by(Bill.generation)
        wanted = wanted.where(Payout.award_id == award.view.id)
        return self.world.read(lambda session: list(session.scalars(wanted)))

    def _heard_of(self, award: Expected) -> AwardState:
        """Everything has been heard, unless questions went unanswered: then the last word stands."""
        latest = self._bills(award)[-1]
        known = self.world.pay.bills.get(latest.bill_no)
        now = self.world.now_award(award.view).state
        if known is None and latest.fail_reason == closing.NEVER_OPENED:
            assert now is COLLECTIBLE
            return COLLECTIBLE
        if known is None or known.state not in FINAL_STATES:
            assert now is LOCKED
            return LOCKED
        ended = FULFILLED if known.state is TransferState.SUCCESS else COLLECTIBLE
        assert now in {ended, LOCKED}
        return now


def _replay(session: Session, *, message_id: int, now: datetime) -> None:
    replay(session, message_id=message_id, by="olga", now=now)


def test_prizes_against_a_plain_model(sqlite_url: str, tmp_path: Path) -> None:
    template = Path(sqlite_url.removeprefix("sqlite:///"))
    make: Callable[[], Prizes] = lambda: Prizes(template, tmp_path)  # noqa: E731
    run_state_machine_as_test(
        make,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            # Fifteen steps can be read as they are; shrinking them takes minutes.
            phases=[Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
