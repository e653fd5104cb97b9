"""The sandbox against the two SDKs that Node merchants use, `wechatpay-node-v3` and `wechatpay-axios-plugin`:
contracts 4.1 to 4.4 and 4.8 in two more readings, neither of them ours.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.contract.sandbox.conftest import Giver, Till
from tests.contract.sandbox.packet_client import SEND
from tests.contract.sandbox.pay_client import BILLS, CallbackReceiver
from tests.support.certificates import certificate
from tests.support.node import NodeMerchant, install

NODE_V3 = "wechatpay-node-v3"
AXIOS = "wechatpay-axios-plugin"


@pytest.fixture(scope="session", params=[NODE_V3, AXIOS])
def process(request: pytest.FixtureRequest) -> Iterator[NodeMerchant]:
    install()
    with NodeMerchant(request.param) as merchant:
        yield merchant


@pytest.fixture
def till(shared_till: Till) -> Till:
    return shared_till


@pytest.fixture
def sdk(process: NodeMerchant, till: Till) -> NodeMerchant:
    process.becomes(till.account, base_url=till.sandbox.base_url, appid=till.appid)
    return process


def test_open_and_query(sdk: NodeMerchant, till: Till) -> None:
    order = till.bill()

    opened = sdk.request("POST", BILLS, order)
    assert (opened["status"], opened["verified"]) == (200, True)
    assert json.loads(opened["text"])["state"] == "WAIT_USER_CONFIRM"
    till.confirm(json.loads(opened["text"]))
    asked = sdk.request("GET", f"{BILLS}/out-bill-no/{order['out_bill_no']}")
    assert (asked["status"], asked["verified"]) == (200, True)
    assert json.loads(asked["text"])["state"] == "SUCCESS"


def test_cancel(sdk: NodeMerchant, till: Till) -> None:
    opened = till.opened()
    target = f"{BILLS}/out-bill-no/{opened['out_bill_no']}/cancel"

    if sdk.package == NODE_V3:
        # By itself it signs a POST without a body without the last, empty line (4.1: five lines, always).
        own = sdk.request("POST", target)
        assert (own["status"], json.loads(own["text"])["code"]) == (401, "SIGN_ERROR")
    answer = sdk.request("POST", target, exact=True)

    assert (answer["status"], answer["verified"]) == (200, True)
    assert json.loads(answer["text"])["state"] == "CANCELING"
    till.sandbox.advance(1)
    assert till.client.state(opened["out_bill_no"]) == "CANCELLED"


def test_an_encrypted_name_opens_on_both_sides(sdk: NodeMerchant, till: Till) -> None:
    name = till.shopper["name"]
    order = till.bill(transfer_amount=200_000, user_name=sdk.does("seal", text=name)["text"])

    opened = sdk.request("POST", BILLS, order, serial=True)
    assert (opened["status"], opened["verified"]) == (200, True)
    asked = json.loads(sdk.request("GET", f"{BILLS}/out-bill-no/{order['out_bill_no']}")["text"])
    assert asked["user_name"] != name
    assert sdk.does("unseal", text=asked["user_name"])["text"] == name


@pytest.mark.parametrize("lie", ["none", "body", "timestamp", "target"])
def test_the_sandbox_refuses_what_was_tampered_with(sdk: NodeMerchant, till: Till, lie: str) -> None:
    order = till.bill()
    signed = sdk.does("sign", method="POST", target=BILLS, document=order)
    body, authorization, target = signed["body"], signed["authorization"], BILLS
    if lie == "body":
        body = body.replace('"transfer_amount":100', '"transfer_amount":101')
        assert body != signed["body"]
    elif lie == "timestamp":
        stamp = authorization.split('timestamp="')[1].split('"')[0]
        authorization = authorization.replace(f'timestamp="{stamp}"', f'timestamp="{int(stamp) + 1}"')
    elif lie == "target":
        target += "?more=1"
    response = requests.post(
        till.sandbox.base_url + target,
        data=body.encode(),
        headers={
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": authorization,
        },
        timeout=10,
    )

    if lie == "none":
        assert response.status_code == 200
    else:
        assert (response.status_code, response.json()["code"]) == (401, "SIGN_ERROR")
        assert till.client.state(order["out_bill_no"]) == "NOT_FOUND"


@pytest.mark.parametrize("lie", ["none", "body", "timestamp", "nonce"])
def test_the_sdk_refuses_what_was_tampered_with(sdk: NodeMerchant, till: Till, lie: str) -> None:
    response = till.client.open(till.bill())
    headers = {name.lower(): value for name, value in response.headers.items()}
    body = response.text
    if lie == "body":
        body = body.replace("WAIT_USER_CONFIRM", "SUCCESS")
    elif lie == "timestamp":
        headers["wechatpay-timestamp"] = str(int(headers["wechatpay-timestamp"]) + 1)
    elif lie == "nonce":
        headers["wechatpay-nonce"] = headers["wechatpay-nonce"][::-1] + "0"

    assert sdk.does("verify", headers=headers, body=body)["verified"] is (lie == "none")


@pytest.mark.parametrize("kind", ["bad_signature", "signtest", "clock_skew"])
def test_the_sdk_does_not_believe_an_answer_that_tencent_did_not_sign_now(
    sdk: NodeMerchant, till: Till, kind: str
) -> None:
    till.sandbox.fault(BILLS, kind, times=1)
    answer = sdk.request("POST", BILLS, till.bill())

    assert answer["status"] == 200
    # wechatpay-node-v3 never looks at the clock: whoever uses it has to.
    assert answer["verified"] is (sdk.package == NODE_V3 and kind == "clock_skew")


def test_the_sdk_verifies_and_opens_a_callback_and_refuses_a_probe(
    sdk: NodeMerchant, till: Till, receiver: CallbackReceiver
) -> None:
    opened = till.opened(notify_url=receiver.url)
    till.confirm(opened)
    received = receiver.wait_for(1)[0]
    resource = json.loads(received.body)["resource"]

    assert verified(sdk, received.headers, received.body)
    document = sdk.does("open", resource=resource)["document"]
    assert document["out_bill_no"] == opened["out_bill_no"]
    assert document["state"] == "SUCCESS"
    assert document["openid"] == till.openid
    assert not verified(
        sdk, received.headers, received.body.replace(b"encrypt-resource", b"another-resource")
    )
    if sdk.package == AXIOS:
        # wechatpay-node-v3 opens a resource without asking for its tag; the signature is what guards it.
        spoilt = base64.b64encode(base64.b64decode(resource["ciphertext"])[:-1] + b"\0").decode()
        with pytest.raises(RuntimeError, match="authenticate"):
            sdk.does("open", resource={**resource, "ciphertext": spoilt})

    till.sandbox.probe(till.account.mchid, receiver.url)
    probe = receiver.wait_for(2)[1]
    assert not verified(sdk, probe.headers, probe.body)


def test_red_packets_of_v2(giver: Giver) -> None:
    install()
    fields = giver.packet()
    del fields["nonce_str"]
    with NodeMerchant(AXIOS) as sdk:
        sdk.becomes(giver.account, base_url=giver.sandbox.base_url, appid=giver.appid)

        def send(**changes: str) -> dict[str, Any]:
            shown = certificate(giver.account.private_key_pem)
            done = sdk.does("packet", target=SEND[1:], fields={**fields, **changes}, certificate=shown)
            return dict(done["answer"])

        assert send()["result_code"] == "SUCCESS"
        assert giver.ask(fields["mch_billno"])["status"] == "SENT"
        assert send(total_amount="101")["err_code"] == "FATAL_ERROR"


def verified(sdk: NodeMerchant, headers: dict[str, Any], body: bytes) -> bool:
    lower = {name.lower(): value for name, value in headers.items()}
    return bool(sdk.does("verify", headers=lower, body=body.decode())["verified"])
