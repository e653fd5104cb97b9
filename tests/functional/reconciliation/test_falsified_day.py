"""A day with a thousand payouts of which the platform's bill tells seven wrongly: exactly these are named.

The payouts go through the real gateway to a platform in a process of its own, the bill comes back as a
signed, gzipped file, and nothing of either side is made up.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.gateways.pay.statements import WeChatPayStatements
from app.gateways.pay.transfers import WeChatPayTransfers
from app.gateways.wechat import WeChatApi
from app.kernel.actor import SYSTEM
from app.kernel.clock import ManualClock
from app.payouts import operations as payouts
from app.payouts.queries import latest_bill
from app.reconciliation import operations, queries, telling
from app.reconciliation.closing import close_due
from app.reconciliation.handlers import FetchStatements
from app.reconciliation.models import ReconciledDay
from app.reconciliation.queries import DifferenceView
from app.reconciliation.states import DifferenceState
from tests.factories.prizes import PrizeWorld
from tests.support.sandbox import MerchantAccount, SandboxProcess

APPID = "wxdemo0000000000r1"
SECRET = "app-secret-of-reconciliation"
BEIJING = ZoneInfo("Asia/Shanghai")
SHOPPERS = 5
FALSIFIED = ("missing", "doubled", "amount", "other_bill", "late", "refunded")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        process.create_app(APPID, SECRET)
        yield process


@dataclass
class Office:
    """A brand, its merchant account, and the folder of its bills; its clock goes with the platform's."""

    world: PrizeWorld
    sandbox: SandboxProcess
    merchant: MerchantAccount
    folder: Path

    def shopper(self) -> int:
        """Somebody who has logged in."""
        shopper_id = self.sandbox.shopper()["id"]
        fields = {
            "appid": APPID,
            "secret": SECRET,
            "js_code": self.sandbox.js_code(shopper_id, APPID),
            "grant_type": "authorization_code",
        }
        answer = WeChatApi(self.sandbox.base_url).get("/sns/jscode2session", fields)
        return self.world.person(openid=str(answer["openid"]))

    def pay(self, count: int, *, confirm: bool = True) -> list[str]:
        """Pay `count` awards of one yuan; return their bill numbers."""
        people = [self.shopper() for _ in range(min(count, SHOPPERS))]
        won = []
        for number in range(count):
            award = self.world.grant(people[number % len(people)], stock=None, awarded=None)
            self.world.collect(award)
            won.append(award)
        self.world.drain()
        if confirm:
            self.sandbox.confirm_all(self.merchant.mchid)
            self.ask()
        bills = [self.world.read(latest_bill, award_id=award.id) for award in won]
        return [bill.bill_no for bill in bills if bill is not None]

    def ask(self) -> None:
        """Let enough time pass that every open bill is asked about."""
        self.later(minutes=3)
        while self.world.do(payouts.poll_due):
            self.world.drain()

    def later(self, **step: float) -> None:
        """Let time pass here and on the platform."""
        self.world.clock.advance(timedelta(**step))
        self.sandbox.advance(timedelta(**step).total_seconds())

    def to_the_next_day(self, hour: float) -> date:
        """Go to `hour` on the next day in Beijing; return the day that is left."""
        here = self.world.clock.now().astimezone(BEIJING)
        midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
        self.later(seconds=(midnight + timedelta(days=1, hours=hour) - here).total_seconds())
        return here.date()

    def reconcile(self) -> int:
        """Do what the scheduler does once: ask, fetch, close; return how many days were closed."""
        self.world.do(operations.ask_due)
        self.world.drain()
        return close_due(self.world.db, folder=self.folder, now=self.world.clock.now(), actor=SYSTEM)

    def named(self, day: date) -> dict[str, DifferenceView]:
        """The differences of a day by their numbers."""
        found = self.world.read(
            queries.differences, payer_id=self.world.payer_id, since=str(day), until=str(day)
        )
        return {one.number: one for one in found}

    def closed(self, day: date) -> ReconciledDay:
        """A day that is closed."""
        found = self.world.read(queries.closed_day, payer_id=self.world.payer_id, day=str(day))
        assert found is not None
        return found


