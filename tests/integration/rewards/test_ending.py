"""How awards end without being paid: deadlines, reviews; and the alerts when something cannot be."""

from datetime import timedelta

import pytest

from app.alerts.queries import open_alerts
from app.kernel.transitions import TransitionRefused
from app.points import queries as points
from app.rewards import operations
from app.rewards.errors import UnknownAward
from app.rewards.models import AwardKind, AwardState
from app.rewards.queries import awards, held
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.support.scripted_pay import FAIL


def test_an_award_lapses_at_its_deadline_and_gives_everything_back(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    kept = world.grant(world.person(), deadline_at=world.clock.now() + timedelta(days=8))
    world.clock.advance(timedelta(days=7, microseconds=-1))
    assert world.do(operations.lapse_due) == 0
    world.clock.advance(timedelta(microseconds=1))
    assert world.do(operations.lapse_due) == 1
    assert world.do(operations.lapse_due) == 0
    award = world.now_award(won)
    assert (award.state, award.resolved_at) == (AwardState.LAPSED, world.clock.now())
    assert world.now_award(kept).state is AwardState.COLLECTIBLE
    assert world.books() == {"budget": 99_900, "committed": 100, "paid": 0, "stock": 99, "awarded": 1}


def test_lapsing_goes_in_bounded_steps_the_oldest_first(world: PrizeWorld) -> None:
    person = world.person()
    for day in (3, 1, 2):
        world.grant(person, deadline_at=world.clock.now() + timedelta(days=day))
    world.clock.advance(timedelta(days=4))
    steps = []
    while world.do(operations.lapse_due, limit=1):
        steps.append([award.state for award in world.read(awards, person_ids=[person])])
    live, gone = AwardState.COLLECTIBLE, AwardState.LAPSED
    assert steps == [[live, gone, live], [gone, gone, live], [gone, gone, gone]]
    assert world.books()["budget"] == 100_000


def test_an_open_bill_keeps_an_award_over_its_deadline(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    number = world.collect(won).bill.bill_no
    world.drain()
    world.clock.advance(timedelta(days=30))
    assert world.do(operations.lapse_due) == 0
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    assert world.now_award(won).state is AwardState.FULFILLED


def test_an_award_whose_bill_fails_after_the_deadline_lapses(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    number = world.collect(won).bill.bill_no
    world.drain()
    world.clock.advance(timedelta(days=30))
    world.pay.end(number, FAIL, "ACCOUNT_FROZEN")
    world.call_back(number)
    world.drain()
    assert world.do(operations.lapse_due) == 1
    assert world.now_award(won).state is AwardState.LAPSED
    assert world.books() == {"budget": 100_000, "committed": 0, "paid": 0, "stock": 100, "awarded": 0}


# Reviews


def test_a_released_award_has_its_whole_time_left(world: PrizeWorld) -> None:
    won = world.grant(world.person(), held_reason="new account")
    assert (won.state, won.reason) == (AwardState.HELD, "new account")
    assert world.books()["committed"] == 100
    world.clock.advance(timedelta(days=20))
    assert world.do(operations.lapse_due) == 0, "a reviewer's delay costs the shopper nothing"
    released = world.do(operations.release, award_id=won.id, reason="looks right", actor=OPERATOR)
    assert released == world.now_award(won)
    assert (released.state, released.reason) == (AwardState.COLLECTIBLE, "looks right")
    assert released.deadline_at == world.clock.now() + timedelta(days=7)
    assert world.collect(won).award.state is AwardState.LOCKED


def test_released_points_arrive_at_once(world: PrizeWorld) -> None:
    person = world.person()
    won = world.grant(person, kind=AwardKind.POINTS, points=40, held_reason="new account")
    assert world.read(points.balance, person_ids=[person], now=world.clock.now()) == 0
    released = world.do(operations.release, award_id=won.id, reason="looks right", actor=OPERATOR)
    assert (released.state, released.resolved_at) == (AwardState.FULFILLED, world.clock.now())
    assert world.read(points.balance, person_ids=[person], now=world.clock.now()) == 40
    world.books()


@pytest.mark.parametrize("kind", [AwardKind.MONEY, AwardKind.POINTS])
def test_a_refused_award_gives_everything_back_and_stays_refused(world: PrizeWorld, kind: AwardKind) -> None:
    more = {"points": 40} if kind is AwardKind.POINTS else {}
    won = world.grant(world.person(), kind=kind, held_reason="new account", **more)
    refused = world.do(operations.refuse, award_id=won.id, reason="a shop's own scans", actor=OPERATOR)
    assert (refused.state, refused.reason) == (AwardState.REFUSED, "a shop's own scans")
    assert world.books() == {"budget": 100_000, "committed": 0, "paid": 0, "stock": 100, "awarded": 0}
    for decide in (operations.refuse, operations.release):
        with pytest.raises(TransitionRefused):
            world.do(decide, award_id=won.id, reason="again", actor=OPERATOR)


def test_only_what_is_held_is_decided(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    for decide in (operations.refuse, operations.release):
        with pytest.raises(TransitionRefused):
            world.do(decide, award_id=won.id, reason="why not", actor=OPERATOR)
        with pytest.raises(UnknownAward):
            world.do(decide, award_id=1, reason="why not", actor=OPERATOR)


def test_reviewers_find_what_waits_and_are_reminded(world: PrizeWorld) -> None:
    first, second = (world.grant(world.person(), held_reason="new account") for _ in range(2))
    world.grant(world.person())
    waiting = world.read(held, brand_id=world.brand_id, limit=1)
    assert [award.id for award in waiting] == [first.id]
    after = world.read(held, brand_id=world.brand_id, after_id=first.id)
    assert [award.id for award in after] == [second.id]
    world.clock.advance(timedelta(days=8))
    world.do(operations.lapse_due)
    (alert,) = world.read(open_alerts)
    assert alert.kind == "awards.held_overdue"
    assert alert.detail.startswith("2 awards")
    for award in (first, second):
        world.do(operations.refuse, award_id=award.id, reason="too old", actor=OPERATOR)
    world.do(operations.lapse_due)
    assert world.read(open_alerts) == []


# What cannot be, and must not be silent


def test_money_that_arrives_for_an_award_that_waits_for_none_alerts(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    world.do(operations.settle, award_ids=[won.id])
    (alert,) = world.read(open_alerts)
    assert (alert.kind, alert.subject) == ("award.paid_unexpectedly", str(won.id))
    assert world.now_award(won).state is AwardState.COLLECTIBLE
    assert world.books()["paid"] == 0


def test_awards_whose_money_arrived_together_are_settled_together(world: PrizeWorld) -> None:
    won = [world.grant(world.person()) for _ in range(20)]
    *collected, early = won
    for award in collected:
        world.collect(award)
    world.do(operations.settle, award_ids=[award.id for award in won])
    assert {world.now_award(award).state for award in collected} == {AwardState.FULFILLED}
    assert world.now_award(early).state is AwardState.COLLECTIBLE
    assert [alert.subject for alert in world.read(open_alerts)] == [str(early.id)]
    assert world.books() == {"budget": 98_000, "committed": 100, "paid": 1_900, "stock": 80, "awarded": 20}
    with pytest.raises(UnknownAward):
        world.do(operations.settle, award_ids=[early.id, 1])


def test_settling_and_unlocking_again_change_nothing(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    bill = world.collect(won).bill
    world.do(operations.settle, award_ids=[won.id])
    world.do(operations.settle, award_ids=[won.id])
    world.db.transact(
        lambda session: operations.unlock(session, award_id=won.id, bill_id=bill.bill_id, reason="late")
    )
    assert world.now_award(won).state is AwardState.FULFILLED
    assert world.books()["paid"] == 100
    assert world.read(open_alerts) == []
