"""Collecting: who may, when, in which app; and that a tap too many opens nothing."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from app.identity.queries import Cluster
from app.organisation.operations import register_app
from app.outbox.models import OutboxMessage
from app.payouts import operations as payouts
from app.payouts.errors import AlreadyPaid, NoOpenid
from app.payouts.models import Bill
from app.payouts.states import BillState
from app.rewards import operations
from app.rewards.errors import (
    AlreadyFulfilled,
    AwardHeld,
    AwardLapsed,
    AwardRefused,
    OpenElsewhere,
    PhoneWanted,
    UnknownAward,
    VirtualPerson,
)
from app.rewards.models import AwardKind, AwardState
from tests.factories.prizes import OPERATOR, PrizeWorld, payer_details
from tests.support.scripted_pay import CANCELLED


def count(world: PrizeWorld, table: type) -> int | None:
    return world.read(lambda session: session.scalar(select(func.count()).select_from(table)))


def test_collecting_locks_the_award_and_opens_one_bill(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    result = world.collect(won)
    assert result.award == world.now_award(won)
    assert (result.award.state, result.bill.state) == (AwardState.LOCKED, BillState.NEW)
    assert result.message_id == result.bill.message_id
    for _ in range(3):
        assert world.collect(won) == result
    assert (count(world, Bill), count(world, OutboxMessage)) == (1, 1)


def test_the_edge_delivers_the_message_and_the_next_tap_has_the_package(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    result = world.collect(won)
    world.drainer.deliver(payouts.OPEN_TOPIC, result.message_id)
    again = world.collect(won)
    assert again.bill.package_info == f"package-{result.bill.bill_no}"
    assert (again.bill.mchid, again.bill.appid) == ("1900000001", "wx1111111111111111")


def test_only_its_own_winner_collects_it(world: PrizeWorld) -> None:
    winner, thief = world.person(), world.person()
    won = world.grant(winner)
    with pytest.raises(UnknownAward):
        world.collect(won, person_id=thief, cluster=world.cluster(thief))
    with pytest.raises(UnknownAward):
        world.collect(won, award_id=1)
    merged = Cluster(winner, (winner, thief))
    assert world.collect(won, person_id=thief, cluster=merged).award.person_id == winner


def test_a_virtual_visitor_collects_nothing(world: PrizeWorld) -> None:
    winner, visitor = world.person(), world.person(virtual=True)
    won = world.grant(winner)
    with pytest.raises(VirtualPerson):
        world.collect(won, person_id=visitor, cluster=Cluster(winner, (winner, visitor)))
    assert world.now_award(won).state is AwardState.COLLECTIBLE


def test_somebody_whom_the_app_does_not_know_is_told_so_and_loses_nothing(world: PrizeWorld) -> None:
    other_app = world.do(register_app, appid="wx2222222222222222", secret="s")
    bound = payer_details((world.app_id, other_app))
    world.do(payouts.save_payer, payer=bound, actor=OPERATOR)
    won = world.grant(world.person())
    with pytest.raises(NoOpenid):
        world.collect(won, app_id=other_app)
    assert world.now_award(won).state is AwardState.COLLECTIBLE


def test_a_bill_that_waits_in_another_app_is_confirmed_there(world: PrizeWorld) -> None:
    other_app = world.do(register_app, appid="wx2222222222222222", secret="s")
    world.do(payouts.save_payer, payer=payer_details((world.app_id, other_app)), actor=OPERATOR)
    here, there = world.person(), world.person(app_id=other_app)
    both = Cluster(here, (here, there))
    won = world.grant(here)
    number = world.collect(won, cluster=both).bill.bill_no
    world.drain()
    with pytest.raises(OpenElsewhere) as refused:
        world.collect(won, cluster=both, app_id=other_app)
    assert refused.value.extra == {"appid": "wx1111111111111111"}
    world.pay.end(number, CANCELLED, "OVERDUE_CLOSE")
    world.call_back(number)
    world.drain()
    assert world.collect(won, cluster=both, app_id=other_app).bill.appid == "wx2222222222222222"


def test_the_phone_number_is_asked_for_first_and_may_be_declined(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    with pytest.raises(PhoneWanted):
        world.collect(won, phone_wanted=True)
    assert world.now_award(won).state is AwardState.COLLECTIBLE
    bill = world.collect(won, phone_wanted=False).bill
    assert world.collect(won, phone_wanted=True).bill.bill_no == bill.bill_no, "once begun, nothing is asked"


def test_each_state_has_its_own_refusal(world: PrizeWorld) -> None:
    person = world.person()
    held = world.grant(person, held_reason="many phones at one address")
    with pytest.raises(AwardHeld):
        world.collect(held)
    world.do(operations.refuse, award_id=held.id, reason="a shop's own scans", actor=OPERATOR)
    with pytest.raises(AwardRefused):
        world.collect(held)
    with pytest.raises(AlreadyFulfilled):
        world.collect(world.grant(person, kind=AwardKind.POINTS, points=5))
    late = world.grant(person)
    world.clock.advance(timedelta(days=7))
    with pytest.raises(AwardLapsed):
        world.collect(late)
    world.do(operations.lapse_due)
    with pytest.raises(AwardLapsed):
        world.collect(late)
    assert count(world, Bill) == 0


def test_between_the_platforms_word_and_ours_nothing_is_opened(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    number = world.collect(won).bill.bill_no
    world.drain()
    world.pay.confirm(number)
    world.call_back(number)
    world.drainer.round(topics=["inbox.pay"])
    assert world.now_award(won).state is AwardState.LOCKED, "the fact is still on its way"
    with pytest.raises(AlreadyPaid):
        world.collect(won)
    world.drain()
    assert world.now_award(won).state is AwardState.FULFILLED


def test_a_tap_before_the_failure_is_known_above_opens_the_next_bill_once(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    first = world.collect(won).bill
    world.drain()
    world.pay.end(first.bill_no, CANCELLED, "OVERDUE_CLOSE")
    world.call_back(first.bill_no)
    world.drainer.round(topics=["inbox.pay"])
    second = world.collect(won).bill
    assert second.generation == 2
    world.drain()  # the late fact about the first bill must not unlock the award
    assert world.now_award(won).state is AwardState.LOCKED
    assert world.collect(won).bill.bill_no == second.bill_no
    world.clock.advance(timedelta(days=8))
    assert world.do(operations.lapse_due) == 0


def test_after_the_deadline_a_failed_bill_has_no_successor(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    first = world.collect(won).bill
    world.drain()
    world.clock.advance(timedelta(days=7))
    assert world.collect(won).bill.package_info is not None, "what was opened in time can be confirmed"
    world.pay.end(first.bill_no, CANCELLED, "OVERDUE_CLOSE")
    world.call_back(first.bill_no)
    world.drainer.round(topics=["inbox.pay"])
    assert world.collect(won).bill.state is BillState.CANCELLED
    world.drain()
    with pytest.raises(AwardLapsed):
        world.collect(won)
    assert world.do(operations.lapse_due) == 1
    assert world.books()["budget"] == 100_000
    assert count(world, Bill) == 1


def test_a_restored_backup_that_forgot_a_bill_pays_no_second_time(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    world.collect(won)
    world.drain()
    number = world.bill(won).bill_no
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    assert world.now_award(won).state is AwardState.FULFILLED
    _restore_from_before_the_tap(world)

    assert world.now_award(won).state is AwardState.COLLECTIBLE
    world.collect(won)
    world.drain()
    assert world.now_award(won).state is AwardState.FULFILLED
    assert world.pay.paid() == {"openid-000001": 100}
    assert world.books()["paid"] == 100


def _restore_from_before_the_tap(world: PrizeWorld) -> None:
    """Bring the database to where a backup would have it that was made when the award had just been won."""
    forgotten = ("bills", "payouts", "inbox_messages", "outbox_attempts", "outbox_facts", "outbox_finished")
    with world.db.engine.connect() as connection:
        for table in forgotten:
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("DELETE FROM ledger_transfers WHERE reason = 'award.paid'"))
        connection.execute(text("UPDATE awards SET state = 'collectible', resolved_at = NULL"))
        connection.commit()


def test_a_verified_name_goes_with_a_large_award(world: PrizeWorld) -> None:
    world.pay.balance_fen = 10_000_000
    won = world.grant(world.person(), amount_fen=100_000, stock=None, awarded=None)
    bill = world.collect(won, user_name="李雷").bill
    world.drain()
    assert world.pay.bills[bill.bill_no].request.user_name is None
