"""The red-packet gateway: what each answer means, and that it shows the client certificate over TLS."""

import ssl
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from app.gateways.pay.red_packets import WeChatRedPackets
from app.gateways.pay.v2 import OUTCOMES, signature
from app.payouts.interfaces import (
    ForgedCallback,
    PayMethod,
    ReportInfo,
    TransferOutcome,
    TransferRequest,
    TransferState,
)
from tests.support.certificates import certificate
from tests.support.loopback import LoopbackServer, Seen, send
from tests.unit.gateways.pay.conftest import Platform

KEY = "192006250b4c09247ec02edce69f6a2d"
TEXTS = (
    ("send_name", "茶铺"),
    ("wishing", "恭喜 <发财> & more"),
    ("act_name", "扫码"),
    ("client_ip", "1.2.3.4"),
)


@pytest.fixture
def order(platform: Platform) -> TransferRequest:
    payer = replace(
        platform.payer,
        method=PayMethod.RED_PACKET,
        apiv2_key=KEY,
        client_certificate_pem=certificate(platform.payer.private_key_pem),
        appid="wx1",
    )
    return TransferRequest(
        payer=payer,
        appid="wx1",
        openid="oReceiver",
        bill_no="SB1",
        amount_fen=100,
        remark="扫码奖励",
        scene_id="",
        report_infos=tuple(ReportInfo(*pair) for pair in TEXTS),
    )


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


def xml(**fields: str) -> bytes:
    return ("<xml>" + "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in fields.items()) + "</xml>").encode()


def sent(**changes: str) -> bytes:
    fields = {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "mch_billno": "SB1",
        "mch_id": "1900000001",
        "re_openid": "oReceiver",
        "total_amount": "100",
        "send_listid": "L1",
        "package": "sendid=a&ver=8",
    }
    return xml(**{**fields, **changes})


def asked(**changes: str) -> bytes:
    fields = {"return_code": "SUCCESS", "result_code": "SUCCESS", "mch_billno": "SB1", "detail_id": "L1"}
    return xml(**{**fields, **changes})


def test_the_signature_of_the_published_example() -> None:
    fields = {
        "appid": "wxd930ea5d5a258f4f",
        "body": "test",
        "device_info": "1000",
        "mch_id": "10000100",
        "nonce_str": "ibuaiVcKdpRxkhJA",
        "attach": "",
    }

    assert signature(fields, KEY) == "9A0A8659F005D6984697E2CA0A9CF3B7"


def test_what_is_sent_is_signed_as_it_stands(server: LoopbackServer, order: TransferRequest) -> None:
    server.reply(200, sent())
    answer = WeChatRedPackets(server.url).open(order)

    assert (answer.outcome, answer.state) == (TransferOutcome.ACCEPTED, TransferState.WAIT_USER_CONFIRM)
    fields = {child.tag: child.text or "" for child in ET.fromstring(server.seen[0].body)}
    assert fields.pop("sign") == signature(fields, KEY)
    assert fields["wishing"] == "恭喜 <发财> & more"
    assert "scene_id" not in fields


@pytest.mark.parametrize("name", ["mch_billno", "mch_id", "re_openid", "total_amount", "package"])
def test_an_answer_about_something_else_is_not_believed(
    server: LoopbackServer, order: TransferRequest, name: str
) -> None:
    server.reply(200, sent(**{name: "" if name == "package" else "other"}))

    assert WeChatRedPackets(server.url).open(order).outcome is TransferOutcome.UNKNOWN


def test_one_of_a_service_account_is_in_the_chat_at_once(
    server: LoopbackServer, order: TransferRequest
) -> None:
    service = replace(order, payer=replace(order.payer, method=PayMethod.SERVICE_RED_PACKET))
    server.reply(200, sent(package=""))
    answer = WeChatRedPackets(server.url).open(service)

    assert (answer.outcome, answer.state) == (TransferOutcome.ACCEPTED, TransferState.WAIT_USER_CONFIRM)
    assert (answer.package_info, answer.transfer_bill_no) == (None, "L1")
    assert server.seen[0].target == "/mmpaymkttransfers/sendredpack"
    fields = {child.tag: child.text or "" for child in ET.fromstring(server.seen[0].body)}
    assert fields.pop("sign") == signature(fields, KEY)
    assert "notify_way" not in fields
    for name in ("mch_billno", "mch_id", "re_openid", "total_amount"):
        server.reply(200, sent(**{name: "other"}))
        assert WeChatRedPackets(server.url).open(service).outcome is TransferOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("status", "outcome", "state"),
    [
        ("SENDING", TransferOutcome.ACCEPTED, TransferState.PROCESSING),
        ("SENT", TransferOutcome.ACCEPTED, TransferState.WAIT_USER_CONFIRM),
        ("RECEIVED", TransferOutcome.FINAL, TransferState.SUCCESS),
        ("FAILED", TransferOutcome.FINAL, TransferState.FAIL),
        ("RFUND_ING", TransferOutcome.ACCEPTED, TransferState.CANCELING),
        ("REFUND", TransferOutcome.FINAL, TransferState.FAIL),
        ("SOMETHING", TransferOutcome.UNKNOWN, None),
    ],
)
def test_where_a_packet_stands(
    server: LoopbackServer,
    order: TransferRequest,
    status: str,
    outcome: TransferOutcome,
    state: TransferState | None,
) -> None:
    server.reply(200, asked(status=status, reason="balance"))
    gateway = WeChatRedPackets(server.url)

    for answer in (gateway.query(order.payer, "SB1"), gateway.cancel(order.payer, "SB1")):
        assert (answer.outcome, answer.state) == (outcome, state)
        assert answer.fail_reason == ("balance" if state is TransferState.FAIL else None)


