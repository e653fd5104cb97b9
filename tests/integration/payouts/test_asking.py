"""Polling: bills without news are asked about, ever less often, and the platform's word settles them."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.alerts.queries import open_alerts
from app.kernel.clock import ManualClock
from app.outbox.models import FinishedMessage, OutboxMessage
from app.payouts import operations
from app.payouts.interfaces import TransferAnswer, TransferOutcome, TransferState
from app.payouts.models import Bill
from app.payouts.states import BillState
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.support.scripted_pay import CANCELLED, Hiccup


@pytest.fixture
def opened(world: PrizeWorld) -> AwardView:
    """An award whose bill waits for the shopper."""
    won = world.grant(world.person())
    world.collect(won)
    world.drain()
    world.pay.calls.clear()
    return won


def poll(world: PrizeWorld) -> int:
    return world.do(operations.poll_due)


def queries(world: PrizeWorld) -> int:
    return len([call for call in world.pay.calls if call[0] == "query"])


def alerts(world: PrizeWorld) -> list[str]:
    return world.read(lambda session: [alert.kind for alert in open_alerts(session)])


def test_a_lost_callback_costs_two_minutes(world: PrizeWorld, opened: AwardView) -> None:
    world.pay.confirm(world.bill(opened).bill_no)
    assert poll(world) == 0, "it is too early to ask"
    world.clock.advance(timedelta(minutes=2))
    assert poll(world) == 1
    world.drain()
    assert world.now_award(opened).state is AwardState.FULFILLED
    assert world.books()["paid"] == 100
    world.clock.advance(timedelta(days=30))
    assert poll(world) == 0, "what has ended is not asked about"


def test_it_asks_ever_less_often(world: PrizeWorld, opened: AwardView) -> None:
    asked_after = []
    for minute in range(1, 12 * 60):
        world.clock.advance(timedelta(minutes=1))
        if poll(world):
            asked_after.append(minute)
    world.drain()
    assert asked_after == [2, 8, 26, 80, 242, 422, 602]
    assert queries(world) == 1, "a later poll makes the earlier ones needless"


def test_two_schedulers_ask_once(world: PrizeWorld, opened: AwardView) -> None:
    world.clock.advance(timedelta(minutes=2))
    assert (poll(world), poll(world)) == (1, 0)
    # One that had read before the other committed finds its number used.
    stale = {"polls": 0, "poll_at": world.clock.now()}
    world.db.transact(lambda session: session.execute(update(Bill).values(**stale)))
    poll(world)
    world.drain()
    assert queries(world) == 1


def test_a_bill_that_never_arrived_is_left_to_the_message_that_opens_it(world: PrizeWorld) -> None:
    timeout = TransferAnswer(TransferOutcome.RETRY_SAME, code="timeout")
    world.pay.script.append(Hiccup("open", timeout))
    won = world.grant(world.person())
    number = world.collect(won).bill.bill_no
    world.drain()
    world.db.transact(
        lambda session: session.execute(
            update(OutboxMessage).values(due_at=world.clock.now() + timedelta(hours=1))
        )
    )
    world.clock.advance(timedelta(minutes=2))
    poll(world)
    world.drain()
    assert (queries(world), world.bill(won).state) == (1, BillState.NEW)
    world.clock.advance(timedelta(hours=1))
    world.drain()
    assert world.bill(won).state is BillState.WAIT_USER_CONFIRM
    assert list(world.pay.bills) == [number]
    assert alerts(world) == []


def test_a_bill_that_was_accepted_and_is_gone_calls_for_a_person(
    world: PrizeWorld, opened: AwardView
) -> None:
    known = dict(world.pay.bills)
    world.pay.bills.clear()
    world.clock.advance(timedelta(minutes=2))
    poll(world)
    world.drain()
    assert alerts(world) == ["bill.lost"]
    assert world.now_award(opened).state is AwardState.LOCKED, "no second number on a rumour"
    world.pay.bills |= known
    world.pay.confirm(world.bill(opened).bill_no)
    world.clock.advance(timedelta(hours=1))
    poll(world)
    world.drain()
    assert alerts(world) == []
    assert world.now_award(opened).state is AwardState.FULFILLED


def test_the_platform_closes_what_nobody_confirms(world: PrizeWorld, opened: AwardView) -> None:
    world.clock.advance(timedelta(hours=24))
    world.pay.end(world.bill(opened).bill_no, CANCELLED, "OVERDUE_CLOSE")
    poll(world)
    world.drain()
    award = world.now_award(opened)
    assert (award.state, award.reason) == (AwardState.COLLECTIBLE, "OVERDUE_CLOSE")
    assert world.collect(opened).bill.generation == 2


def test_a_bill_that_stays_open_too_long_is_pointed_out_until_it_ends(
    world: PrizeWorld, opened: AwardView
) -> None:
    number = world.bill(opened).bill_no
    world.clock.advance(timedelta(hours=27))
    poll(world)
    world.drain()
    assert alerts(world) == ["bill.overdue"]
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    assert alerts(world) == []


@pytest.mark.parametrize("outcome", [TransferOutcome.RETRY_SAME, TransferOutcome.UNKNOWN])
def test_a_question_without_an_answer_is_asked_again(
    world: PrizeWorld, opened: AwardView, outcome: TransferOutcome
) -> None:
    world.pay.confirm(world.bill(opened).bill_no)
    world.clock.advance(timedelta(minutes=2))
    poll(world)
    world.pay.script.append(Hiccup("query", TransferAnswer(outcome)))
    world.drain()
    assert world.now_award(opened).state is AwardState.LOCKED
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    assert world.now_award(opened).state is AwardState.FULFILLED


def test_a_question_that_is_refused_alerts_once_per_payer(world: PrizeWorld, opened: AwardView) -> None:
    other = world.grant(world.person())
    world.collect(other)
    world.drain()
    world.clock.advance(timedelta(minutes=2))
    poll(world)
    refused = TransferAnswer(TransferOutcome.REFUSED, code="SIGN_ERROR", http_status=401)
    world.pay.script.extend([Hiccup("query", refused), Hiccup("query", refused)])
    world.drain()
    (alert,) = world.read(open_alerts)
    assert (alert.kind, alert.subject, alert.times) == ("payer.query_refused", str(world.payer_id), 2)
    assert "certificate serial number" in alert.detail
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    assert alerts(world) == [], "mended: it settles itself"


def test_a_paused_payer_is_asked_all_the_same(world: PrizeWorld, opened: AwardView) -> None:
    world.do(operations.pause, payer_id=world.payer_id, reason="audit", actor=OPERATOR)
    world.pay.confirm(world.bill(opened).bill_no)
    world.clock.advance(timedelta(minutes=2))
    poll(world)
    world.drain()
    assert world.now_award(opened).state is AwardState.FULFILLED


def test_asking_too_fast_slows_down(world: PrizeWorld, opened: AwardView) -> None:
    world.clock.advance(timedelta(minutes=2))
    poll(world)
    fast = TransferAnswer(TransferOutcome.FREQUENCY, code="FREQUENCY_LIMITED")
    world.pay.script.append(Hiccup("query", fast))
    world.drain()
    world.drain()
    assert queries(world) == 1
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    assert queries(world) == 2


def test_a_state_that_a_query_tells_first_does_not_lose_the_package(
    world: PrizeWorld, clock: ManualClock
) -> None:
    world.pay.first_state = TransferState.ACCEPTED
    won = world.grant(world.person())
    number = world.collect(won).bill.bill_no
    world.drain()
    world.pay.bills[number].state = TransferState.WAIT_USER_CONFIRM
    world.db.transact(
        lambda session: session.execute(
            update(OutboxMessage).values(due_at=clock.now() + timedelta(minutes=5))
        )
    )
    clock.advance(timedelta(minutes=2))
    poll(world)
    world.drain()
    assert (world.bill(won).state, world.bill(won).package_info) == (BillState.WAIT_USER_CONFIRM, None)
    clock.advance(timedelta(minutes=4))
    world.drain()
    assert world.bill(won).package_info == f"package-{number}"


def test_a_poll_of_a_bill_that_ended_meanwhile_asks_nobody(world: PrizeWorld, opened: AwardView) -> None:
    number = world.bill(opened).bill_no
    world.clock.advance(timedelta(minutes=2))
    poll(world)
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    assert queries(world) == 0
    details = world.read(
        lambda session: session.scalars(
            select(FinishedMessage.detail).where(FinishedMessage.topic == "payouts.query")
        ).all()
    )
    assert details == ["it has ended: success"]
