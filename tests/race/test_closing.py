"""An operator closes bills while their callbacks arrive: one end each, and no false contradiction."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.outbox.contracts import Message
from app.outbox.models import Fact
from app.payouts import closing
from app.payouts.closing import LOOKS_APART, CloseBills
from app.payouts.effects import load
from app.payouts.interfaces import TransferAnswer, TransferOutcome, TransferState
from app.payouts.models import Bill
from app.payouts.news import CONTRADICTION_ALERT, News, apply_news
from app.payouts.states import BillState
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

AWARDS = 8
NOT_FOUND = TransferAnswer(TransferOutcome.NOT_FOUND, code="NOT_FOUND", http_status=404)


@pytest.fixture
def world(wide_db: Database, clock: ManualClock) -> PrizeWorld:
    return PrizeWorld.build(wide_db, clock)


def close_against_callbacks(world: PrizeWorld, seed: int) -> RaceResult:
    """Half of the runners hear a second time that a bill is not known, half that it has paid."""
    for _ in range(AWARDS):
        number = world.collect(world.grant(world.person())).bill.bill_no
        world.do(closing.close_bill, bill_no=number, reason="refused", actor=OPERATOR)
    before, now = world.clock.now(), world.clock.now() + LOOKS_APART
    effect = CloseBills(world.pay, world.registry)

    def message(bill: Bill) -> Message:
        return Message(bill.id, effect.topic, bill.bill_no, "", {"bill": bill.id}, 2, 0, interrupted=False)

    bills = world.bill_rows()
    world.db.transact(
        lambda session: effect.settle(session, [(message(bill), NOT_FOUND) for bill in bills], before)
    )

    def unknown(bill: Bill) -> None:
        world.db.transact(lambda session: effect.settle(session, [(message(bill), NOT_FOUND)], now))

    def paid(bill: Bill) -> None:
        def work(session: Session) -> None:
            facts = load(session, [message(bill)])[bill.id].facts
            news = News(TransferState.SUCCESS, f"T{bill.bill_no}")
            apply_news(session, world.registry, bill=facts, news=news, cause="race", now=now)

        world.db.transact(work)

    runners = [
        *(lambda bill=bill: unknown(bill) for bill in bills * 2),
        *(lambda bill=bill: paid(bill) for bill in bills * 2),
    ]
    return race(world.db, runners, seed=seed)


def false_alarms(world: PrizeWorld) -> set[str]:
    """Bills that paid, said to contradict themselves although nobody but we said anything else."""
    paid = {bill.bill_no for bill in world.bill_rows() if bill.state is BillState.SUCCESS}
    alerts = world.read(
        lambda session: {alert.subject for alert in open_alerts(session) if alert.kind == CONTRADICTION_ALERT}
    )
    return paid & alerts


def test_a_bill_is_closed_or_paid_once(world: PrizeWorld, race_seed: int) -> None:
    result = close_against_callbacks(world, race_seed)
    assert result.errors == []
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    states = [bill.state for bill in world.bill_rows()]
    assert states.count(BillState.SUCCESS) + states.count(BillState.CANCELLED) == AWARDS
    assert world.read(lambda session: session.scalar(select(func.count()).select_from(Fact))) == AWARDS
    assert false_alarms(world) == set()
    world.clock.advance(LOOKS_APART)
    world.drain()
    assert world.books()["paid"] == 100 * states.count(BillState.SUCCESS)


def test_without_the_lock_a_payment_is_said_to_contradict_itself(
    world: PrizeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "_locked_state", lambda session, bill: bill.state)
    seen: set[str] = set()
    for seed in range(10):
        close_against_callbacks(world, seed)
        seen |= false_alarms(world)
        if seen:
            return
    raise AssertionError("the guard guards nothing, or this is no race")
