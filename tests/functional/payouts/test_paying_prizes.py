"""Prizes paid through the real gateway by a platform in a process of its own, compared fen by fen.

The platform's callbacks arrive at a receiver here; what the surface does with them (verify, record) is done
by hand, so that a test can choose the moment.
"""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.gateways.pay.transfers import WeChatPayTransfers
from app.kernel.clock import ManualClock
from app.outbox.operations import replay
from app.outbox.queries import parked
from app.payouts import operations, queries
from app.payouts.states import BillState, PayerState
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from tests.factories.prizes import OPERATOR, PrizeWorld, payer_details
from tests.functional.payouts.paying import TROUBLES, PayingShop, make_trouble
from tests.support.loopback import LoopbackServer, Seen
from tests.support.sandbox import MerchantAccount, SandboxProcess, new_private_key

BILLS = "/v3/fund-app/mch-transfer/transfer-bills"
ANY_BILL = f"{BILLS}*"
APPID = "wxdemo0000000000p1"
SECRET = "app-secret-of-paying-prizes"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        process.create_app(APPID, SECRET)
        yield process


@pytest.fixture(scope="module")
def merchant_key() -> str:
    return new_private_key()


@dataclass
class Shop(PayingShop):
    """A brand with a merchant account on the platform, and the receiver of its callbacks."""

    APPID, SECRET = APPID, SECRET
    gateway: WeChatPayTransfers
    merchant: MerchantAccount
    receiver: LoopbackServer
    taken: int = 0

    def confirm(self, shopper_id: str, won: AwardView, **more: str) -> None:
        """The shopper confirms on the page that package_info opens."""
        bill = self.world.collect(won).bill
        assert bill.package_info is not None
        self.sandbox.confirm(
            shopper_id, package_info=bill.package_info, mch_id=bill.mchid, app_id=bill.appid, **more
        )

    def hear(self, count: int) -> list[bool]:
        """Wait until `count` more callbacks of this merchant have come, record them; tell which were new."""
        end = time.monotonic() + 10
        while len(seen := self._arrived()) < self.taken + count:
            assert time.monotonic() < end, f"{len(seen) - self.taken} of {count} callbacks came"
            time.sleep(0.01)
        fresh, self.taken = seen[self.taken :], len(seen)
        recorded = []
        for one in fresh:
            credentials = self.world.read(
                lambda session: queries.credentials(queries.payer_of(session, self.merchant.mchid))
            )
            notice = self.gateway.parse_callback(credentials, one.headers, one.body)
            recorded.append(self.world.do(operations.record_notice, notice=notice))
        self.world.drain()
        return recorded

    def later(self, **step: float) -> None:
        """Let time pass and everything happen that is due then."""
        self.world.clock.advance(timedelta(**step))
        self.world.do(operations.poll_due)
        self.world.drain()

    def platform_paid(self) -> int:
        """What the platform's book says this merchant has paid, in fen."""
        book = self.sandbox.book()
        assert book["balanced"], book["faults"]
        return sum(
            bill["amount_fen"]
            for bill in book["bills"]
            if bill["mchid"] == self.merchant.mchid and bill["state"] == "SUCCESS"
        )

    def platform_bills(self) -> int:
        """How many bills of this merchant the platform has."""
        return sum(1 for bill in self.sandbox.book()["bills"] if bill["mchid"] == self.merchant.mchid)

    def _arrived(self) -> list[Seen]:
        return [one for one in list(self.receiver.seen) if one.target.endswith(self.merchant.mchid)]


