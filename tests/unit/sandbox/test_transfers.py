import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.book import available, frozen, wallet
from sandbox.directory import App, Merchant, Shopper
from sandbox.errors import AdminError, PayError
from sandbox.settings import Settings
from sandbox.transfer_request import TransferOrder
from sandbox.transfers import FINAL, TRANSITIONS, Bill
from sandbox.world import World

APPID = "wxunit0000000001"
MCHID = "1900000001"
DAY = 86_400


class Desk:
    """A merchant with 100 yuan and a shopper, and the few things that the tests do with them."""

    def __init__(self, world: World, merchant: Merchant) -> None:
        self.world = world
        self.merchant = merchant
        self.shopper = self.add_shopper()
        self.announced: list[Bill] = []
        world.transfers._announce = self.announced.append
        world.transfers.top_up(MCHID, 10_000)
        self._numbers = itertools.count(1)

    def add_shopper(self, name: str = "李雷") -> Shopper:
        return self.world.directory.add_shopper(
            name=name, phone="13800138000", country_code="86", high_risk=False
        )

    def order(self, **changes: Any) -> TransferOrder:
        order = TransferOrder(
            appid=APPID,
            out_bill_no=f"P{next(self._numbers)}",
            scene_id="1000",
            openid=self.world.directory.openid(APPID, self.shopper.id),
            user_name=None,
            amount_fen=1_000,
            remark="扫码奖励",
            notify_url="http://127.0.0.1:9/notify",
            perception=None,
            report_infos=(("奖励说明", "扫码红包"), ("活动名称", "夏日扫码")),
            recv_style="CONFIRM_PAGE",
        )
        return replace(order, **changes)

    def open(self, order: TransferOrder, **options: bool) -> dict[str, Any]:
        return self.world.transfers.open(self.merchant, order, **options)

    def state(self, order: TransferOrder) -> dict[str, Any]:
        return self.world.transfers.query(self.merchant, out_bill_no=order.out_bill_no)

    def confirm(self, opened: dict[str, Any], **changes: str) -> dict[str, Any]:
        fields = {
            "shopper_id": self.shopper.id,
            "package_info": opened["package_info"],
            "mch_id": MCHID,
            "app_id": APPID,
            **changes,
        }
        return self.world.transfers.confirm(**fields)

    def money(self) -> tuple[int, int, int]:
        """Available, frozen, in the shopper's wallet: fen."""
        book = self.world.book
        return (
            book.balance(available(MCHID)),
            book.balance(frozen(MCHID)),
            book.balance(wallet(self.shopper.id)),
        )

    def advance(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.agenda.run_due()


@pytest.fixture
def desk(world: World, merchant: Merchant) -> Iterator[Desk]:
    desk = Desk(world, merchant)
    yield desk
    assert world.transfers.audit() == []


def refusal(action: Callable[[], object]) -> tuple[int, str]:
    try:
        action()
    except (PayError, AdminError) as error:
        return error.status, error.code
    pytest.fail("it was not refused")


def test_the_way_of_the_money(desk: Desk) -> None:
    desk.world.settings.change({"transfer_seconds": 1})
    order = desk.order()

    opened = desk.open(order)
    assert opened["state"] == "WAIT_USER_CONFIRM"
    assert len(opened["package_info"]) <= 1024
    assert desk.money() == (9_000, 1_000, 0)

    assert desk.confirm(opened)["state"] == "TRANSFERING"
    assert desk.money() == (9_000, 1_000, 0)
    assert desk.announced == []

    desk.advance(1)
    assert desk.state(order)["state"] == "SUCCESS"
    assert desk.money() == (9_000, 0, 1_000)
    assert [bill.state for bill in desk.announced] == ["SUCCESS"]
    assert [state for _, state in desk.announced[0].history] == [
        "PROCESSING",
        "WAIT_USER_CONFIRM",
        "TRANSFERING",
        "SUCCESS",
    ]


def test_the_same_order_again_is_the_same_bill(desk: Desk) -> None:
    order = desk.order()
    first = desk.open(order)

    assert desk.open(order) == first
    assert desk.money() == (9_000, 1_000, 0)
    desk.confirm(first)
    again = desk.open(order)
    assert (again["state"], again["transfer_bill_no"]) == ("SUCCESS", first["transfer_bill_no"])
    assert "package_info" not in again
    assert desk.money() == (9_000, 0, 1_000)


@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": 1_001},
        {"remark": "别的"},
        {"notify_url": None},
        {"user_name": "李雷"},
        {"recv_style": "RED_PACKET"},
        {"perception": "现金奖励"},
    ],
)
def test_another_order_under_a_used_number_is_refused(desk: Desk, change: dict[str, Any]) -> None:
    order = desk.order()
    desk.open(order)

    assert refusal(lambda: desk.open(replace(order, **change))) == (400, "INVALID_REQUEST")
    assert desk.money() == (9_000, 1_000, 0)


