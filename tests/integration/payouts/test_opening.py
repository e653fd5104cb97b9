"""The effect payouts.open: each answer of the platform, repeats, crashes, and a payer without money."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from app.alerts.queries import open_alerts
from app.kernel import boundaries
from app.kernel.actor import SYSTEM
from app.organisation.models import AppKind
from app.organisation.operations import register_app
from app.outbox.models import FinishedMessage, OutboxMessage
from app.outbox.operations import replay
from app.outbox.queries import parked
from app.payouts import operations
from app.payouts.interfaces import PayMethod, ReportInfo, TransferAnswer, TransferOutcome, TransferState
from app.payouts.limits import PACKET_TEXTS
from app.payouts.states import BillState, PayerState
from app.rewards.models import AwardState
from tests.factories.prizes import OPERATOR, PrizeWorld, payer_details
from tests.support.scripted_pay import Hiccup

SYSTEM_ERROR = TransferAnswer(TransferOutcome.RETRY_SAME, code="SYSTEM_ERROR", http_status=500)
STRANGE = TransferAnswer(TransferOutcome.UNKNOWN, code="WHAT", http_status=403)
SUSPECT = TransferAnswer(TransferOutcome.SUSPECT, code="SYSTEMERROR", http_status=200)
TIMED_OUT = TransferAnswer(TransferOutcome.RETRY_SAME, code="timeout")
TOO_FAST = TransferAnswer(TransferOutcome.FREQUENCY, code="FREQUENCY_LIMITED", http_status=429)
REFUSED = TransferAnswer(TransferOutcome.REFUSED, code="NO_AUTH", http_status=403, message="no such scene")


def bill_states(world: PrizeWorld) -> list[BillState]:
    return [bill.state for bill in world.bill_rows()]


def waiting(world: PrizeWorld) -> list[OutboxMessage]:
    return world.read(lambda session: list(session.scalars(select(OutboxMessage).order_by(OutboxMessage.id))))


def alerts(world: PrizeWorld) -> list[tuple[str, str]]:
    return world.read(lambda session: [(alert.kind, alert.subject) for alert in open_alerts(session)])


def test_an_accepted_bill_waits_for_the_shopper(world: PrizeWorld) -> None:
    bill = world.collect(world.grant(world.person())).bill
    world.drain()
    row = world.bill_rows()[0]
    assert (row.state, row.transfer_bill_no) == (BillState.WAIT_USER_CONFIRM, f"T{bill.bill_no}")
    assert row.package_info == f"package-{bill.bill_no}"
    assert waiting(world) == []


def test_what_opens_the_confirmation_page_is_not_readable_in_the_database(world: PrizeWorld) -> None:
    world.collect(world.grant(world.person()))
    world.drain()
    stored = world.read(lambda session: session.execute(text("SELECT package_info FROM bills")).scalar_one())
    assert b"package-" not in bytes(stored)


def test_a_bill_that_is_still_being_accepted_is_asked_for_until_it_can_be_confirmed(
    world: PrizeWorld,
) -> None:
    world.pay.first_state = TransferState.PROCESSING
    bill = world.collect(world.grant(world.person())).bill
    world.drain()
    assert bill_states(world) == [BillState.PROCESSING]
    world.pay.bills[bill.bill_no].state = TransferState.WAIT_USER_CONFIRM
    world.clock.advance(timedelta(seconds=5))
    world.drain()
    assert world.bill_rows()[0].package_info == f"package-{bill.bill_no}"
    assert [method for method, _ in world.pay.calls] == ["open", "query", "open"]
    assert waiting(world) == []


@pytest.mark.parametrize("answer", [SYSTEM_ERROR, STRANGE, RuntimeError("a bug in the gateway")])
@pytest.mark.parametrize("after", [False, True])
def test_after_an_answer_that_says_nothing_the_same_number_is_asked_about_and_tried(
    world: PrizeWorld, answer: TransferAnswer | Exception, after: bool
) -> None:
    bill = world.collect(world.grant(world.person())).bill
    world.pay.script.append(Hiccup("open", answer, after=after))
    world.drain()
    assert bill_states(world) == [BillState.NEW]
    assert [message.failures for message in waiting(world)] == [1]
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    assert bill_states(world) == [BillState.WAIT_USER_CONFIRM]
    assert world.pay.calls == [("open", bill.bill_no), ("query", bill.bill_no), ("open", bill.bill_no)]
    assert len(world.pay.bills) == 1


def test_a_bill_that_ended_meanwhile_is_not_opened_again(world: PrizeWorld) -> None:
    bill = world.collect(world.grant(world.person())).bill
    world.pay.script.append(Hiccup("open", SYSTEM_ERROR, after=True))
    world.drain()
    world.pay.confirm(bill.bill_no)
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    assert world.pay.calls == [("open", bill.bill_no), ("query", bill.bill_no)]
    assert bill_states(world) == [BillState.SUCCESS]
    assert world.books()["paid"] == 100


def test_a_packet_that_is_in_the_chat_is_not_sent_again(world: PrizeWorld) -> None:
    """A service account hands nothing over to an app, so what a query tells is all there is to know."""
    service = world.do(register_app, appid="wxservice", secret="s", kind=AppKind.SERVICE)
    packets = payer_details(
        (service,),
        mchid="1900000003",
        method=PayMethod.SERVICE_RED_PACKET,
        apiv2_key="0" * 32,
        client_certificate="-----BEGIN CERTIFICATE-----",
        scene_id="",
        report_infos=tuple(ReportInfo(name, "1.2.3.4") for name in PACKET_TEXTS),
        notify_url=None,
        product_max_fen=20_000,
    )
    person = world.person(app_id=service)
    bill = world.do(
        operations.open_bill,
        award_id=77,
        brand_id=world.brand_id,
        person_id=person,
        person_ids=world.cluster(person).person_ids,
        app_id=world.app_id,
        payer_id=world.do(operations.save_payer, payer=packets, actor=OPERATOR),
        amount_fen=100,
        remark="扫码奖励",
        actor=SYSTEM,
    )
    world.pay.script.append(Hiccup("open", SYSTEM_ERROR, after=True))
    world.drain()
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    assert world.pay.calls == [("open", bill.bill_no), ("query", bill.bill_no)]
    assert bill_states(world) == [BillState.WAIT_USER_CONFIRM]
    assert waiting(world) == []


def test_what_may_be_a_wrong_secret_is_tried_a_few_times_and_then_told(world: PrizeWorld) -> None:
    """WeCom's packets: the platform tells a wrong workwx_sign as SYSTEMERROR, for ever (contract 5.5)."""
    won = world.grant(world.person())
    bill = world.collect(won).bill
    tries = 0
    while not world.read(parked):
        world.pay.script.append(Hiccup("open", SUSPECT))
        world.drain()
        world.clock.advance(timedelta(minutes=16))
        tries += 1
    assert tries == 9
    (message,) = world.read(parked)
    assert message.reason is not None
    assert "secret of the 企业支付 app" in message.reason
    assert ("outbox.parked", str(message.id)) in alerts(world)
    # It was asked about before and after each try, and always went by its one number; it stays open.
    assert [method for method, _ in world.pay.calls] == ["open", *["query", "query", "open"] * 8, "query"]
    assert {number for _, number in world.pay.calls} == {bill.bill_no}
    assert (bill_states(world), world.now_award(won).state) == ([BillState.NEW], AwardState.LOCKED)
    world.do(replay, message_id=message.id, by="olga")
    world.drain()
    assert bill_states(world) == [BillState.WAIT_USER_CONFIRM]
    assert set(world.pay.bills) == {bill.bill_no}