@pytest.fixture
def shop(request: pytest.FixtureRequest, clean_db: Database, clock: ManualClock) -> Iterator[Shop]:
    sandbox: SandboxProcess = request.getfixturevalue("sandbox")
    shortage, balance_fen = getattr(request, "param", ("not_enough", 1_000_000))
    mchid = f"19{secrets.randbelow(10**8):08d}"
    merchant = sandbox.create_merchant(
        mchid,
        appids=[APPID],
        balance_fen=balance_fen,
        private_key_pem=request.getfixturevalue("merchant_key"),
        shortage=shortage,
    )
    gateway = WeChatPayTransfers(sandbox.base_url, deadline_seconds=2.0)
    world = PrizeWorld.build(
        clean_db,
        clock,
        gateway=gateway,
        appid=APPID,
        mchid=mchid,
        serial_no=merchant.serial_no,
        private_key=merchant.private_key_pem,
        apiv3_key=merchant.apiv3_key,
        public_key_id=merchant.platform_public_key_id,
        public_key=merchant.platform_public_key_pem,
        notify_url=f"https://saoma.example/miniprogram/v1/callbacks/pay/{mchid}",
    )
    with LoopbackServer() as receiver:
        receiver.reply(204, b"")
        sandbox.settings(product_url=receiver.url)
        yield Shop(world, sandbox, gateway, merchant, receiver)
    sandbox.clear_faults()
    world.drainer.close()


def test_a_prize_is_collected_confirmed_and_paid(shop: Shop) -> None:
    shopper, won = shop.won()
    shop.world.drain()
    shop.confirm(shopper, won)
    assert shop.hear(1) == [True]
    assert shop.world.now_award(won).state is AwardState.FULFILLED
    assert shop.world.books()["paid"] == shop.platform_paid() == 100
    assert shop.world.read(open_alerts) == []


@pytest.mark.parametrize(
    ("kind", "after_commit"), [*TROUBLES, ("bad_signature", False), ("clock_skew", False)]
)
def test_whatever_the_platform_answers_it_pays_once(shop: Shop, kind: str, after_commit: bool) -> None:
    make_trouble(shop.sandbox, BILLS, kind, after_commit=after_commit)
    shopper, won = shop.won()
    for _ in range(6):
        shop.later(minutes=1)
        shop.sandbox.advance(2)
    assert shop.world.read(parked) == []
    assert shop.platform_bills() == 1
    shop.confirm(shopper, won)
    shop.hear(1)
    assert shop.world.now_award(won).state is AwardState.FULFILLED
    assert shop.world.books()["paid"] == shop.platform_paid() == 100


@pytest.mark.parametrize(
    "shop",
    [("not_enough", 250), ("not_enough_recorded", 250), ("processing", 250)],
    indirect=True,
    ids=lambda given: given[0],
)
def test_a_short_balance_loses_nothing(shop: Shop) -> None:
    """PAY-08: not enough money pauses and alerts; a top-up and `resume` pay everybody, once each."""
    winners = [shop.won() for _ in range(5)]
    shop.world.drain()
    for _ in range(4):
        shop.later(minutes=4)
    alerts = {alert.kind for alert in shop.world.read(open_alerts)}
    funded = shop.states().count(BillState.WAIT_USER_CONFIRM)
    assert funded == 2
    paused = shop.world.payer().state is PayerState.PAUSED_BALANCE
    assert ("payer.balance" in alerts) is paused
    assert paused or "payer.slow" in alerts

    shop.sandbox.top_up(shop.merchant.mchid, 1000)
    if paused:
        shop.world.do(operations.resume, payer_id=shop.world.payer_id, actor=OPERATOR)
    for _ in range(3):
        shop.later(minutes=4)
    assert shop.states() == [BillState.WAIT_USER_CONFIRM] * 5
    for shopper, won in winners:
        shop.confirm(shopper, won)
    shop.hear(5)
    assert {shop.world.now_award(won).state for _, won in winners} == {AwardState.FULFILLED}
    assert shop.platform_bills() == 5
    assert shop.world.books()["paid"] == shop.platform_paid() == 500


