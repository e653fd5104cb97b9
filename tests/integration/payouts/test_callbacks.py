"""Callbacks of WeChat Pay: doubled, late, out of order, about somebody else's bill, or plainly wrong."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app.alerts.queries import open_alerts
from app.outbox.models import Fact
from app.payouts.interfaces import TransferAnswer, TransferOutcome, TransferState
from app.payouts.states import BillState
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from tests.factories.prizes import PrizeWorld
from tests.support.scripted_pay import CANCELLED, FAIL, SUCCESS, Hiccup


@pytest.fixture
def opened(world: PrizeWorld) -> AwardView:
    """An award whose bill waits for the shopper."""
    won = world.grant(world.person())
    world.collect(won)
    world.drain()
    return won


def facts(world: PrizeWorld) -> list[tuple[str, dict[str, Any]]]:
    found = select(Fact.name, Fact.payload).order_by(Fact.id)
    return world.read(lambda session: [(name, payload) for name, payload in session.execute(found)])


def alerts(world: PrizeWorld) -> list[str]:
    return world.read(lambda session: [alert.kind for alert in open_alerts(session)])


def test_a_callback_settles_bill_payout_award_and_ledger(world: PrizeWorld, opened: AwardView) -> None:
    bill = world.bill(opened)
    world.pay.confirm(bill.bill_no)
    assert world.call_back(bill.bill_no)
    assert world.bill(opened).state is BillState.WAIT_USER_CONFIRM, "nothing acts where a callback arrives"
    world.drain()
    row = world.bill_rows()[0]
    assert (row.state, row.package_info, row.ended_at) == (BillState.SUCCESS, None, world.clock.now())
    award = world.now_award(opened)
    assert (award.state, award.resolved_at) == (AwardState.FULFILLED, world.clock.now())
    assert world.books() == {"budget": 99_900, "committed": 0, "paid": 100, "stock": 99, "awarded": 1}
    ((name, payload),) = facts(world)
    assert name == "payout.settled"
    assert (payload["award_id"], payload["bill_id"]) == (opened.id, bill.bill_id)
    assert set(payload) == {"award_id", "payout_id", "bill_id", "reason"}


def test_a_repeated_callback_is_counted_and_changes_nothing(world: PrizeWorld, opened: AwardView) -> None:
    number = world.bill(opened).bill_no
    world.pay.confirm(number)
    assert [world.call_back(number) for _ in range(3)] == [True, False, False]
    assert world.call_back(number, number=2), "the platform may give a repeat another id"
    world.drain()
    assert len(facts(world)) == 1
    assert world.books()["paid"] == 100


@pytest.mark.parametrize("before_answer", [True, False])
def test_a_callback_may_overtake_the_answer(world: PrizeWorld, before_answer: bool) -> None:
    won = world.grant(world.person())
    number = world.collect(won).bill.bill_no
    timeout = TransferAnswer(TransferOutcome.RETRY_SAME, code="timeout")
    world.pay.script.append(Hiccup("open", timeout, after=True))
    world.drain()
    if not before_answer:
        world.clock.advance(timedelta(minutes=1))
        world.drain()
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    assert world.now_award(won).state is AwardState.FULFILLED
    assert len(facts(world)) == 1
    assert world.bill_rows()[0].package_info is None


@pytest.mark.parametrize("end", [FAIL, CANCELLED])
def test_a_bill_that_failed_can_be_tried_again_until_the_deadline(
    world: PrizeWorld, opened: AwardView, end: TransferState
) -> None:
    first = world.bill(opened)
    world.pay.end(first.bill_no, end, "ACCOUNT_FROZEN")
    world.call_back(first.bill_no)
    world.drain()
    assert world.books()["committed"] == 100, "a bill's failure returns no budget"
    award = world.now_award(opened)
    assert (award.state, award.reason) == (AwardState.COLLECTIBLE, "ACCOUNT_FROZEN")
    second = world.collect(opened).bill
    world.drain()
    world.pay.confirm(second.bill_no)
    world.call_back(second.bill_no)
    world.drain()
    assert [name for name, _ in facts(world)] == ["payout.failed", "payout.settled"]
    assert world.now_award(opened).state is AwardState.FULFILLED
    assert world.books()["paid"] == sum(world.pay.paid().values()) == 100


def test_a_failure_told_again_does_not_touch_the_next_bill(world: PrizeWorld, opened: AwardView) -> None:
    first = world.bill(opened)
    world.pay.end(first.bill_no, FAIL, "ACCOUNT_FROZEN")
    world.call_back(first.bill_no)
    world.drain()
    second = world.collect(opened).bill
    world.call_back(first.bill_no, number=2)
    world.drain()
    assert world.bill(opened).bill_no == second.bill_no
    assert world.bill(opened).state is BillState.WAIT_USER_CONFIRM
    assert world.now_award(opened).state is AwardState.LOCKED
    assert len(facts(world)) == 1


@pytest.mark.parametrize("state", [TransferState.WAIT_USER_CONFIRM, TransferState.PROCESSING])
def test_old_news_does_not_reopen_what_has_ended(
    world: PrizeWorld, opened: AwardView, state: TransferState
) -> None:
    number = world.bill(opened).bill_no
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    world.call_back(number, number=2, state=state)
    world.drain()
    assert world.bill(opened).state is BillState.SUCCESS
    assert alerts(world) == []


def test_two_different_ends_call_for_a_person(world: PrizeWorld, opened: AwardView) -> None:
    number = world.bill(opened).bill_no
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    world.call_back(number, number=2, state=FAIL, fail_reason="ACCOUNT_FROZEN")
    world.drain()
    assert alerts(world) == ["bill.contradiction"]
    assert world.bill(opened).state is BillState.SUCCESS
    assert world.now_award(opened).state is AwardState.FULFILLED
    assert len(facts(world)) == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"amount_fen": 101}, "101 fen"),
        ({"mchid": "1900000002"}, "another merchant number"),
        ({"openid": "openid-999999"}, "receiver"),
        ({"transfer_bill_no": "T-other"}, "number of the bill"),
        ({"bill_no": "SBNOTOURS"}, "names no bill of ours"),
    ],
)
def test_a_callback_that_differs_from_our_bill_changes_nothing_and_alerts(
    world: PrizeWorld, opened: AwardView, changes: dict[str, Any], word: str
) -> None:
    number = world.bill(opened).bill_no
    world.pay.confirm(number)
    world.call_back(number, **changes)
    world.drain()
    assert world.bill(opened).state is BillState.WAIT_USER_CONFIRM
    assert facts(world) == []
    (alert,) = world.read(open_alerts)
    assert alert.kind == "callback.strange"
    assert word in alert.detail
    assert "openid" not in alert.detail
    world.call_back(number, number=2)
    world.drain()
    assert world.now_award(opened).state is AwardState.FULFILLED, "the true one still counts"


def test_a_wrong_callback_does_not_hold_up_the_others(world: PrizeWorld) -> None:
    awards = [world.grant(world.person()) for _ in range(3)]
    for won in awards:
        world.collect(won)
    world.drain()
    for position, won in enumerate(awards):
        number = world.bill(won).bill_no
        world.pay.confirm(number)
        world.call_back(number, amount_fen=1 if position == 1 else 100)
    world.drain()
    states = [world.now_award(won).state for won in awards]
    assert states == [AwardState.FULFILLED, AwardState.LOCKED, AwardState.FULFILLED]


def test_a_callback_without_a_receiver_is_compared_by_the_rest(world: PrizeWorld, opened: AwardView) -> None:
    number = world.bill(opened).bill_no
    world.pay.confirm(number)
    world.call_back(number, openid=None)
    world.drain()
    assert world.now_award(opened).state is AwardState.FULFILLED


def test_a_stored_callback_is_not_readable_in_the_database(world: PrizeWorld, opened: AwardView) -> None:
    number = world.bill(opened).bill_no
    world.pay.bills[number].state = SUCCESS
    world.call_back(number)
    body = world.read(lambda session: session.execute(text("SELECT body FROM inbox_messages")).scalar_one())
    assert number.encode() not in bytes(body)
    assert b"openid" not in bytes(body)
    assert world.read(lambda session: session.execute(select(func.count()).select_from(Fact)).scalar()) == 0