def test_an_outage_before_it_blames_no_secret(world: PrizeWorld) -> None:
    world.collect(world.grant(world.person()))
    for answer in [TIMED_OUT] * 8 + [SUSPECT] * 8:
        world.pay.script.append(Hiccup("open", answer))
        world.drain()
        world.clock.advance(timedelta(minutes=16))
        assert world.read(parked) == []
    world.pay.script.append(Hiccup("open", SUSPECT))
    world.drain()
    (message,) = world.read(parked)
    # A replay counts from the start: the first one said again is no more than that.
    world.do(replay, message_id=message.id, by="olga")
    world.pay.script.append(Hiccup("open", SUSPECT))
    world.drain()
    assert world.read(parked) == []
    assert [it.failures for it in waiting(world)] == [1]


def test_what_is_suspect_is_asked_about_at_once(world: PrizeWorld) -> None:
    world.collect(world.grant(world.person()))
    world.pay.script.append(Hiccup("open", SUSPECT, after=True))
    world.drain()
    assert bill_states(world) == [BillState.WAIT_USER_CONFIRM]


@pytest.mark.parametrize("answer", [TIMED_OUT, REFUSED])
def test_a_query_that_fails_hides_no_suspicion(world: PrizeWorld, answer: TransferAnswer) -> None:
    world.collect(world.grant(world.person()))
    world.pay.script += [Hiccup("open", SUSPECT), Hiccup("query", answer)]
    world.drain()
    assert [it.reason for it in waiting(world)] == ["suspect: SYSTEMERROR"]
    assert world.read(parked) == []


