"""Red packets of WeCom: exactly what is sent, twice signed, and what each answer means."""

from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from app.gateways.pay.v2 import OUTCOMES, signature
from app.gateways.pay.wecom_packets import SIGNED, WeComRedPackets
from app.payouts.interfaces import PayMethod, ReportInfo, TransferOutcome, TransferRequest, TransferState
from tests.support.certificates import certificate
from tests.support.loopback import LoopbackServer
from tests.unit.gateways.pay.conftest import Platform

KEY = "192006250b4c09247ec02edce69f6a2d"
SECRET = "secret-of-the-payment-app"
SENT = {
    "return_code": "SUCCESS",
    "result_code": "SUCCESS",
    "mch_billno": "SB1",
    "mch_id": "1900000001",
    "wxappid": "ww1",
    "re_openid": "oReceiver",
    "total_amount": "100",
    "send_listid": "L1",
}


@pytest.fixture
def order(platform: Platform) -> TransferRequest:
    payer = replace(
        platform.payer,
        method=PayMethod.WECOM_RED_PACKET,
        apiv2_key=KEY,
        client_certificate_pem=certificate(platform.payer.private_key_pem),
        workwx_secret=SECRET,
        appid="ww1",
    )
    texts = {"wishing": "恭喜发财", "act_name": "扫码", "sender_name": "茶铺"}
    return TransferRequest(
        payer=payer,
        appid="ww1",
        openid="oReceiver",
        bill_no="SB1",
        amount_fen=100,
        remark="扫码奖励",
        scene_id="",
        report_infos=tuple(ReportInfo(*pair) for pair in texts.items()),
    )


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


def xml(fields: dict[str, str]) -> bytes:
    return ("<xml>" + "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in fields.items()) + "</xml>").encode()


def refused(code: str) -> bytes:
    said = {"return_code": "SUCCESS", "result_code": "FAIL", "err_code": code, "err_code_des": "to oReceiver"}
    return xml(said)


def test_the_inner_signature_by_hand() -> None:
    """As `printf 'act_name=XXX&…&wxappid=ww123456789&secret=…' | md5sum` says."""
    fields = {
        "act_name": "XXX",
        "mch_billno": "11111234567890",
        "mch_id": "10000098",
        "nonce_str": "qFKEgfig76DF9912fewmkp",
        "re_openid": "oxTWIuGaIt6gTKsQRLau2M0yL16E",
        "total_amount": "100",
        "wxappid": "ww123456789",
    }

    assert tuple(fields) == SIGNED
    assert signature(fields, KEY, word="secret") == "258D0A714A26D35D2C122B2E7D349145"
    assert signature(fields, KEY) == "E6C113FAF8D21B5F12EC586912094CE2"


@pytest.mark.parametrize("sender", ["sender_name", "agentid"])
def test_what_is_sent_is_signed_twice_and_holds_nothing_else(
    server: LoopbackServer, order: TransferRequest, sender: str
) -> None:
    texts = [info for info in order.report_infos if info.info_type != "sender_name"]
    server.reply(200, xml(SENT))
    answer = WeComRedPackets(server.url).open(
        replace(order, report_infos=(*texts, ReportInfo(sender, "1000002")))
    )

    assert (answer.outcome, answer.state) == (TransferOutcome.ACCEPTED, TransferState.WAIT_USER_CONFIRM)
    assert (answer.transfer_bill_no, answer.package_info) == ("L1", None)
    assert server.seen[0].target == "/mmpaymkttransfers/sendworkwxredpack"
    fields = {child.tag: child.text or "" for child in ET.fromstring(server.seen[0].body)}
    assert set(fields) == {*SIGNED, "wishing", "remark", sender, "workwx_sign", "sign"}
    assert fields.pop("sign") == signature(fields, KEY)
    inner = {name: fields[name] for name in SIGNED}
    assert fields["workwx_sign"] == signature(inner, SECRET, word="secret")
    assert SECRET not in server.seen[0].body.decode() + repr(order)


@pytest.mark.parametrize("name", ["mch_billno", "mch_id", "re_openid", "total_amount"])
def test_an_answer_about_something_else_is_not_believed(
    server: LoopbackServer, order: TransferRequest, name: str
) -> None:
    server.reply(200, xml({**SENT, name: "other"}))

    assert WeComRedPackets(server.url).open(order).outcome is TransferOutcome.UNKNOWN


@pytest.mark.parametrize("code", [*OUTCOMES, "SOMETHING_NEW"])
def test_only_sending_makes_a_system_error_suspect(
    server: LoopbackServer, order: TransferRequest, code: str
) -> None:
    server.reply(200, refused(code))
    packets = WeComRedPackets(server.url)
    sent, asked = packets.open(order), packets.query(order.payer, "SB1")

    meaning = OUTCOMES.get(code, TransferOutcome.UNKNOWN)
    assert sent.outcome is (TransferOutcome.SUSPECT if code == "SYSTEMERROR" else meaning)
    assert (sent.code, sent.message) == (code, "to ***")
    assert asked.outcome is meaning


def test_it_is_asked_about_by_a_flat_query_of_its_own(server: LoopbackServer, order: TransferRequest) -> None:
    said = {"return_code": "SUCCESS", "result_code": "SUCCESS", "mch_billno": "SB1", "detail_id": "L1"}
    server.reply(200, xml({**said, "status": "RECEIVED", "openid": "oReceiver", "amount": "100"}))
    answer = WeComRedPackets(server.url).query(order.payer, "SB1")

    assert (answer.outcome, answer.state) == (TransferOutcome.FINAL, TransferState.SUCCESS)
    assert server.seen[0].target == "/mmpaymkttransfers/queryworkwxredpack"
    fields = {child.tag: child.text or "" for child in ET.fromstring(server.seen[0].body)}
    assert set(fields) == {"nonce_str", "sign", "mch_billno", "mch_id", "appid"}
    assert fields["appid"] == "ww1"
