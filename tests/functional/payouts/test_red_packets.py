"""Prizes paid by red packets through the real gateway by a platform in a process of its own: nobody is called
back, so every end is asked for; compared fen by fen.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.gateways.pay.red_packets import WeChatRedPackets
from app.gateways.pay.wecom_packets import WeComRedPackets
from app.kernel.clock import ManualClock
from app.outbox.operations import replay
from app.outbox.queries import parked
from app.payouts import closing, limits, operations, queries
from app.payouts.errors import AmountNotPayable, RedPacketsOfToday, StillProvable
from app.payouts.interfaces import PayMethod, ReportInfo
from app.payouts.states import BillState, PayerState
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.functional.payouts.paying import TROUBLES, PayingShop, make_trouble
from tests.support.certificates import certificate
from tests.support.sandbox import SandboxProcess, new_private_key

SEND = "/mmpaymkttransfers/send[rmw]*"
APPID = "wxdemo0000000000p2"
SERVICE = "wxdemo0000000000s2"
CORP = "wwdemo0000000000c2"
WECOM = PayMethod.WECOM_RED_PACKET
METHODS = [PayMethod.RED_PACKET, PayMethod.SERVICE_RED_PACKET]
# What WeCom's packets do like all others is shown once more by a few tests, what they do alone by one.
EVERY = pytest.mark.parametrize("method", [*METHODS, WECOM], indirect=True)
SENDERS = {PayMethod.SERVICE_RED_PACKET: SERVICE, WECOM: CORP}
PAYMENT_SECRET = "secret-of-the-payment-app"
SECRET = "app-secret-of-red-packets"
TEXTS = {"send_name": "茶铺", "wishing": "恭喜发财", "act_name": "夏日扫码", "client_ip": "127.0.0.1"}
WECOM_TEXTS = {"agentid": "1000002", "wishing": "恭喜发财", "act_name": "夏日扫码"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        process.create_app(APPID, SECRET)
        process.create_app(SERVICE, SECRET, kind="service")
        process.create_app(CORP, SECRET, kind="corp", agentid="1000002")
        yield process


@pytest.fixture(scope="module")
def merchant_key() -> str:
    return new_private_key()


@dataclass
class Shop(PayingShop):
    """A brand whose merchant number holds red packets: of its mini-program, service account or corp."""

    APPID, SECRET = APPID, SECRET
    mchid: str
    method: PayMethod

    def log_in(self, shopper: dict[str, Any]) -> int:
        """They are known to the service account or the corp, too, where packets come from it."""
        person_id = super().log_in(shopper)
        if not self.method.taken_in_app:
            self.world.follow(person_id, shopper["openids"][SENDERS[self.method]])
        return person_id

    def open(self, shopper_id: str, won: AwardView) -> None:
        """The mini-program hands what it got to wx.sendBizRedPacket; or it is in the chat."""
        bill = self.world.collect(won).bill
        if not self.method.taken_in_app:
            assert (bill.sent_in_chat, bill.appid) == (True, SENDERS[self.method])
            self.sandbox.open_packet(shopper_id, mchid=self.mchid, mch_billno=bill.bill_no)
            return
        assert bill.package_info is not None
        self.sandbox.send_biz_red_packet(shopper_id, {"appId": bill.appid, **json.loads(bill.package_info)})

    def later(self, **step: float) -> None:
        """Let time pass on both sides and everything happen that is due then."""
        step_ = timedelta(**step)
        self.world.clock.advance(step_)
        self.sandbox.advance(step_.total_seconds())
        self.world.do(operations.poll_due)
        self.world.drain()

    def platform(self) -> list[tuple[int, str]]:
        """Amount and state of this merchant's packets in the platform's book."""
        book = self.sandbox.book()
        assert book["balanced"], book["faults"]
        return [(one["amount_fen"], one["state"]) for one in book["packets"] if one["mchid"] == self.mchid]

    def alerts(self) -> set[str]:
        return {alert.kind for alert in self.world.read(open_alerts)}


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> PayMethod:
    found: PayMethod = request.param
    return found


@pytest.fixture
def shop(
    *,
    method: PayMethod,
    request: pytest.FixtureRequest,
    sandbox: SandboxProcess,
    merchant_key: str,
    clean_db: Database,
    clock: ManualClock,
) -> Iterator[Shop]:
    mchid, apiv2_key = f"19{secrets.randbelow(10**8):08d}", secrets.token_hex(16)
    merchant = sandbox.create_merchant(
        mchid,
        appids=[APPID, SERVICE, CORP],
        balance_fen=getattr(request, "param", 1_000_000),
        private_key_pem=merchant_key,
        apiv2_key=apiv2_key,
        workwx_secret=PAYMENT_SECRET,
    )
    wecom = method is WECOM
    world = PrizeWorld.build(
        clean_db,
        clock,
        gateway=(WeComRedPackets if wecom else WeChatRedPackets)(sandbox.base_url, deadline_seconds=2.0),
        appid=APPID,
        sender=SENDERS.get(method),
        mchid=mchid,
        serial_no=merchant.serial_no,
        private_key=merchant.private_key_pem,
        apiv3_key=merchant.apiv3_key,
        public_key_id=merchant.platform_public_key_id,
        public_key=merchant.platform_public_key_pem,
        method=method,
        apiv2_key=apiv2_key,
        client_certificate=certificate(merchant_key),
        workwx_secret=PAYMENT_SECRET if wecom else None,
        scene_id="",
        report_infos=tuple(ReportInfo(*pair) for pair in (WECOM_TEXTS if wecom else TEXTS).items()),
        notify_url=None,
        product_max_fen=20_000,
    )
    yield Shop(world, sandbox, mchid, method)
    sandbox.clear_faults()
    world.drainer.close()


@EVERY
def test_a_prize_is_collected_opened_asked_about_and_paid(shop: Shop) -> None:
    shopper, won = shop.won()
    shop.world.drain()
    shop.open(shopper, won)
    assert shop.world.now_award(won).state is AwardState.LOCKED
    shop.later(minutes=2)
    assert shop.world.now_award(won).state is AwardState.FULFILLED
    assert shop.platform() == [(100, "RECEIVED")]
    assert shop.world.books()["paid"] == 100
    assert shop.alerts() == set()


@EVERY
@pytest.mark.parametrize(("kind", "after_commit"), TROUBLES)
def test_whatever_the_platform_answers_it_pays_once(shop: Shop, kind: str, after_commit: bool) -> None:
    make_trouble(shop.sandbox, SEND, kind, after_commit=after_commit)
    shopper, won = shop.won()
    for _ in range(6):
        shop.later(minutes=1)
    assert shop.world.read(parked) == []
    assert shop.platform() == [(100, "SENT")]
    shop.open(shopper, won)
    shop.later(minutes=10)
    assert shop.world.now_award(won).state is AwardState.FULFILLED
    assert shop.platform() == [(100, "RECEIVED")]
    assert shop.world.books()["paid"] == 100


@pytest.mark.parametrize("method", [WECOM], indirect=True)
def test_a_wrong_secret_of_wecom_is_told_to_an_operator_and_pays_once_it_is_mended(shop: Shop) -> None:
    """The platform calls it SYSTEMERROR: for so long it is tried, under one number, and no longer."""

    def keep(secret: str) -> None:
        known = shop.world.payer()
        shop.world.do(_keep_secret, payer_id=known.id, secret=secret)

    keep("a secret of another application")
    shopper, won = shop.won()
    for _ in range(14):
        shop.later(minutes=5)
    (message,) = shop.world.read(parked)
    assert message.reason is not None
    assert "SYSTEMERROR" in message.reason
    assert "secret of the 企业支付 app" in message.reason
    assert shop.states() == [BillState.NEW]
    assert shop.platform() == []
    keep(PAYMENT_SECRET)
    shop.world.do(replay, message_id=message.id, by="olga")
    shop.later(minutes=1)
    shop.open(shopper, won)
    shop.later(minutes=10)
    assert shop.platform() == [(100, "RECEIVED")]
    assert shop.states() == [BillState.SUCCESS]
    assert shop.world.books()["paid"] == 100


def _keep_secret(session: Session, *, payer_id: int, secret: str, now: datetime) -> None:
    queries.payer(session, payer_id).workwx_secret = secret


def test_an_end_is_asked_for_every_ten_minutes_since_nobody_tells_it(shop: Shop) -> None:
    shopper, won = shop.won()
    for _ in range(12):
        shop.later(hours=1)
    shop.open(shopper, won)
    shop.later(minutes=10)
    assert shop.world.now_award(won).state is AwardState.FULFILLED


@EVERY
def test_what_fails_or_is_not_opened_can_be_collected_again(shop: Shop) -> None:
    shop.sandbox.fault(SEND, "send_fails", times=1)
    shopper, won = shop.won()
    shop.world.drain()
    shop.later(minutes=2)
    award = shop.world.now_award(won)
    assert (award.state, award.reason) == (AwardState.COLLECTIBLE, "FAILED")
    shop.world.collect(won)
    shop.world.drain()
    for _ in range(3):
        shop.later(hours=9)
    award = shop.world.now_award(won)
    assert (award.state, award.reason) == (AwardState.COLLECTIBLE, "REFUND")
    shop.world.collect(won)
    shop.world.drain()
    shop.open(shopper, won)
    shop.later(minutes=2)
    assert shop.platform() == [(100, "FAILED"), (100, "REFUND"), (100, "RECEIVED")]
    assert shop.states() == [BillState.FAIL, BillState.FAIL, BillState.SUCCESS]
    assert shop.world.books()["paid"] == 100


@pytest.mark.parametrize("shop", [250], indirect=True)
def test_a_short_balance_loses_nothing(shop: Shop) -> None:
    winners = [shop.won() for _ in range(4)]
    shop.later(minutes=1)
    assert shop.world.payer().state is PayerState.PAUSED_BALANCE
    assert "payer.balance" in shop.alerts()
    assert shop.states().count(BillState.WAIT_USER_CONFIRM) == 2
    shop.sandbox.top_up(shop.mchid, 1_000)
    shop.world.do(operations.resume, payer_id=shop.world.payer_id, actor=OPERATOR)
    for _ in range(3):
        shop.later(minutes=4)
    for shopper, won in winners:
        shop.open(shopper, won)
    shop.later(minutes=10)
    assert {shop.world.now_award(won).state for _, won in winners} == {AwardState.FULFILLED}
    assert shop.platform() == [(100, "RECEIVED")] * 4
    assert shop.world.books()["paid"] == 400


@EVERY
def test_the_limits_of_a_day_and_of_a_packet_are_kept_before_the_platform_says_so(shop: Shop) -> None:
    _, person = shop.shopper()
    for amount in (99, 20_001):
        with pytest.raises(AmountNotPayable):
            shop.world.collect(shop.world.grant(person, amount_fen=amount))
    for _ in range(5):
        shop.world.collect(shop.world.grant(person, amount_fen=100))
    with pytest.raises(RedPacketsOfToday):
        # 5 yuan are on their way: 995.01 would be too much.
        shop.world.do(
            operations.open_bill,
            award_id=99,
            brand_id=shop.world.brand_id,
            person_id=person,
            person_ids=[person],
            app_id=shop.world.app_id,
            payer_id=_payer_with_scene(shop),
            amount_fen=99_501,
            remark="扫码奖励",
            actor=OPERATOR,
        )
    for _ in range(5):
        shop.world.collect(shop.world.grant(person))
    eleventh = shop.world.grant(person)
    with pytest.raises(RedPacketsOfToday):
        shop.world.collect(eleventh)
    assert shop.world.now_award(eleventh).state is AwardState.COLLECTIBLE
    shop.world.drain()
    shop.later(days=1)
    shop.world.collect(eleventh)
    shop.later(minutes=1)
    assert shop.states()[-1] is BillState.WAIT_USER_CONFIRM


def _payer_with_scene(shop: Shop) -> int:
    """The same payer, now with a scene in which larger packets may be sent."""
    known = shop.world.payer()
    details: dict[str, Any] = {
        name: getattr(known, name)
        for name in ("name", "mchid", "serial_no", "private_key", "apiv3_key", "public_key_id", "public_key")
    }
    sealed = ("method", "apiv2_key", "client_certificate", "workwx_secret")
    details |= {name: getattr(known, name) for name in sealed}
    payer = operations.PayerDetails(
        **details,
        app_ids=(shop.world.payer_app_id,),
        product_max_fen=100_000,
        report_infos=tuple(ReportInfo(**info) for info in known.report_infos),
        scene_id="PRODUCT_2",
    )
    return shop.world.do(operations.save_payer, payer=payer, actor=OPERATOR)


def test_a_limit_that_the_platform_knows_of_waits_for_the_next_day(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another system gives away packets under the same number: ours waits, and is not lost."""
    shopper, person = shop.shopper()
    for _ in range(10):
        shop.world.collect(shop.world.grant(person))
    shop.world.drain()
    monkeypatch.setattr(limits, "PACKETS_A_DAY", 11)
    last = shop.world.grant(person)
    shop.world.collect(last)
    shop.later(minutes=1)
    assert shop.states()[-1] is BillState.NEW
    assert shop.world.read(parked) == []
    shop.later(days=1, minutes=10)
    assert shop.states()[-1] is BillState.WAIT_USER_CONFIRM
    shop.open(shopper, last)