@pytest.mark.parametrize("code", [*OUTCOMES, "SOMETHING_NEW"])
def test_every_code_has_a_meaning_and_an_unknown_one_is_asked_about(
    server: LoopbackServer, order: TransferRequest, code: str
) -> None:
    server.reply(
        200, xml(return_code="SUCCESS", result_code="FAIL", err_code=code, err_code_des="no oReceiver")
    )
    answer = WeChatRedPackets(server.url).open(order)

    assert answer.outcome is OUTCOMES.get(code, TransferOutcome.UNKNOWN)
    assert (answer.code, answer.message) == (code, "no ***")


def test_only_the_platforms_word_spends_a_number(server: LoopbackServer, order: TransferRequest) -> None:
    server.reply(200, xml(return_code="SUCCESS", result_code="FAIL", err_code="SEND_FAILED"))
    answer = WeChatRedPackets(server.url).open(order)

    assert (answer.outcome, answer.state) == (TransferOutcome.FINAL, TransferState.FAIL)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (502, b"<html>", TransferOutcome.RETRY_SAME),
        (200, b"<html>", TransferOutcome.UNKNOWN),
        (200, b"", TransferOutcome.UNKNOWN),
        (200, b'<!DOCTYPE xml [<!ENTITY a "b">]><xml/>', TransferOutcome.UNKNOWN),
        (200, xml(return_code="FAIL", return_msg="who knows"), TransferOutcome.UNKNOWN),
    ],
)
def test_an_answer_that_says_nothing(
    server: LoopbackServer, order: TransferRequest, status: int, body: bytes, outcome: TransferOutcome
) -> None:
    server.reply(status, body)

    assert WeChatRedPackets(server.url).open(order).outcome is outcome


def test_nobody_is_called_back(order: TransferRequest) -> None:
    with pytest.raises(ForgedCallback):
        WeChatRedPackets("http://127.0.0.1:9").parse_callback(order.payer, {}, b"{}")


def test_it_shows_the_certificate_and_trusts_nobody_else(
    server: LoopbackServer, order: TransferRequest, tmp_path: Path
) -> None:
    """A server that demands a client certificate: real TLS on both sides."""
    key = order.payer.private_key_pem
    own, trusted = tmp_path / "server.pem", tmp_path / "trusted.pem"
    own.write_text(certificate(key) + key)
    trusted.write_text(certificate(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    context.load_verify_locations(trusted)
    context.verify_mode = ssl.CERT_REQUIRED
    server._httpd.socket = context.wrap_socket(server._httpd.socket, server_side=True)
    shown: list[object] = []

    def answer(handler: BaseHTTPRequestHandler, _seen: Seen) -> None:
        shown.append(handler.connection.getpeercert(binary_form=True))  # type: ignore[attr-defined]
        send(handler, 200, sent(), {"Content-Type": "text/xml"})

    server.answer = answer
    url = server.url.replace("http://", "https://")

    assert WeChatRedPackets(url, ca_file=trusted).open(order).outcome is TransferOutcome.ACCEPTED
    assert shown == [ssl.PEM_cert_to_DER_cert(certificate(key))]
    assert "X-Client-Cert" not in server.seen[0].headers
    # Without trust in that server nothing is sent, and with a broken certificate nothing is tried.
    assert WeChatRedPackets(url).open(order).code == "network"
    broken = replace(order, payer=replace(order.payer, client_certificate_pem="none"))
    assert WeChatRedPackets(url, ca_file=trusted).open(broken).code == "local"
    assert len(server.seen) == 1
