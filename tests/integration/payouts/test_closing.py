"""Closing bills that get no further: only the platform's word frees an award, or a person's with evidence."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.kernel.transitions import TransitionRefused
from app.outbox.models import OutboxMessage
from app.outbox.queries import parked
from app.payouts import closing
from app.payouts.closing import ANSWERS_FOR, LOOKS_APART, CloseBills
from app.payouts.errors import BillEnded, StillProvable, UnknownBill
from app.payouts.interfaces import TransferAnswer, TransferOutcome, TransferState
from app.payouts.models import Bill
from app.payouts.states import BillState
from app.payouts.stuck import stuck_bills
from app.rewards import operations as rewards
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.support.scripted_pay import CANCELLED, FAIL, SUCCESS, Hiccup

ABNORMAL = TransferAnswer(TransferOutcome.REFUSED, code="USER_ACCOUNT_ABNORMAL", http_status=403)
SUSPECT = TransferAnswer(TransferOutcome.SUSPECT, code="SYSTEMERROR", http_status=200)
TIMEOUT = TransferAnswer(TransferOutcome.RETRY_SAME, code="timeout")
NOT_FOUND = TransferAnswer(TransferOutcome.NOT_FOUND, code="NOT_FOUND", http_status=404)


def refused(world: PrizeWorld) -> AwardView:
    """An award whose bill was refused because of its receiver: parked, and locked."""
    won = world.grant(world.person())
    world.collect(won)
    world.pay.script.append(Hiccup("open", ABNORMAL))
    world.drain()
    assert len(world.read(parked)) == 1
    assert world.now_award(won).state is AwardState.LOCKED
    return won


def waiting(world: PrizeWorld) -> AwardView:
    """An award whose bill waits for its receiver."""
    won = world.grant(world.person())
    world.collect(won)
    world.drain()
    return won


def close(world: PrizeWorld, won: AwardView) -> None:
    number = world.bill(won).bill_no
    world.do(closing.close_bill, bill_no=number, reason="it cannot go on", actor=OPERATOR)
    world.drain()


def row(world: PrizeWorld) -> Bill:
    return world.bill_rows()[-1]


def alerts(world: PrizeWorld) -> set[str]:
    return world.read(lambda session: {alert.kind for alert in open_alerts(session)})


def test_what_was_refused_for_its_receiver_is_collected_again_with_a_new_number(world: PrizeWorld) -> None:
    won = refused(world)
    close(world, won)
    assert world.now_award(won).state is AwardState.LOCKED, "one look is not enough"
    assert row(world).absent_at == world.clock.now()
    world.clock.advance(LOOKS_APART)
    world.drain()
    assert (row(world).state, row(world).fail_reason) == (BillState.CANCELLED, "NEVER_OPENED")
    assert (row(world).closing_by, row(world).closing_reason) == ("olga", "it cannot go on")
    assert world.now_award(won).state is AwardState.COLLECTIBLE
    assert world.read(parked) == []
    assert alerts(world) == set()
    again = world.collect(won).bill
    world.drain()
    world.pay.confirm(again.bill_no)
    world.call_back(again.bill_no)
    world.drain()
    assert again.generation == 2
    assert world.now_award(won).state is AwardState.FULFILLED
    assert world.books()["paid"] == 100
    assert sum(world.pay.paid().values()) == 100


@pytest.mark.parametrize(("answer", "tries"), [(ABNORMAL, 1), (SUSPECT, 9)])
def test_what_is_closed_in_mid_call_does_not_stop_for_an_operator(
    world: PrizeWorld, answer: TransferAnswer, tries: int
) -> None:
    won = world.grant(world.person())
    world.collect(won)
    for _ in range(tries - 1):
        world.pay.script.append(Hiccup("open", answer))
        world.drain()
        world.clock.advance(timedelta(minutes=16))
    number = world.bill(won).bill_no

    def close_it(method: str) -> None:
        if method == "open":
            world.do(closing.close_bill, bill_no=number, reason="it cannot go on", actor=OPERATOR)

    world.pay.before_call = close_it
    world.pay.script += [*[Hiccup("query", NOT_FOUND)] * (tries > 1), Hiccup("open", answer)]
    world.drain()
    assert world.read(parked) == []
    assert alerts(world) == set()
    for _ in range(2):
        world.clock.advance(LOOKS_APART)
        world.drain()
    assert row(world).state is BillState.CANCELLED
    assert world.now_award(won).state is AwardState.COLLECTIBLE


def test_an_award_that_was_freed_lapses_or_is_refused_and_its_budget_returns(world: PrizeWorld) -> None:
    lapsing, refusing = refused(world), world.grant(world.person())
    close(world, lapsing)
    world.clock.advance(LOOKS_APART)
    world.drain()
    world.collect(refusing)
    world.pay.script.append(Hiccup("open", ABNORMAL))
    world.drain()
    with pytest.raises(TransitionRefused):
        world.do(rewards.refuse, award_id=refusing.id, reason="cannot be paid", actor=OPERATOR)
    close(world, refusing)
    world.clock.advance(LOOKS_APART)
    world.drain()
    refusal = world.do(rewards.refuse, award_id=refusing.id, reason="cannot be paid", actor=OPERATOR)
    assert (refusal.state, refusal.reason) == (AwardState.REFUSED, "cannot be paid")
    world.clock.advance(timedelta(days=8))
    assert world.do(rewards.lapse_due) == 1
    assert world.books() == {"budget": 100_000, "committed": 0, "paid": 0, "stock": 100, "awarded": 0}


def test_what_may_still_be_paid_is_cancelled_first(world: PrizeWorld) -> None:
    won = waiting(world)
    close(world, won)
    assert row(world).state is BillState.CANCELING
    assert world.now_award(won).state is AwardState.LOCKED
    world.clock.advance(timedelta(seconds=20))
    world.drain()
    assert (row(world).state, row(world).fail_reason) == (BillState.CANCELLED, "MCH_CANCEL")
    assert world.now_award(won).state is AwardState.COLLECTIBLE
    assert [method for method, _ in world.pay.calls] == ["open", "query", "cancel", "query"]


@pytest.mark.parametrize("end", [SUCCESS, FAIL, CANCELLED])
def test_what_has_ended_at_the_platform_ends_here(world: PrizeWorld, end: TransferState) -> None:
    won = waiting(world)
    number = world.bill(won).bill_no
    if end is SUCCESS:
        world.pay.confirm(number)
    else:
        world.pay.end(number, end, "ACCOUNT_FROZEN")
    close(world, won)
    freed = AwardState.FULFILLED if end is SUCCESS else AwardState.COLLECTIBLE
    assert world.now_award(won).state is freed
    assert world.books()["paid"] == sum(world.pay.paid().values())


def test_whoever_confirms_while_it_is_cancelled_wins(world: PrizeWorld) -> None:
    won = waiting(world)
    number = world.bill(won).bill_no
    world.pay.before_call = lambda method: world.pay.confirm(number) if method == "cancel" else None
    close(world, won)
    assert world.now_award(won).state is AwardState.FULFILLED
    assert world.books()["paid"] == 100


def test_a_confirmed_transfer_is_left_to_end_by_itself(world: PrizeWorld) -> None:
    won = waiting(world)
    world.pay.bills[world.bill(won).bill_no].state = TransferState.TRANSFERING
    close(world, won)
    assert row(world).state is BillState.TRANSFERING
    assert ("cancel", row(world).bill_no) not in world.pay.calls
    assert world.now_award(won).state is AwardState.LOCKED


@pytest.mark.parametrize("method", ["query", "cancel"])
def test_an_answer_that_says_nothing_frees_nothing(world: PrizeWorld, method: str) -> None:
    won = waiting(world)
    world.pay.script.append(Hiccup(method, TIMEOUT, after=True))
    close(world, won)
    assert world.now_award(won).state is AwardState.LOCKED
    for _ in range(2):
        world.clock.advance(timedelta(minutes=1))
        world.drain()
    assert row(world).state is BillState.CANCELLED


def test_a_refused_question_parks_with_what_mends_it(world: PrizeWorld) -> None:
    won = waiting(world)
    no_auth = TransferAnswer(TransferOutcome.REFUSED, code="NO_AUTH", http_status=403)
    world.pay.script.append(Hiccup("query", no_auth))
    close(world, won)
    (message,) = world.read(parked)
    assert (message.topic, "NO_AUTH" in (message.reason or "")) == ("payouts.close", True)
    (found,) = world.read(stuck_bills)
    assert found.why.startswith("closing it: NO_AUTH")
    assert f"saoma outbox replay {message.id}" in found.advice


def test_nothing_opens_a_bill_that_is_being_closed(world: PrizeWorld) -> None:
    """Its own message, which waits for a payer that is paused, finds that it is closed."""
    won = world.grant(world.person())
    world.collect(won)
    world.pay.script.append(Hiccup("open", TIMEOUT))
    world.drain()
    close(world, won)
    world.clock.advance(LOOKS_APART)
    world.drain()
    assert world.pay.bills == {}
    assert [method for method, _ in world.pay.calls] == ["open", "query", "query"]
    assert world.now_award(won).state is AwardState.COLLECTIBLE


def test_it_waits_for_an_attempt_that_had_begun(world: PrizeWorld) -> None:
    """The call is in flight when the operator acts; what it opens is found and cancelled."""
    won = world.grant(world.person())
    number = world.collect(won).bill.bill_no

    def operator_acts(method: str) -> None:
        world.pay.before_call = lambda method: None
        world.do(closing.close_bill, bill_no=number, reason="too slow", actor=OPERATOR)
        world.drainer.round([closing.CLOSE_TOPIC])

    world.pay.before_call = operator_acts
    world.drain()
    assert [method for method, _ in world.pay.calls] == ["open"], "nothing was asked while it was in flight"
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    assert row(world).state is BillState.CANCELLED
    assert world.now_award(won).state is AwardState.COLLECTIBLE


def test_a_callback_between_the_question_and_its_answer_stands(world: PrizeWorld) -> None:
    """The platform's silence was older than its callback: no contradiction, the money is the winner's."""
    won = refused(world)
    close(world, won)
    number = world.bill(won).bill_no
    template = waiting(world)
    world.clock.advance(LOOKS_APART)
    world.pay.bills[number] = world.pay.bills.pop(world.bill(template).bill_no)
    world.pay.script.append(Hiccup("query", NOT_FOUND))
    world.pay.bills[number].state = SUCCESS
    openid = world.bill_rows()[0].openid

    def it_arrives(method: str) -> None:
        world.pay.before_call = lambda method: None
        world.call_back(number, openid=openid)
        world.drainer.round(["inbox.pay"])

    world.pay.before_call = it_arrives
    world.drainer.round([closing.CLOSE_TOPIC])
    assert world.bill_rows()[0].state is BillState.SUCCESS
    assert "bill.contradiction" not in alerts(world)


def test_not_being_known_proves_nothing_after_thirty_days(world: PrizeWorld) -> None:
    won = refused(world)
    world.clock.advance(ANSWERS_FOR)
    close(world, won)
    world.clock.advance(LOOKS_APART)
    world.drain()
    assert world.now_award(won).state is AwardState.LOCKED
    assert "bill.lost" in alerts(world)
    (found,) = world.read(stuck_bills)
    assert "saoma payouts conclude" in found.advice


def test_not_being_known_proves_nothing_about_what_was_accepted(world: PrizeWorld) -> None:
    won = waiting(world)
    world.pay.bills.clear()
    close(world, won)
    world.clock.advance(LOOKS_APART)
    world.drain()
    assert world.now_award(won).state is AwardState.LOCKED
    assert "bill.lost" in alerts(world)


@pytest.mark.parametrize("paid", [True, False])
def test_a_person_concludes_with_evidence_what_the_platform_cannot_tell(
    world: PrizeWorld, paid: bool
) -> None:
    won = refused(world)
    number = world.bill(won).bill_no

    def conclude() -> None:
        world.do(
            closing.conclude,
            registry=world.registry,
            bill_no=number,
            paid=paid,
            evidence="ticket 4711",
            actor=OPERATOR,
        )

    with pytest.raises(StillProvable):
        conclude()
    close(world, won)
    with pytest.raises(StillProvable):
        conclude()
    world.clock.advance(ANSWERS_FOR)
    world.drain()
    conclude()
    world.drain()
    freed = AwardState.FULFILLED if paid else AwardState.COLLECTIBLE
    assert world.now_award(won).state is freed
    assert world.books()["paid"] == (100 if paid else 0)
    assert (row(world).fail_reason, row(world).closing_reason) == ("CONCLUDED", "ticket 4711")
    assert "bill.lost" not in alerts(world)
    with pytest.raises(BillEnded):
        conclude()


def test_only_open_bills_are_closed(world: PrizeWorld) -> None:
    with pytest.raises(UnknownBill):
        world.do(closing.close_bill, bill_no="SB1", reason="x", actor=OPERATOR)
    won = waiting(world)
    number = world.bill(won).bill_no
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    with pytest.raises(BillEnded):
        world.do(closing.close_bill, bill_no=number, reason="x", actor=OPERATOR)


def test_what_is_stuck_is_listed_with_why_since_when_and_what_to_do(world: PrizeWorld) -> None:
    assert world.read(stuck_bills) == []
    won, since = refused(world), world.clock.now()
    waiting(world)
    world.clock.advance(timedelta(hours=3))
    (found,) = world.read(stuck_bills)
    assert (found.award_id, found.person_id, found.amount_fen) == (won.id, won.person_id, 100)
    assert (found.state, found.since) == (BillState.NEW, since)
    assert found.why.startswith("USER_ACCOUNT_ABNORMAL")
    assert f"saoma payouts close {found.bill_no}" in found.advice
    close(world, won)
    (found,) = world.read(stuck_bills)
    assert found.why == "closing it: not known to the platform; it is asked again"


def test_the_walk_on_sqlite(sqlite_db: Database, clock: ManualClock) -> None:
    world = PrizeWorld.build(sqlite_db, clock)
    won = refused(world)
    close(world, won)
    world.clock.advance(LOOKS_APART)
    world.drain()
    assert world.now_award(won).state is AwardState.COLLECTIBLE
    assert world.read(lambda session: list(session.scalars(select(OutboxMessage.topic)))) == []
    assert CloseBills.deadline_seconds > 3 * 8, "three calls fit in"
