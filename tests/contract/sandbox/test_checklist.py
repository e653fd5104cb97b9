"""The acceptance checklist for whoever simulates WeChat Pay, contract section 8: one test a payment line,
named by the line, over HTTP alone; and the vectors of section 9. What a line says in passing is looked at
more closely in the other files of this folder.
"""

import json
from collections.abc import Callable

import pytest
import requests

from tests.contract.sandbox.conftest import WORKWX_SECRET, Giver, Till
from tests.contract.sandbox.packet_client import SEND, SEND_WECOM, signed
from tests.contract.sandbox.pay_client import BILLS, REPORT, CallbackReceiver, verifies
from tests.support.sandbox import SandboxProcess

DAY = 86_400


def refusal(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_line_9_pay_v3_signatures_probes_fields_names_and_the_retry_clock(
    till: Till, receiver: CallbackReceiver
) -> None:
    order = till.bill(notify_url=receiver.url)
    # Request signature over the raw bytes, ±300 s, nonce.
    spaced = json.dumps(order, ensure_ascii=False, indent=1).encode()
    for lie in ({"signed_body": b"{}"}, {"skew_seconds": -302}, {"skew_seconds": 302}, {"nonce": ""}):
        assert refusal(till.client.open(spaced, **lie)) == (401, "SIGN_ERROR")
    # Every answer is signed.
    answers = [till.client.open(spaced), till.client.query("unknown"), till.client.open(b"{")]
    assert [a.status_code for a in answers] == [200, 404, 400]
    assert all(till.client.verified(answer) for answer in answers)
    # Unknown and null fields.
    for wrong in ({"surprise": 1}, {"user_recv_perception": None}):
        assert refusal(till.client.open({**till.bill(), **wrong})) == (400, "PARAM_ERROR")
    # The name can be read.
    sealed = till.client.seal(till.shopper["name"])
    big = till.bill(transfer_amount=200_000, user_name=sealed["user_name"])
    assert till.client.open(big, more_headers=sealed["headers"]).status_code == 200
    # The callbacks' own clock, a hundred times faster, and probes.
    receiver.statuses = [500, 500]
    till.confirm(answers[0].json())
    told = receiver.wait_for(3)
    assert len(told) == 3
    assert all(verifies(till.account, one.headers, one.body) for one in told)
    assert till.sandbox.probe(till.account.mchid, receiver.url)["refused"] is False
    probe = receiver.wait_for(4)[3]
    assert not verifies(till.account, probe.headers, probe.body)


def test_line_10_transfers_states_expiry_cancel_scenes_names_reentry_and_balance(
    make_till: Callable[..., Till],
) -> None:
    till = make_till(scenes=["1000", "1011"], balance_fen=400_000)
    # The way to SUCCESS, each step seen.
    till.sandbox.settings(transfer_seconds=60.0)
    order = till.bill()
    opened = till.client.open(order).json()
    assert opened["state"] == "WAIT_USER_CONFIRM"
    till.confirm(opened)
    assert till.client.state(order["out_bill_no"]) == "TRANSFERING"
    till.sandbox.advance(60)
    assert till.client.state(order["out_bill_no"]) == "SUCCESS"
    # Cancelling, and 24 hours without a confirmation.
    cancelled, overdue = till.opened()["out_bill_no"], till.opened()["out_bill_no"]
    assert till.client.cancel(cancelled).json()["state"] == "CANCELING"
    till.sandbox.advance(60)
    assert till.client.state(cancelled) == "CANCELLED"
    till.sandbox.advance(DAY)
    assert till.client.state(overdue) == "FAIL"
    assert till.money() == (399_900, 0)
    # Scenes: the exact table, and only what the merchant holds.
    compensation = [{"info_type": "赔付原因", "info_content": "破损"}]
    right = till.bill(transfer_scene_id="1011", transfer_scene_report_infos=compensation)
    assert till.client.open(right).status_code == 200
    for wrong in (REPORT[:1], [*REPORT, REPORT[0]], compensation, []):
        answer = till.client.open(till.bill(transfer_scene_report_infos=wrong))
        assert refusal(answer) == (400, "PARAM_ERROR")
    assert refusal(till.client.open(till.bill(transfer_scene_id="1005")))[1] in ("PARAM_ERROR", "NO_AUTH")
    # The name from 2,000 yuan.
    assert till.client.open(till.bill(transfer_amount=200_000)).status_code == 400
    assert till.client.open(till.bill(transfer_amount=199_999)).status_code == 200
    # The same number: the same bill, or a refusal.
    again = till.bill()
    first, second = till.client.open(again).json(), till.client.open(again).json()
    assert first["transfer_bill_no"] == second["transfer_bill_no"]
    assert till.client.open({**again, "transfer_amount": 101}).status_code == 400
    # A short balance, refused and recorded, goes on after the top-up.
    poor = make_till(balance_fen=0, shortage="not_enough_recorded")
    waiting = poor.bill()
    assert refusal(poor.client.open(waiting)) == (403, "NOT_ENOUGH")
    assert poor.client.state(waiting["out_bill_no"]) == "PROCESSING"
    poor.sandbox.top_up(poor.account.mchid, 100)
    assert poor.client.state(waiting["out_bill_no"]) == "WAIT_USER_CONFIRM"


def test_line_11_v2_signature_certificate_reentry_paid_system_error_states_amounts_and_ten_a_day(
    make_giver: Callable[..., Giver],
) -> None:
    giver = make_giver()
    fields = giver.packet()
    # MD5 over exactly the received fields, and the certificate.
    assert giver.send(fields, remark="another")["err_code"] == "SIGN_ERROR"
    assert giver.send({**fields, "unknown": "1"})["err_code"] == "SIGN_ERROR"
    assert giver.send(fields, certificate_pem="")["err_code"] == "CA_ERROR"
    # SYSTEMERROR, paid all the same; the same number again is the same packet.
    giver.sandbox.fault(SEND, "system_error", times=1, after_commit=True)
    assert giver.send(fields)["err_code"] == "SYSTEMERROR"
    assert giver.send(fields)["result_code"] == "SUCCESS"
    assert giver.money() == (999_900, 100)
    # SENDING → SENT → RECEIVED, or REFUND.
    giver.sandbox.fault(SEND, "accepted_first", times=1)
    slow = giver.packet()
    giver.send(slow)
    assert giver.ask(slow["mch_billno"])["status"] == "SENDING"
    giver.sandbox.advance(1)
    assert giver.ask(slow["mch_billno"])["status"] == "SENT"
    giver.open(fields["mch_billno"])
    assert giver.ask(fields["mch_billno"])["status"] == "RECEIVED"
    giver.sandbox.advance(DAY)
    assert giver.ask(slow["mch_billno"])["status"] == "REFUND"
    # Amounts outside 1 to 200 yuan want a scene.
    assert giver.send(giver.packet(total_amount="20001"))["err_code"] == "MONEY_LIMIT"
    assert giver.send(giver.packet(total_amount="20001", scene_id="PRODUCT_1"))["result_code"] == "SUCCESS"
    # Ten a day for one person.
    codes = [giver.send(giver.packet())["result_code"] for _ in range(9)]
    assert set(codes) == {"SUCCESS"}
    assert giver.send(giver.packet())["err_code"] == "SENDNUM_LIMIT"


def test_line_12_wecom_red_packet_two_signatures_and_a_system_error_for_the_inner_one(
    make_giver: Callable[..., Giver],
) -> None:
    giver = make_giver("corp", SEND_WECOM)
    fields = {**giver.packet(), "agentid": "1000002"}
    for name in ("send_name", "total_num", "client_ip"):
        del fields[name]
    inner = ("act_name", "mch_billno", "mch_id", "nonce_str", "re_openid", "total_amount", "wxappid")
    right = signed({name: fields[name] for name in inner}, WORKWX_SECRET, word="secret")

    for wrong in ("", "0" * 32, signed({name: fields[name] for name in inner}, WORKWX_SECRET)):
        assert giver.send({**fields, "workwx_sign": wrong})["err_code"] == "SYSTEMERROR"
    assert giver.send({**fields, "workwx_sign": right}, sign="0" * 32)["err_code"] == "SIGN_ERROR"
    assert giver.send({**fields, "workwx_sign": right})["result_code"] == "SUCCESS"


def test_line_14_faults_on_the_payment_endpoints(
    till: Till, giver: Giver, receiver: CallbackReceiver
) -> None:
    # A time-out after the commit.
    order = till.bill(notify_url=receiver.url)
    till.sandbox.fault(BILLS, "timeout_after_commit", times=1, hold_seconds=0)
    with pytest.raises(requests.ConnectionError):
        till.client.open(order)
    assert till.client.state(order["out_bill_no"]) == "WAIT_USER_CONFIRM"
    packet = giver.packet()
    giver.sandbox.fault(SEND, "timeout_after_commit", times=1, hold_seconds=0)
    with pytest.raises(requests.ConnectionError):
        giver.send(packet)
    assert giver.ask(packet["mch_billno"])["status"] == "SENT"
    # A gateway's HTML page.
    till.sandbox.fault(BILLS, "html_502", times=1)
    answer = till.client.open(till.bill())
    assert (answer.status_code, answer.text[:6]) == (502, "<html>")
    # Callbacks doubled, and in another order.
    till.sandbox.fault(BILLS, "duplicate_callback", times=1)
    till.confirm(till.client.open(order).json())
    assert len(receiver.wait_for(2)) == 2
    till.sandbox.fault(BILLS, "reorder_callback", times=1)
    held, overtaking = till.opened(notify_url=receiver.url), till.opened(notify_url=receiver.url)
    till.confirm(held)
    till.confirm(overtaking)
    told = [one.resource(till.account)["out_bill_no"] for one in receiver.wait_for(4)[2:]]
    assert told == [overtaking["out_bill_no"], held["out_bill_no"]]


def test_section_9_vectors_of_the_callback_address(sandbox: SandboxProcess) -> None:
    for timestamp, nonce, expected in (
        ("1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
        ("1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
    ):
        fields = {"token": "AAAAA", "timestamp": timestamp, "nonce": nonce}
        assert sandbox.signature("callback_url", fields) == expected


def test_section_9_vector_of_the_js_sdk(sandbox: SandboxProcess) -> None:
    fields = {
        "noncestr": "Wm3WZYTPz0wzccnW",
        "timestamp": "1414587457",
        "url": "http://mp.weixin.qq.com?params=value",
        "jsapi_ticket": "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvk"
        "VAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg",
    }

    assert sandbox.signature("js_sdk", fields) == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"


def test_section_9_vectors_of_pay_v2(sandbox: SandboxProcess) -> None:
    fields = {
        "appid": "wxd930ea5d5a258f4f",
        "body": "test",
        "device_info": "1000",
        "mch_id": "10000100",
        "nonce_str": "ibuaiVcKdpRxkhJA",
    }
    key = "192006250b4c09247ec02edce69f6a2d"

    assert sandbox.signature("pay_v2_md5", fields, key) == "9A0A8659F005D6984697E2CA0A9CF3B7"
    hmac = "6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6"
    assert sandbox.signature("pay_v2_hmac_sha256", fields, key) == hmac
    # An empty value and the signature itself are no part of it.
    more = {**fields, "attach": "", "sign": "anything"}
    assert sandbox.signature("pay_v2_md5", more, key) == "9A0A8659F005D6984697E2CA0A9CF3B7"
