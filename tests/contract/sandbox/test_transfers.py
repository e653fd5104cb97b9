"""Merchant transfers over HTTP: contract 4.8 and row 10 of section 8."""

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.contract.sandbox.conftest import SECRET, Till
from tests.contract.sandbox.pay_client import REPORT, new_number
from tests.support.sandbox import SandboxRefusedError

DAY = 86_400


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_the_answer_to_a_new_bill(till: Till) -> None:
    order = till.bill()
    opened = till.client.open(order).json()

    assert set(opened) == {"out_bill_no", "transfer_bill_no", "create_time", "state", "package_info"}
    assert opened["out_bill_no"] == order["out_bill_no"]
    assert opened["create_time"].endswith("+08:00")
    assert till.money() == (999_900, 100)


def test_the_answer_to_a_query_by_either_number(till: Till) -> None:
    order = till.bill()
    opened = till.client.open(order).json()
    by_own = till.client.query(order["out_bill_no"]).json()
    path = f"/v3/fund-app/mch-transfer/transfer-bills/transfer-bill-no/{opened['transfer_bill_no']}"
    by_theirs = till.client.request("GET", path).json()

    assert by_own == by_theirs
    assert by_own == {
        "mch_id": till.account.mchid,
        "out_bill_no": order["out_bill_no"],
        "transfer_bill_no": opened["transfer_bill_no"],
        "appid": till.appid,
        "state": "WAIT_USER_CONFIRM",
        "transfer_amount": 100,
        "transfer_remark": "扫码奖励",
        "openid": till.openid,
        "create_time": opened["create_time"],
        "update_time": by_own["update_time"],
    }


def test_a_bill_that_nobody_opened_is_not_found(till: Till) -> None:
    assert refusal(till.client.query(new_number())) == (404, "NOT_FOUND")
    assert refusal(till.client.cancel(new_number())) == (404, "NOT_FOUND")


def test_a_bill_is_its_merchants_own(make_till: Callable[..., Till]) -> None:
    mine, other = make_till(), make_till()
    order = mine.bill()
    mine.client.open(order)

    assert refusal(other.client.query(order["out_bill_no"])) == (404, "NOT_FOUND")
    assert other.client.open(order).json()["state"] == "WAIT_USER_CONFIRM"
    assert mine.money() == other.money() == (999_900, 100)


def test_confirming_moves_the_money(till: Till) -> None:
    till.sandbox.settings(transfer_seconds=0.15)
    opened = till.opened()
    assert till.confirm(opened)["state"] == "TRANSFERING"
    assert till.client.state(opened["out_bill_no"]) == "TRANSFERING"
    till.sandbox.advance(1)

    assert till.client.state(opened["out_bill_no"]) == "SUCCESS"
    assert till.money() == (999_900, 0)
    shopper = next(s for s in till.sandbox.shoppers() if s["id"] == till.shopper["id"])
    assert shopper["balance_fen"] == 100
    assert till.sandbox.book()["paid"][till.openid] == 100


def test_money_arrives_by_itself(till: Till) -> None:
    till.sandbox.settings(transfer_seconds=0.05)
    opened = till.opened()
    till.confirm(opened)
    for _ in range(200):
        if till.client.state(opened["out_bill_no"]) == "SUCCESS":
            break

    assert till.client.state(opened["out_bill_no"]) == "SUCCESS"


def test_the_same_number_again(till: Till) -> None:
    order = till.bill()
    first = till.client.open(order).json()

    assert till.client.open(order).json() == first
    assert refusal(till.client.open({**order, "transfer_amount": 101})) == (400, "INVALID_REQUEST")
    assert till.money() == (999_900, 100)


