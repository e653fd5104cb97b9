"""The sandbox against an SDK that has never heard of it: wechatpayv3 in public-key mode."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from wechatpayv3 import WeChatPay, WeChatPayType

from tests.contract.sandbox.conftest import Till
from tests.contract.sandbox.pay_client import REPORT, CallbackReceiver, new_number


@pytest.fixture
def till(shared_till: Till) -> Till:
    return shared_till


@pytest.fixture
def make_sdk(till: Till) -> Callable[..., Any]:
    def make(notify_url: str | None = "http://127.0.0.1:9/notify") -> Any:
        sdk = WeChatPay(
            wechatpay_type=WeChatPayType.MINIPROG,
            mchid=till.account.mchid,
            private_key=till.account.private_key_pem,
            cert_serial_no=till.account.serial_no,
            appid=till.appid,
            apiv3_key=till.account.apiv3_key,
            notify_url=notify_url,
            timeout=10,
            public_key=till.account.platform_public_key_pem,
            public_key_id=till.account.platform_public_key_id,
        )
        sdk._core._gate_way = till.sandbox.base_url
        return sdk

    return make


def transfer(sdk: Any, till: Till, number: str, **changes: Any) -> tuple[int, dict[str, Any]]:
    fields = {
        "out_bill_no": number,
        "transfer_scene_id": "1000",
        "openid": till.openid,
        "transfer_amount": 100,
        "transfer_remark": "扫码奖励",
        "transfer_scene_report_infos": REPORT,
        **changes,
    }
    status, text = sdk.mch_transfer_bills(**fields)
    return status, json.loads(text)


def test_open_confirm_and_query(till: Till, make_sdk: Callable[..., Any]) -> None:
    sdk, number = make_sdk(), new_number()

    status, opened = transfer(sdk, till, number)
    assert (status, opened["state"]) == (200, "WAIT_USER_CONFIRM")
    till.confirm(opened)
    status, text = sdk.mch_transfer_bills_query(out_bill_no=number)
    assert (status, json.loads(text)["state"]) == (200, "SUCCESS")
    status, text = sdk.mch_transfer_bills_query(transfer_bill_no=opened["transfer_bill_no"])
    assert (status, json.loads(text)["out_bill_no"]) == (200, number)


def test_cancel(till: Till, make_sdk: Callable[..., Any]) -> None:
    sdk, number = make_sdk(), new_number()
    transfer(sdk, till, number)

    status, text = sdk.mch_transfer_bills_cancel(number)

    assert (status, json.loads(text)["state"]) == (200, "CANCELING")
    assert till.client.state(number) == "CANCELLED"


def test_its_encrypted_name_opens(till: Till, make_sdk: Callable[..., Any]) -> None:
    sdk, number = make_sdk(), new_number()

    status, opened = transfer(sdk, till, number, transfer_amount=200_000, user_name=till.shopper["name"])

    assert (status, opened["state"]) == (200, "WAIT_USER_CONFIRM")
    status, text = sdk.mch_transfer_bills_query(out_bill_no=number)
    assert sdk.decrypt(json.loads(text)["user_name"]) == till.shopper["name"]


def test_its_null_for_an_unset_notify_url_is_refused(till: Till, make_sdk: Callable[..., Any]) -> None:
    status, answer = transfer(make_sdk(None), till, new_number())

    assert (status, answer["code"]) == (400, "PARAM_ERROR")
    assert answer["detail"]["field"] == "/notify_url"


def test_it_opens_our_callback_and_refuses_our_probe(
    till: Till, make_sdk: Callable[..., Any], receiver: CallbackReceiver
) -> None:
    sdk, number = make_sdk(receiver.url), new_number()
    _, opened = transfer(sdk, till, number)
    till.confirm(opened)
    callback = receiver.wait_for(1)[0]

    event = sdk.callback(callback.headers, callback.body)
    assert event["event_type"] == "MCHTRANSFER.BILL.FINISHED"
    assert event["resource"]["out_bill_no"] == number
    assert event["resource"]["state"] == "SUCCESS"

    till.sandbox.probe(till.account.mchid, receiver.url)
    probe = receiver.wait_for(2)[1]
    assert sdk.callback(probe.headers, probe.body) is None


@pytest.mark.parametrize("kind", ["bad_signature", "signtest"])
def test_it_does_not_believe_a_wrong_signature(till: Till, make_sdk: Callable[..., Any], kind: str) -> None:
    till.sandbox.fault("/v3/fund-app/*", kind, times=1)

    with pytest.raises(Exception, match="failed to verify the signature"):
        transfer(make_sdk(), till, new_number())