def test_what_nobody_confirms_in_a_day_can_be_collected_again(shop: Shop) -> None:
    shopper, won = shop.won()
    shop.world.drain()
    first = shop.world.bill(won).bill_no
    shop.sandbox.advance(24 * 3600 + 60)
    shop.world.clock.advance(timedelta(days=1, minutes=1))
    shop.hear(1)
    award = shop.world.now_award(won)
    assert (award.state, award.reason) == (AwardState.COLLECTIBLE, "OVERDUE_CLOSE")
    second = shop.world.collect(won).bill
    assert second.bill_no != first
    shop.world.drain()
    shop.confirm(shopper, won)
    shop.hear(1)
    assert shop.world.now_award(won).state is AwardState.FULFILLED
    assert shop.world.books()["paid"] == shop.platform_paid() == 100


def test_a_receiver_who_cannot_take_money_may_try_again(shop: Shop) -> None:
    shopper, won = shop.won()
    shop.world.drain()
    shop.confirm(shopper, won, fail_reason="PAYEE_ACCOUNT_ABNORMAL")
    shop.hear(1)
    assert shop.world.now_award(won).reason == "PAYEE_ACCOUNT_ABNORMAL"
    shop.world.collect(won)
    shop.world.drain()
    shop.confirm(shopper, won)
    shop.hear(1)
    assert shop.world.now_award(won).state is AwardState.FULFILLED
    assert shop.platform_bills() == 2
    assert shop.world.books()["paid"] == shop.platform_paid() == 100


def test_callbacks_may_come_twice_late_or_in_disorder(shop: Shop) -> None:
    winners = [shop.won() for _ in range(4)]
    shop.world.drain()
    shop.sandbox.fault("*", "duplicate_callback", times=2, copies=3)
    shop.sandbox.fault("*", "reorder_callback", times=1)
    for shopper, won in winners:
        shop.confirm(shopper, won)
    shop.sandbox.advance(30)
    recorded = shop.hear(4 + 2 * 2)
    assert recorded.count(True) == 4
    assert {shop.world.now_award(won).state for _, won in winners} == {AwardState.FULFILLED}
    assert shop.world.books()["paid"] == shop.platform_paid() == 400


def test_a_callback_that_never_comes_is_asked_for(shop: Shop) -> None:
    shop.sandbox.fault("*", "no_callback", times=1)
    shopper, won = shop.won()
    shop.world.drain()
    shop.confirm(shopper, won)
    shop.sandbox.fault(ANY_BILL, "system_error", times=1)
    shop.later(minutes=2)
    assert shop.world.now_award(won).state is AwardState.LOCKED
    shop.later(minutes=1)
    assert shop.world.now_award(won).state is AwardState.FULFILLED
    assert shop.world.books()["paid"] == shop.platform_paid() == 100


def test_a_refused_bill_waits_for_its_mending_under_the_same_number(shop: Shop) -> None:
    """A wrong key stops the bill with a reason; put right and replayed, it is paid under its number."""
    wrong = shop.world.payer()
    details = {
        "mchid": shop.merchant.mchid,
        "private_key": shop.merchant.private_key_pem,
        "apiv3_key": shop.merchant.apiv3_key,
        "public_key_id": shop.merchant.platform_public_key_id,
        "public_key": shop.merchant.platform_public_key_pem,
        "notify_url": wrong.notify_url,
    }
    _save(shop, serial_no="ABCDEF0123456789", **details)
    shopper, won = shop.won()
    shop.world.drain()
    (stopped,) = shop.world.read(parked)
    assert stopped.reason is not None
    assert stopped.reason.startswith("SIGN_ERROR")
    number = shop.world.bill(won).bill_no
    _save(shop, serial_no=shop.merchant.serial_no, **details)
    shop.world.do(_replay, message_id=stopped.id)
    shop.world.drain()
    shop.confirm(shopper, won)
    shop.hear(1)
    assert shop.sandbox.bill(number)["state"] == "SUCCESS"
    assert shop.world.books()["paid"] == shop.platform_paid() == 100


def _save(shop: Shop, **details: object) -> None:
    payer = payer_details((shop.world.app_id,), **details)
    shop.world.do(operations.save_payer, payer=payer, actor=OPERATOR)


def _replay(session: Session, *, message_id: int, now: datetime) -> None:
    replay(session, message_id=message_id, by="olga", now=now)