def test_unknown_and_null_fields_are_refused(till: Till) -> None:
    for changes in ({"colour": "red"}, {"notify_url": None}, {"user_name": None}):
        assert refusal(till.client.open(till.bill(**changes))) == (400, "PARAM_ERROR")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"transfer_amount": 9}, (400, "PARAM_ERROR")),
        ({"transfer_amount": 200_000}, (400, "PARAM_ERROR")),
        (
            {
                "transfer_scene_id": "1011",
                "transfer_scene_report_infos": [{"info_type": "赔付原因", "info_content": "破损"}],
                "transfer_amount": 50_001,
            },
            (400, "INVALID_REQUEST"),
        ),
        ({"out_bill_no": "a_b"}, (400, "PARAM_ERROR")),
        ({"transfer_scene_id": "9999"}, (400, "PARAM_ERROR")),
        (
            {
                "transfer_scene_id": "1009",
                "transfer_scene_report_infos": [{"info_type": "采购商品名称", "info_content": "酒"}],
            },
            (403, "NO_AUTH"),
        ),
        ({"transfer_scene_report_infos": REPORT[:1]}, (400, "PARAM_ERROR")),
        ({"user_recv_perception": "恭喜发财"}, (400, "INVALID_REQUEST")),
        ({"openid": "oNobody"}, (400, "PARAM_ERROR")),
        ({"notify_url": "http://shop.example/c"}, (400, "PARAM_ERROR")),
        ({"notify_url": "https://shop.example/c?a=1"}, (400, "PARAM_ERROR")),
        ({"user_recv_style": {"type": "RED_PACKET"}, "transfer_amount": 20_001}, (400, "INVALID_REQUEST")),
        ({"appid": "wxunbound"}, (400, "APPID_MCHID_NOT_MATCH")),
        ({"user_name": "plain"}, (400, "PARAM_ERROR")),
    ],
    ids=str,
)
def test_what_breaks_a_rule_is_refused_and_opens_nothing(
    shared_till: Till, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    order = shared_till.bill(**changes)

    assert refusal(shared_till.client.open(order)) == expected
    assert shared_till.client.state(order["out_bill_no"]) == "NOT_FOUND"


def test_the_identity_of_a_snapshot_visit_gets_no_money(till: Till) -> None:
    js_code = till.sandbox.js_code(till.shopper["id"], till.appid, virtual=True)
    session = requests.get(
        f"{till.sandbox.base_url}/sns/jscode2session",
        params={
            "appid": till.appid,
            "secret": SECRET,
            "js_code": js_code,
            "grant_type": "authorization_code",
        },
        timeout=10,
    ).json()

    assert refusal(till.client.open(till.bill(openid=session["openid"]))) == (403, "USER_ERROR")


def test_2000_yuan_need_the_name_and_29_fen_must_not_have_one(till: Till) -> None:
    sealed = till.client.seal(till.shopper["name"])
    options = {"more_headers": sealed["headers"]}

    big = till.bill(transfer_amount=200_000, user_name=sealed["user_name"])
    small = till.bill(transfer_amount=29, user_name=sealed["user_name"])
    assert till.client.open(big, **options).status_code == 200
    assert refusal(till.client.open(small, **options)) == (400, "PARAM_ERROR")


def test_a_wrong_name_fails_after_the_confirmation(till: Till) -> None:
    sealed = till.client.seal("别人")
    order = till.bill(user_name=sealed["user_name"])
    opened = till.client.open(order, more_headers=sealed["headers"]).json()
    till.confirm(opened)
    answer = till.client.query(order["out_bill_no"]).json()

    assert (answer["state"], answer["fail_reason"]) == ("FAIL", "NAME_NOT_CORRECT")
    assert till.money() == (1_000_000, 0)


@pytest.mark.parametrize(
    ("shortage", "first", "state"),
    [
        ("not_enough", (403, "NOT_ENOUGH"), "NOT_FOUND"),
        ("not_enough_recorded", (403, "NOT_ENOUGH"), "PROCESSING"),
        ("processing", (200, None), "PROCESSING"),
    ],
)
def test_a_short_balance_and_a_top_up(
    make_till: Callable[..., Till], shortage: str, first: tuple[int, str | None], state: str
) -> None:
    till = make_till(balance_fen=99, shortage=shortage)
    order = till.bill()

    response = till.client.open(order)
    assert (response.status_code, response.json().get("code")) == first
    assert till.client.state(order["out_bill_no"]) == state
    assert till.sandbox.top_up(till.account.mchid, 1) == (100 if state == "NOT_FOUND" else 0)
    assert till.client.open(order).json()["state"] == "WAIT_USER_CONFIRM"
    assert till.money() == (0, 100)


def test_a_balance_that_is_short_on_demand(till: Till) -> None:
    order = till.bill()
    till.sandbox.fault("/v3/fund-app/mch-transfer/transfer-bills", "not_enough", times=1)

    assert refusal(till.client.open(order)) == (403, "NOT_ENOUGH")
    assert till.client.open(order).json()["state"] == "WAIT_USER_CONFIRM"


def test_a_bill_that_is_only_accepted_at_first_shows_its_package_when_asked_again(till: Till) -> None:
    order = till.bill()
    till.sandbox.fault("/v3/fund-app/mch-transfer/transfer-bills", "accepted_first", times=1)
    accepted = till.client.open(order).json()
    till.sandbox.advance(1)

    assert accepted["state"] == "ACCEPTED"
    assert "package_info" not in accepted
    assert "package_info" not in till.client.query(order["out_bill_no"]).json()
    assert till.client.open(order).json()["package_info"]


@pytest.mark.parametrize("final", ["FAIL", "CANCELLED"])
def test_after_24_hours_the_bill_is_closed_and_the_money_back(till: Till, final: str) -> None:
    till.sandbox.settings(expiry_state=final)
    opened = till.opened()
    till.sandbox.advance(DAY - 60)
    assert till.client.state(opened["out_bill_no"]) == "WAIT_USER_CONFIRM"
    till.sandbox.advance(60)

    answer = till.client.query(opened["out_bill_no"]).json()
    assert (answer["state"], answer["fail_reason"]) == (final, "OVERDUE_CLOSE")
    assert till.money() == (1_000_000, 0)
    with pytest.raises(SandboxRefusedError, match="bill_closed"):
        till.confirm(opened)


def test_a_bill_can_be_cancelled_before_the_confirmation_only(till: Till) -> None:
    till.sandbox.settings(transfer_seconds=60)
    opened = till.opened()
    number = opened["out_bill_no"]

    answer = till.client.cancel(number)
    assert answer.json()["state"] == "CANCELING"
    assert set(answer.json()) == {"out_bill_no", "transfer_bill_no", "state", "update_time"}
    with pytest.raises(SandboxRefusedError, match="bill_closed"):
        till.confirm(opened)
    till.sandbox.advance(60)
    assert till.client.cancel(number).json()["state"] == "CANCELLED"
    assert till.client.query(number).json()["fail_reason"] == "MCH_CANCEL"
    assert till.money() == (1_000_000, 0)

    paid = till.opened()
    till.confirm(paid)
    assert refusal(till.client.cancel(paid["out_bill_no"])) == (400, "INVALID_REQUEST")
    assert refusal(till.client.cancel(number, document=b"{}")) == (400, "PARAM_ERROR")


def test_closing_the_page_changes_nothing(till: Till) -> None:
    opened = till.opened()
    answer = till.sandbox.decline(
        till.shopper["id"],
        package_info=opened["package_info"],
        mch_id=till.account.mchid,
        app_id=till.appid,
    )

    assert answer["result"] == "cancel"
    assert till.client.state(opened["out_bill_no"]) == "WAIT_USER_CONFIRM"


def test_the_page_opens_for_the_right_person_only(till: Till) -> None:
    opened = till.opened()
    fields = {"package_info": opened["package_info"], "mch_id": till.account.mchid, "app_id": till.appid}
    other = till.sandbox.shopper()["id"]

    with pytest.raises(SandboxRefusedError, match="微信号不一致"):
        till.sandbox.confirm(other, **fields)
    with pytest.raises(SandboxRefusedError, match="商户号错误"):
        till.sandbox.confirm(till.shopper["id"], **{**fields, "mch_id": "1900000000"})
    damaged = opened["package_info"].replace("+", " ")
    with pytest.raises(SandboxRefusedError, match="转账单号错误"):
        till.sandbox.confirm(till.shopper["id"], **{**fields, "package_info": damaged})
    assert till.money() == (999_900, 100)


def test_a_transfer_fails_for_the_reason_that_a_test_names(till: Till) -> None:
    opened = till.opened()
    till.confirm(opened, fail_reason="TRANSFER_RISK")

    assert till.client.query(opened["out_bill_no"]).json()["fail_reason"] == "TRANSFER_RISK"
    assert till.money() == (1_000_000, 0)