@pytest.fixture
def office(
    sandbox: SandboxProcess, clean_db: Database, clock: ManualClock, tmp_path: Path
) -> Iterator[Office]:
    told = datetime.fromisoformat(sandbox._admin("GET", "/clock")["now"]).astimezone(BEIJING)
    noon = told.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1, hours=12)
    sandbox.advance((noon - told).total_seconds())
    clock.set(noon)
    mchid = f"19{secrets.randbelow(10**8):08d}"
    merchant = sandbox.create_merchant(mchid, appids=[APPID], balance_fen=1_000_000)
    world = PrizeWorld.build(
        clean_db,
        clock,
        gateway=WeChatPayTransfers(sandbox.base_url),
        appid=APPID,
        mchid=mchid,
        serial_no=merchant.serial_no,
        private_key=merchant.private_key_pem,
        apiv3_key=merchant.apiv3_key,
        public_key_id=merchant.platform_public_key_id,
        public_key=merchant.platform_public_key_pem,
        notify_url=None,
    )
    folder = tmp_path / "statements"
    world.registry.add(effects=[FetchStatements(WeChatPayStatements(sandbox.base_url), folder)])
    yield Office(world, sandbox, merchant, folder)
    sandbox.tell_the_truth()
    world.drainer.close()


@pytest.mark.parametrize("count", [140, pytest.param(1000, marks=pytest.mark.simulate)])
def test_of_many_payouts_exactly_the_seven_falsified_ones_are_named(office: Office, count: int) -> None:
    """`make simulate` runs the thousand."""
    numbers = office.pay(count)
    assert len(set(numbers)) == count
    day = office.world.clock.now().astimezone(BEIJING).date()
    chosen = dict(zip(FALSIFIED, numbers[:: count // 7], strict=False))
    for kind, number in chosen.items():
        office.sandbox.falsify(office.merchant.mchid, str(day), kind, number=number, fen=99)
    office.sandbox.falsify(office.merchant.mchid, str(day), "unknown", number="THEIRS0001", fen=4200)

    assert office.to_the_next_day(9.5) == day
    assert office.reconcile() == 0
    office.later(hours=1)
    assert office.reconcile() == 1

    expected = {number: kind for kind, number in chosen.items()} | {"THEIRS0001": "unknown"}
    # What comes a day late cannot be told from what is missing before that day's bill has come.
    expected[chosen["late"]] = "missing"
    found = office.named(day)
    assert {number: one.kind.value for number, one in found.items()} == expected
    closed = office.closed(day)
    assert (closed.paid_bills, closed.paid_fen) == (count, count * 100)
    assert closed.unexplained_fen == 0
    (alert,) = office.world.read(open_alerts)
    assert alert.kind == telling.DIFFERENCES_ALERT

    assert office.reconcile() == 0
    assert office.named(day) == found

    office.to_the_next_day(10.5)
    assert office.reconcile() == 1
    expected[chosen["late"]] = "late"
    found = office.named(day)
    assert {number: one.kind.value for number, one in found.items()} == expected
    assert found[chosen["late"]].state is DifferenceState.RESOLVED
    assert office.named(day + timedelta(days=1)) == {}
    assert office.closed(day + timedelta(days=1)).unexplained_fen == 0


def test_an_honest_platform_leaves_nothing_to_look_at(office: Office) -> None:
    paid = office.pay(20)
    office.pay(5, confirm=False)
    day = office.to_the_next_day(10.5)
    assert office.reconcile() == 1
    assert office.closed(day).carried_fen == 500
    # What nobody confirmed comes back on the second day, and its bills end here.
    office.later(hours=4)
    office.ask()
    second = office.to_the_next_day(10.5)
    assert office.reconcile() == 1
    found = office.world.read(queries.differences)
    assert found == []
    assert [one.unexplained_fen for one in office.world.read(queries.days)] == [0, 0]
    assert office.closed(second).carried_fen == 0
    assert office.closed(second).bill_closing_fen == 1_000_000 - 100 * len(paid)
    assert office.world.read(open_alerts) == []


def test_a_file_whose_digest_is_wrong_is_not_taken(office: Office) -> None:
    office.pay(1)
    day = office.world.clock.now().astimezone(BEIJING).date()
    office.sandbox.falsify(office.merchant.mchid, str(day), "wrong_hash")
    office.to_the_next_day(10.5)
    assert office.reconcile() == 0
    assert list(office.folder.iterdir()) == []
    office.sandbox.tell_the_truth()
    office.later(minutes=30)
    assert office.reconcile() == 1
    assert office.named(day) == {}