def test_who_may_send_what_to_whom(desk: Desk) -> None:
    desk.world.directory.put_app(App("wxother", "secret"))
    directory = desk.world.directory
    foreign = directory.openid("wxother", desk.shopper.id)
    virtual = directory.openid(APPID, desk.shopper.id, virtual=True)

    assert refusal(lambda: desk.open(desk.order(appid="wxother", openid=foreign))) == (
        400,
        "APPID_MCHID_NOT_MATCH",
    )
    assert refusal(lambda: desk.open(desk.order(scene_id="1002"))) == (403, "NO_AUTH")
    assert refusal(lambda: desk.open(desk.order(amount_fen=20_001))) == (400, "INVALID_REQUEST")
    assert refusal(lambda: desk.open(desk.order(openid=foreign))) == (400, "PARAM_ERROR")
    assert refusal(lambda: desk.open(desk.order(openid="nobody"))) == (400, "PARAM_ERROR")
    assert refusal(lambda: desk.open(desk.order(openid=virtual))) == (403, "USER_ERROR")
    assert desk.money() == (10_000, 0, 0)


def test_a_refused_order_leaves_its_number_free(desk: Desk) -> None:
    order = desk.order(amount_fen=20_001)
    refusal(lambda: desk.open(order))

    assert refusal(lambda: desk.state(order)) == (404, "NOT_FOUND")
    assert desk.open(replace(order, amount_fen=500))["state"] == "WAIT_USER_CONFIRM"


def with_shortage(desk: Desk, shortage: str) -> None:
    desk.merchant = replace(desk.merchant, shortage=shortage)


def test_without_money_the_order_is_refused_and_the_same_number_works_after_a_top_up(desk: Desk) -> None:
    order = desk.order(amount_fen=10_001)

    assert refusal(lambda: desk.open(order)) == (403, "NOT_ENOUGH")
    assert refusal(lambda: desk.state(order)) == (404, "NOT_FOUND")
    assert desk.world.transfers.top_up(MCHID, 1) == 10_001
    assert desk.open(order)["state"] == "WAIT_USER_CONFIRM"
    assert desk.money() == (0, 10_001, 0)


def test_without_money_a_bill_may_wait_in_processing(desk: Desk) -> None:
    with_shortage(desk, "processing")
    order = desk.order(amount_fen=10_001)

    opened = desk.open(order)
    assert opened["state"] == "PROCESSING"
    assert "package_info" not in opened
    assert desk.open(order)["state"] == "PROCESSING"
    assert desk.money() == (10_000, 0, 0)
    desk.world.transfers.top_up(MCHID, 1)
    assert desk.open(order)["state"] == "WAIT_USER_CONFIRM"
    assert desk.money() == (0, 10_001, 0)


def test_without_money_a_bill_may_be_recorded_although_the_answer_is_a_refusal(desk: Desk) -> None:
    with_shortage(desk, "not_enough_recorded")
    order = desk.order(amount_fen=10_001)

    assert refusal(lambda: desk.open(order)) == (403, "NOT_ENOUGH")
    assert desk.state(order)["state"] == "PROCESSING"
    desk.world.transfers.top_up(MCHID, 1)
    assert desk.state(order)["state"] == "WAIT_USER_CONFIRM"


def test_waiting_bills_get_their_money_oldest_first(desk: Desk) -> None:
    with_shortage(desk, "processing")
    orders = [desk.order(amount_fen=amount) for amount in (12_000, 11_000, 10_500)]
    for order in orders:
        desk.open(order)
    desk.world.transfers.top_up(MCHID, 12_500)

    assert [desk.state(order)["state"] for order in orders] == [
        "WAIT_USER_CONFIRM",
        "PROCESSING",
        "WAIT_USER_CONFIRM",
    ]
    assert desk.money() == (0, 22_500, 0)


def test_money_that_is_short_on_demand(desk: Desk) -> None:
    order = desk.order()

    assert refusal(lambda: desk.open(order, short=True)) == (403, "NOT_ENOUGH")
    assert desk.open(order)["state"] == "WAIT_USER_CONFIRM"


def test_a_bill_may_be_only_accepted_at_first(desk: Desk) -> None:
    order = desk.order()

    opened = desk.open(order, accepted_first=True)
    assert opened["state"] == "ACCEPTED"
    assert "package_info" not in opened
    assert desk.money() == (10_000, 0, 0)
    desk.advance(1)
    assert "package_info" in desk.open(order)
    assert desk.money() == (9_000, 1_000, 0)