def test_going_too_fast_is_no_failure(world: PrizeWorld) -> None:
    world.collect(world.grant(world.person()))
    for _ in range(25):
        world.pay.script.append(Hiccup("open", TOO_FAST))
        world.drain()
        world.clock.advance(timedelta(minutes=16))
    assert [(message.failures, message.state) for message in waiting(world)] == [(0, "pending")]
    world.drain()
    assert bill_states(world) == [BillState.WAIT_USER_CONFIRM]


def test_a_refusal_parks_with_what_to_do_and_a_replay_keeps_the_number(world: PrizeWorld) -> None:
    won = world.grant(world.person())
    bill = world.collect(won).bill
    world.pay.script.append(Hiccup("open", REFUSED))
    world.drain()
    (message,) = world.read(parked)
    assert message.reason is not None
    assert "NO_AUTH (no such scene)" in message.reason
    assert "allow this server's IP" in message.reason
    assert ("outbox.parked", str(message.id)) in alerts(world)
    assert world.now_award(won).state is AwardState.LOCKED
    assert world.collect(won).bill.bill_no == bill.bill_no
    world.do(replay, message_id=message.id, by="olga")
    world.drain()
    assert bill_states(world) == [BillState.WAIT_USER_CONFIRM]
    assert list(world.pay.bills) == [bill.bill_no]


def test_a_refusal_is_not_believed_when_the_bill_exists(world: PrizeWorld) -> None:
    world.collect(world.grant(world.person()))
    world.pay.script.append(Hiccup("open", REFUSED, after=True))
    world.drain()
    assert world.read(parked) == []
    # The query told the state but not what opens the page: that takes another try.
    assert world.bill_rows()[0].package_info is None
    world.clock.advance(timedelta(minutes=1))
    world.drain()
    assert world.bill_rows()[0].package_info is not None


def test_a_call_that_hangs_is_given_up_and_asked_about(world: PrizeWorld) -> None:
    world.collect(world.grant(world.person()))
    world.pay.script.append(Hiccup("open", TIMED_OUT))
    world.drain()
    attempts = world.read(
        lambda session: session.execute(text("SELECT outcome FROM outbox_attempts")).scalars().all()
    )
    assert attempts == ["retrylater: retry_same: timeout"]


# A payer without money


def test_a_payer_without_money_is_paused_and_nothing_is_lost(world: PrizeWorld) -> None:
    world.pay.balance_fen = 250
    awards = [world.grant(world.person()) for _ in range(6)]
    for won in awards:
        world.collect(won)
    world.drain()
    payer = world.payer()
    assert (payer.state, payer.state_by) == (PayerState.PAUSED_BALANCE, "wechat-pay")
    assert ("payer.balance", str(world.payer_id)) in alerts(world)
    assert bill_states(world).count(BillState.WAIT_USER_CONFIRM) == 2
    assert all(message.failures == 0 for message in waiting(world))

    world.pay.balance_fen += 1000
    assert world.do(operations.resume, payer_id=world.payer_id, actor=OPERATOR) == 4
    world.drain()
    assert bill_states(world) == [BillState.WAIT_USER_CONFIRM] * 6
    assert world.payer().state is PayerState.ACTIVE
    assert alerts(world) == []
    assert len(world.pay.bills) == 6


def test_a_paused_payer_lets_one_bill_try_every_ten_minutes(world: PrizeWorld) -> None:
    world.pay.balance_fen = 0
    for _ in range(5):
        world.collect(world.grant(world.person()))
    world.drain()
    asked = len(world.pay.calls)
    for minutes in range(1, 61):
        world.clock.advance(timedelta(minutes=1))
        world.drain()
        probes = len([call for call in world.pay.calls[asked:] if call[0] == "open"])
        assert probes == minutes // 10, f"after {minutes} minutes"
    # Every one of them would have failed alike; none has come nearer to being parked.
    assert {message.failures for message in waiting(world)} == {0}