def test_closing_waits_for_what_comes_back_and_never_believes_that_there_was_none(shop: Shop) -> None:
    _, won = shop.won()
    shop.world.drain()
    number = shop.world.bill(won).bill_no
    shop.world.do(closing.close_bill, bill_no=number, reason="asked to", actor=OPERATOR)
    for _ in range(27):
        shop.later(hours=1)
    award = shop.world.now_award(won)
    assert (award.state, award.reason) == (AwardState.COLLECTIBLE, "REFUND")
    assert shop.platform() == [(100, "REFUND")]

    _, lost = shop.won()
    shop.sandbox.fault(SEND, "user_account_abnormal")
    shop.world.drain()
    assert len(shop.world.read(parked)) == 1
    number = shop.world.bill(lost).bill_no
    conclude = {"bill_no": number, "paid": False, "evidence": "merchant platform", "actor": OPERATOR}
    with pytest.raises(StillProvable):
        shop.world.do(_conclude, world=shop.world, **conclude)
    shop.world.do(closing.close_bill, bill_no=number, reason="banned", actor=OPERATOR)
    for _ in range(3):
        shop.later(minutes=15)
    assert shop.world.now_award(lost).state is AwardState.LOCKED
    assert "bill.lost" in shop.alerts()
    shop.world.do(_conclude, world=shop.world, **conclude)
    shop.world.drain()
    assert shop.world.now_award(lost).state is AwardState.COLLECTIBLE
    assert shop.world.books()["paid"] == 0


def _conclude(session: Any, *, world: PrizeWorld, **fields: Any) -> None:
    closing.conclude(session, world.registry, **fields)