@pytest.mark.parametrize("final", ["FAIL", "CANCELLED"])
def test_after_a_day_without_confirmation_the_money_comes_back(desk: Desk, final: str) -> None:
    desk.world.settings.change({"expiry_state": final})
    order = desk.order()
    opened = desk.open(order)
    desk.advance(DAY - 1)
    assert desk.state(order)["state"] == "WAIT_USER_CONFIRM"
    desk.advance(1)

    closed = desk.state(order)
    assert (closed["state"], closed["fail_reason"]) == (final, "OVERDUE_CLOSE")
    assert desk.money() == (10_000, 0, 0)
    assert [bill.state for bill in desk.announced] == [final]
    assert refusal(lambda: desk.confirm(opened)) == (409, "bill_closed")
    assert desk.open(order)["state"] == final


def test_expiry_does_not_wait_for_the_agenda(desk: Desk) -> None:
    opened = desk.open(desk.order())
    desk.world.clock.advance(DAY)

    assert refusal(lambda: desk.confirm(opened)) == (409, "bill_closed")
    assert desk.money() == (10_000, 0, 0)


def test_a_bill_that_was_confirmed_in_time_no_longer_expires(desk: Desk) -> None:
    desk.world.settings.change({"transfer_seconds": 10})
    order = desk.order()
    opened = desk.open(order)
    desk.advance(DAY - 1)
    desk.confirm(opened)
    desk.advance(5)

    assert desk.state(order)["state"] == "TRANSFERING"
    desk.advance(5)
    assert desk.state(order)["state"] == "SUCCESS"


def test_a_bill_that_waits_for_money_expires_too(desk: Desk) -> None:
    with_shortage(desk, "processing")
    order = desk.order(amount_fen=10_001)
    desk.open(order)
    desk.advance(DAY)

    assert desk.state(order)["state"] == "FAIL"
    desk.world.transfers.top_up(MCHID, 5_000)
    assert desk.money() == (15_000, 0, 0)


def test_cancelling_takes_a_moment_and_returns_the_money(desk: Desk) -> None:
    desk.world.settings.change({"transfer_seconds": 1})
    order = desk.order()
    opened = desk.open(order)

    cancelled = desk.world.transfers.cancel(desk.merchant, order.out_bill_no)
    assert cancelled["state"] == "CANCELING"
    assert set(cancelled) == {"out_bill_no", "transfer_bill_no", "state", "update_time"}
    assert refusal(lambda: desk.confirm(opened)) == (409, "bill_closed")
    assert desk.money() == (9_000, 1_000, 0)

    desk.advance(1)
    assert desk.state(order)["state"] == "CANCELLED"
    assert desk.state(order)["fail_reason"] == "MCH_CANCEL"
    assert desk.world.transfers.cancel(desk.merchant, order.out_bill_no)["state"] == "CANCELLED"
    assert desk.money() == (10_000, 0, 0)


def test_after_the_confirmation_nothing_can_be_cancelled(desk: Desk) -> None:
    order = desk.order()
    desk.confirm(desk.open(order))

    assert refusal(lambda: desk.world.transfers.cancel(desk.merchant, order.out_bill_no)) == (
        400,
        "INVALID_REQUEST",
    )
    assert refusal(lambda: desk.world.transfers.cancel(desk.merchant, "unknown")) == (404, "NOT_FOUND")


def test_closing_the_page_changes_nothing(desk: Desk) -> None:
    order = desk.order()
    opened = desk.open(order)
    answer = desk.world.transfers.decline(
        shopper_id=desk.shopper.id, package_info=opened["package_info"], mch_id=MCHID, app_id=APPID
    )

    assert answer["result"] == "cancel"
    assert desk.state(order)["state"] == "WAIT_USER_CONFIRM"
    assert desk.confirm(opened)["result"] == "success"


def test_the_page_checks_package_merchant_and_person(desk: Desk) -> None:
    opened = desk.open(desk.order())
    other = desk.add_shopper("韩梅梅")

    damaged = opened["package_info"].replace("+", " ")
    assert refusal(lambda: desk.confirm(opened, package_info=damaged)) == (409, "bad_package")
    assert refusal(lambda: desk.confirm(opened, mch_id="1900000002")) == (409, "bad_merchant")
    assert refusal(lambda: desk.confirm(opened, app_id="wxother")) == (409, "wrong_shopper")
    assert refusal(lambda: desk.confirm(opened, shopper_id=other.id)) == (409, "wrong_shopper")
    assert refusal(lambda: desk.confirm(opened, shopper_id="s99")) == (404, "unknown_shopper")
    assert desk.money() == (9_000, 1_000, 0)