def test_the_probe_that_succeeds_resumes_the_payer(world: PrizeWorld) -> None:
    world.pay.balance_fen = 0
    for _ in range(5):
        world.collect(world.grant(world.person()))
    world.drain()
    world.pay.balance_fen = 10_000
    world.clock.advance(timedelta(minutes=11))
    world.drain()
    assert world.payer().state is PayerState.ACTIVE
    assert bill_states(world) == [BillState.WAIT_USER_CONFIRM] * 5
    assert alerts(world) == []


def test_bills_that_are_not_opened_wait_while_an_operator_pauses(world: PrizeWorld) -> None:
    world.do(operations.pause, payer_id=world.payer_id, reason="audit", actor=OPERATOR)
    won = world.grant(world.person())
    world.collect(won)
    for _ in range(3):
        world.drain()
        world.clock.advance(timedelta(hours=1))
    assert world.pay.calls == []
    assert world.now_award(won).state is AwardState.LOCKED
    world.do(operations.resume, payer_id=world.payer_id, actor=OPERATOR)
    world.drain()
    assert bill_states(world) == [BillState.WAIT_USER_CONFIRM]


def test_funds_do_not_end_an_operators_pause(world: PrizeWorld) -> None:
    world.pay.balance_fen = 0
    world.collect(world.grant(world.person()))
    world.drain()
    world.do(operations.pause, payer_id=world.payer_id, reason="audit", actor=OPERATOR)
    world.pay.balance_fen = 1000
    world.clock.advance(timedelta(hours=1))
    world.drain()
    assert world.payer().state is PayerState.PAUSED_OPERATOR
    assert bill_states(world) == [BillState.NEW]


def test_a_platform_that_only_says_processing_is_suspected_to_lack_money(world: PrizeWorld) -> None:
    world.pay.first_state = TransferState.PROCESSING
    bill = world.collect(world.grant(world.person())).bill
    for _ in range(8):
        world.drain()
        world.clock.advance(timedelta(minutes=5))
    assert alerts(world) == [("payer.slow", str(world.payer_id))]
    world.pay.bills[bill.bill_no].state = TransferState.WAIT_USER_CONFIRM
    world.drain()
    assert alerts(world) == []
    assert world.bill_rows()[0].package_info is not None


# Crashes between the phases


class Crash(BaseException):
    """Stands for SIGKILL: no handler may catch it."""


@pytest.fixture
def crash_at() -> Iterator[list[str]]:
    """The names of boundaries at which the worker dies, once each."""
    names: list[str] = []

    def hook(name: str) -> None:
        if name in names:
            names.remove(name)
            raise Crash(name)

    boundaries.install(hook)
    yield names
    boundaries.install(None)


@pytest.mark.parametrize("phase", ["preparing", "prepared", "performed", "settling", "settled"])
def test_a_worker_that_dies_between_two_phases_pays_nobody_twice(
    world: PrizeWorld, crash_at: list[str], phase: str
) -> None:
    won = world.grant(world.person())
    bill = world.collect(won).bill
    crash_at.append(f"payouts.open.{phase}")
    with pytest.raises(Crash):
        world.drain()
    # Leases run on database time, which a test cannot move.
    world.db.transact(
        lambda session: session.execute(update(OutboxMessage).values(lease_until=None, lease_owner=None))
    )
    world.drain()
    assert list(world.pay.bills) == [bill.bill_no]
    assert world.bill_rows()[0].package_info == f"package-{bill.bill_no}"
    world.pay.confirm(bill.bill_no)
    world.call_back(bill.bill_no)
    crash_at.append("inbox.pay.before-commit")
    with pytest.raises(Crash):
        world.drain()
    world.drain()
    assert world.now_award(won).state is AwardState.FULFILLED
    assert world.books()["paid"] == sum(world.pay.paid().values()) == 100
    finished = world.read(lambda session: session.scalars(select(FinishedMessage.topic)).all())
    assert sorted(finished) == ["fact.rewards.settle", "inbox.pay", "payouts.open"]