def test_confirming_twice_pays_once(desk: Desk) -> None:
    opened = desk.open(desk.order())

    assert desk.confirm(opened) == desk.confirm(opened)
    assert desk.money() == (9_000, 0, 1_000)


@pytest.mark.parametrize(
    ("order_changes", "confirm_changes", "reason"),
    [
        ({}, {"fail_reason": "ACCOUNT_FROZEN"}, "ACCOUNT_FROZEN"),
        ({"user_name": "李磊"}, {}, "NAME_NOT_CORRECT"),
    ],
)
def test_a_transfer_can_fail_after_the_confirmation(
    desk: Desk, order_changes: dict[str, str], confirm_changes: dict[str, str], reason: str
) -> None:
    order = desk.order(**order_changes)
    desk.confirm(desk.open(order), **confirm_changes)

    assert desk.state(order)["state"] == "FAIL"
    assert desk.state(order)["fail_reason"] == reason
    assert desk.money() == (10_000, 0, 0)


def test_a_bill_is_found_by_both_numbers_for_thirty_days(desk: Desk) -> None:
    order = desk.order()
    opened = desk.open(order)
    number = opened["transfer_bill_no"]
    transfers = desk.world.transfers

    assert transfers.query(desk.merchant, transfer_bill_no=number) == desk.state(order)
    stranger = replace(desk.merchant, mchid="1900000002")
    assert refusal(lambda: transfers.query(stranger, transfer_bill_no=number)) == (404, "NOT_FOUND")
    assert refusal(lambda: transfers.query(desk.merchant, transfer_bill_no="1")) == (404, "NOT_FOUND")
    desk.advance(30 * DAY - 60)
    assert desk.state(order)["state"] == "FAIL"
    desk.advance(61)
    assert refusal(lambda: desk.state(order)) == (404, "NOT_FOUND")


def test_every_state_is_reachable_and_the_final_ones_lead_nowhere() -> None:
    reachable = {"ACCEPTED", "PROCESSING"}.union(*TRANSITIONS.values())

    assert reachable == set(TRANSITIONS)
    assert sorted(FINAL) == ["CANCELLED", "FAIL", "SUCCESS"]


def test_a_restart_takes_up_what_was_under_way(tmp_path: Path, merchant: Merchant) -> None:
    first = World(Settings(transfer_seconds=600), tmp_path / "journal")
    first.directory.be_born()
    first.directory.put_app(App(APPID, "secret"))
    first.store.record("merchant", **{n: getattr(merchant, n) for n in merchant.__dataclass_fields__})
    desk = Desk(first, merchant)
    waiting, paying, cancelling = (desk.order() for _ in range(3))
    desk.open(waiting)
    desk.confirm(desk.open(paying))
    desk.open(cancelling)
    first.transfers.cancel(merchant, cancelling.out_bill_no)
    first.advance(100)
    before = first.clock.now()
    first.store.close()

    second = World(Settings(transfer_seconds=600), tmp_path / "journal")
    second.store.replay()
    announced: list[Bill] = []
    second.transfers._announce = announced.append
    second.transfers.resume()
    second.agenda.run_due()

    def state(order: TransferOrder) -> str:
        return str(second.transfers.query(merchant, out_bill_no=order.out_bill_no)["state"])

    assert 0 <= second.clock.now() - before < 60
    assert [state(order) for order in (waiting, paying, cancelling)] == [
        "WAIT_USER_CONFIRM",
        "SUCCESS",
        "CANCELLED",
    ]
    assert sorted(bill.state for bill in announced) == ["CANCELLED", "SUCCESS"]
    assert second.book.balance(wallet(desk.shopper.id)) == 1_000
    assert second.transfers.audit() == []
    second.advance(DAY)
    assert state(waiting) == "FAIL"
    assert second.book.balance(available(MCHID)) == 9_000
    second.store.close()


def test_what_was_acknowledged_is_not_announced_again(tmp_path: Path, merchant: Merchant) -> None:
    first = World(Settings(transfer_seconds=0), tmp_path / "journal")
    first.directory.be_born()
    first.directory.put_app(App(APPID, "secret"))
    first.store.record("merchant", **{n: getattr(merchant, n) for n in merchant.__dataclass_fields__})
    desk = Desk(first, merchant)
    for _ in range(2):
        desk.confirm(desk.open(desk.order()))
    first.transfers.acknowledge(desk.announced[0])
    first.transfers.acknowledge(desk.announced[0])
    first.store.close()

    second = World(Settings(transfer_seconds=0), tmp_path / "journal")
    second.store.replay()
    announced: list[Bill] = []
    second.transfers._announce = announced.append
    second.transfers.resume()

    assert [bill.order.out_bill_no for bill in announced] == ["P2"]
    second.store.close()
