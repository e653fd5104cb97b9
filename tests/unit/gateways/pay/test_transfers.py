import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from app.gateways.pay.transfers import NullTransfers, WeChatPayTransfers
from app.kernel.errors import Unavailable
from app.payouts.interfaces import (
    ForgedCallback,
    ReportInfo,
    TransferGateway,
    TransferOutcome,
    TransferRequest,
    TransferState,
    UnexpectedCallback,
)
from tests.support.loopback import LoopbackServer, Seen, send
from tests.unit.gateways.pay.conftest import Platform

BILLS = "/v3/fund-app/mch-transfer/transfer-bills"
RESOURCE: dict[str, object] = {
    "out_bill_no": "B1",
    "transfer_bill_no": "1330000071100999991182020050700019480001",
    "state": "SUCCESS",
    "mch_id": "1900000001",
    "transfer_amount": 100,
    "openid": "o-secret-openid",
    "create_time": "2026-06-01T12:00:00+08:00",
    "update_time": "2026-06-01T12:01:00+08:00",
}


def _request(platform: Platform, **changes: object) -> TransferRequest:
    request = TransferRequest(
        payer=platform.payer,
        appid="wx0000000000000001",
        openid="o-secret-openid",
        bill_no="B1",
        amount_fen=100,
        remark="扫码奖励",
        scene_id="1000",
        report_infos=(ReportInfo("活动名称", "扫码"), ReportInfo("奖励说明", "红包")),
        notify_url="https://saoma.example/callbacks/pay/1900000001",
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def _open_body(state: str = "WAIT_USER_CONFIRM") -> bytes:
    return json.dumps(
        {"out_bill_no": "B1", "transfer_bill_no": "133", "state": state, "package_info": "p+/="}
    ).encode()


# What is sent


def test_opening_sends_exactly_what_the_contract_names(platform: Platform, server: LoopbackServer) -> None:
    server.reply(200, _open_body(), platform.sign)
    answer = WeChatPayTransfers(server.url).open(_request(platform, recv_style="RED_PACKET"))
    assert answer.outcome is TransferOutcome.ACCEPTED
    assert (answer.state, answer.package_info) == (TransferState.WAIT_USER_CONFIRM, "p+/=")
    seen = server.seen[0]
    assert (seen.method, seen.target) == ("POST", BILLS)
    assert "扫码奖励".encode() in seen.body
    assert json.loads(seen.body) == {
        "appid": "wx0000000000000001",
        "out_bill_no": "B1",
        "transfer_scene_id": "1000",
        "openid": "o-secret-openid",
        "transfer_amount": 100,
        "transfer_remark": "扫码奖励",
        "notify_url": "https://saoma.example/callbacks/pay/1900000001",
        "transfer_scene_report_infos": [
            {"info_type": "活动名称", "info_content": "扫码"},
            {"info_type": "奖励说明", "info_content": "红包"},
        ],
        "user_recv_style": {"type": "RED_PACKET"},
    }


def test_what_is_not_given_is_not_sent(platform: Platform, server: LoopbackServer) -> None:
    server.reply(200, _open_body(), platform.sign)
    WeChatPayTransfers(server.url).open(_request(platform, notify_url=None))
    body = json.loads(server.seen[0].body)
    assert "notify_url" not in body
    assert "user_recv_style" not in body
    assert "user_name" not in body


def _verify_request(platform: Platform, seen: Seen) -> None:
    scheme, _, rest = seen.headers["Authorization"].partition(" ")
    fields = dict(pair.replace('"', "").split("=", 1) for pair in rest.split(",") if "signature" not in pair)
    signature = base64.b64decode(rest.split('signature="')[1].split('"')[0])
    assert scheme == "WECHATPAY2-SHA256-RSA2048"
    assert fields["mchid"] == platform.mchid
    assert fields["serial_no"] == platform.payer.serial_no
    head = f"{seen.method}\n{seen.target}\n{fields['timestamp']}\n{fields['nonce_str']}\n".encode()
    platform.merchant_key.public_key().verify(
        signature, head + seen.body + b"\n", padding.PKCS1v15(), hashes.SHA256()
    )


def test_the_signature_covers_the_very_bytes(platform: Platform, server: LoopbackServer) -> None:
    server.reply(200, _open_body(), platform.sign)
    gateway = WeChatPayTransfers(server.url)
    gateway.open(_request(platform))
    gateway.query(platform.payer, "B1")
    gateway.cancel(platform.payer, "B1")
    assert [(seen.method, seen.target) for seen in server.seen] == [
        ("POST", BILLS),
        ("GET", f"{BILLS}/out-bill-no/B1"),
        ("POST", f"{BILLS}/out-bill-no/B1/cancel"),
    ]
    for seen in server.seen:
        _verify_request(platform, seen)
        assert seen.headers["Wechatpay-Serial"] == platform.key_id
        assert seen.headers["Accept"] == seen.headers["Content-Type"] == "application/json"
    assert server.seen[2].body == b""


def test_a_name_is_sealed_for_the_platform_alone(platform: Platform, server: LoopbackServer) -> None:
    server.reply(200, _open_body(), platform.sign)
    answer = WeChatPayTransfers(server.url).open(_request(platform, amount_fen=200_000, user_name="张三"))
    assert answer.outcome is TransferOutcome.ACCEPTED
    sealed = base64.b64decode(json.loads(server.seen[0].body)["user_name"])
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
    assert platform.platform_key.decrypt(sealed, oaep).decode() == "张三"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount_fen": 200_000}, "real name"),
        ({"amount_fen": 29, "user_name": "张三"}, "no name"),
        ({"bill_no": "../cancel"}, "letters and digits"),
        ({"bill_no": ""}, "letters and digits"),
    ],
)
def test_some_faults_never_leave_the_house(
    platform: Platform, server: LoopbackServer, changes: dict[str, object], words: str
) -> None:
    answer = WeChatPayTransfers(server.url).open(_request(platform, **changes))
    assert (answer.outcome, answer.code) == (TransferOutcome.REFUSED, "local")
    assert words in answer.message
    assert server.seen == []


def test_unusable_keys_are_an_answer_and_not_a_crash(platform: Platform, server: LoopbackServer) -> None:
    broken = replace(platform.payer, private_key_pem="-----BEGIN RSA PRIVATE KEY-----\n")
    gateway = WeChatPayTransfers(server.url)
    for answer in (gateway.open(_request(platform, payer=broken)), gateway.query(broken, "B1")):
        assert (answer.outcome, answer.code) == (TransferOutcome.REFUSED, "local")
        assert "openssl pkcs8" in answer.message
    with pytest.raises(Unavailable, match="1900000001 cannot be used"):
        gateway.parse_callback(broken, {}, b"")


# What is believed


def test_an_answer_signed_by_the_platform_is_believed(platform: Platform, server: LoopbackServer) -> None:
    server.reply(200, json.dumps({**RESOURCE, "state": "FAIL", "fail_reason": "X"}).encode(), platform.sign)
    answer = WeChatPayTransfers(server.url).query(platform.payer, "B1")
    assert (answer.outcome, answer.state, answer.fail_reason) == (TransferOutcome.FINAL, "FAIL", "X")


def _foreign(platform: Platform, body: bytes) -> dict[str, str]:
    return platform.sign(body, key=platform.merchant_key)


def _probe(platform: Platform, body: bytes) -> dict[str, str]:
    headers = platform.sign(body)
    signature = headers["Wechatpay-Signature"]
    return {**headers, "Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + signature[19:]}


BAD_SIGNATURES: dict[str, Callable[[Platform, bytes], dict[str, str]]] = {
    "none": lambda platform, body: {},
    "foreign key": _foreign,
    "probe": _probe,
    "another body": lambda platform, body: platform.sign(body + b" "),
    "stale": lambda platform, body: platform.sign(body, at=time.time() - 302),
    "from the future": lambda platform, body: platform.sign(body, at=time.time() + 310),
    "no number": lambda platform, body: {**platform.sign(body), "Wechatpay-Timestamp": "soon"},
    "another time": lambda platform, body: {
        **platform.sign(body),
        "Wechatpay-Timestamp": str(int(time.time()) - 5),
    },
    "unknown key id": lambda platform, body: {**platform.sign(body), "Wechatpay-Serial": "PUB_KEY_ID_9"},
    "certificate serial": lambda platform, body: {**platform.sign(body), "Wechatpay-Serial": "5157F09EFD"},
    "another scheme": lambda platform, body: {**platform.sign(body), "Wechatpay-Signature-Type": "NONE"},
    "no scheme": lambda platform, body: {
        name: value for name, value in platform.sign(body).items() if not name.endswith("Type")
    },
    "no base64": lambda platform, body: {**platform.sign(body), "Wechatpay-Signature": "a"},
}


@pytest.mark.parametrize("how", BAD_SIGNATURES)
def test_an_answer_that_is_not_signed_as_it_should_be_is_unknown(
    platform: Platform, server: LoopbackServer, how: str
) -> None:
    body = json.dumps(RESOURCE).encode()
    server.reply(200, body, BAD_SIGNATURES[how](platform, body))
    answer = WeChatPayTransfers(server.url).query(platform.payer, "B1")
    assert (answer.outcome, answer.code) == (TransferOutcome.UNKNOWN, "unverified")
    assert answer.message
    # Verifying never calls anybody: no certificates were fetched.
    assert len(server.seen) == 1


def test_an_error_may_come_unsigned_but_not_with_a_false_signature(
    platform: Platform, server: LoopbackServer
) -> None:
    gateway = WeChatPayTransfers(server.url)
    body = b'{"code": "NOT_FOUND", "message": "no such bill"}'
    outcomes = []
    for headers in ({}, platform.sign(body), _foreign(platform, body), _probe(platform, body)):
        server.reply(404, body, headers)
        outcomes.append(gateway.query(platform.payer, "B1").outcome)
    assert outcomes == ["not_found", "not_found", "unknown", "unknown"]


def test_personal_data_that_comes_back_in_an_explanation_is_blotted(
    platform: Platform, server: LoopbackServer
) -> None:
    server.reply(400, '{"code":"PARAM_ERROR","message":"openid o-secret-openid of 张三丰 wrong"}'.encode())
    answer = WeChatPayTransfers(server.url).open(_request(platform, user_name="张三丰"))
    assert answer.message == "openid *** of *** wrong"


# What happens on the way


def test_silence_a_refused_connection_and_a_redirect(platform: Platform, server: LoopbackServer) -> None:
    server.answer = lambda _handler, _seen: time.sleep(0.6)
    answer = WeChatPayTransfers(server.url, deadline_seconds=0.2).open(_request(platform))
    assert (answer.outcome, answer.code) == (TransferOutcome.RETRY_SAME, "timeout")
    answer = WeChatPayTransfers("http://127.0.0.1:9").query(platform.payer, "B1")
    assert (answer.outcome, answer.code) == (TransferOutcome.RETRY_SAME, "network")
    server.answer = lambda handler, _seen: send(handler, 307, b"", {"Location": f"{server.url}/x"})
    answer = WeChatPayTransfers(server.url).query(platform.payer, "B1")
    assert answer.outcome is TransferOutcome.UNKNOWN
    assert len(server.seen) == 2


def test_a_client_is_made_once_per_credentials(platform: Platform, server: LoopbackServer) -> None:
    server.reply(200, json.dumps(RESOURCE).encode(), platform.sign)
    gateway = WeChatPayTransfers(server.url)
    for _ in range(3):
        gateway.query(platform.payer, "B1")
    gateway.query(replace(platform.payer, apiv3_key="x" * 32), "B1")
    assert len(gateway._clients) == 2


# Callbacks


def _parse(platform: Platform, body: bytes, headers: dict[str, str]) -> Any:
    # An address where nobody listens: parsing must call nobody.
    return WeChatPayTransfers("http://127.0.0.1:9").parse_callback(platform.payer, headers, body)


def test_a_genuine_callback_is_read(platform: Platform) -> None:
    body = platform.callback(RESOURCE)
    notice = _parse(platform, body, platform.sign(body))
    assert (notice.notice_id, notice.mchid, notice.bill_no) == ("notice-1", "1900000001", "B1")
    assert (notice.state, notice.amount_fen, notice.fail_reason) == ("SUCCESS", 100, None)
    assert notice.openid == "o-secret-openid"
    assert notice.finished_at.isoformat() == "2026-06-01T12:01:00+08:00"
    assert "o-secret-openid" not in repr(notice)


@pytest.mark.parametrize(
    "rename",
    [str.lower, str.upper, lambda name: "HTTP_" + name.upper().replace("-", "_")],
)
def test_header_names_may_be_written_as_servers_write_them(
    platform: Platform, rename: Callable[[str], str]
) -> None:
    body = platform.callback(RESOURCE)
    headers = {rename(name): value for name, value in platform.sign(body).items()}
    assert _parse(platform, body, headers).bill_no == "B1"


@pytest.mark.parametrize("how", BAD_SIGNATURES)
def test_a_callback_that_is_not_signed_as_it_should_be_is_forged(platform: Platform, how: str) -> None:
    body = platform.callback(RESOURCE)
    with pytest.raises(ForgedCallback):
        _parse(platform, body, BAD_SIGNATURES[how](platform, body))


def test_an_operator_reads_why_a_callback_was_refused(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    body = platform.callback(RESOURCE)
    with pytest.raises(ForgedCallback) as caught:
        _parse(platform, body, platform.sign(body, at=time.time() - 302))
    assert "clock" in caplog.text
    assert "clock" not in caught.value.detail


def test_a_callback_about_another_merchant_is_forged(platform: Platform) -> None:
    body = platform.callback({**RESOURCE, "mch_id": "1900000002"})
    with pytest.raises(ForgedCallback, match="another merchant"):
        _parse(platform, body, platform.sign(body))


def test_a_callback_without_end_is_forged(platform: Platform) -> None:
    body = b"x" * (64 * 1024 + 1)
    with pytest.raises(ForgedCallback, match="larger"):
        _parse(platform, body, platform.sign(body))


def test_freshness_is_measured_by_the_clock_that_is_passed_in(platform: Platform) -> None:
    body = platform.callback(RESOURCE)
    headers = platform.sign(body, at=1_000_000)
    for now, fresh in ((1_000_300, True), (999_700, True), (1_000_301, False), (999_699, False)):
        gateway = WeChatPayTransfers("http://127.0.0.1:9", wall=lambda now=now: now)  # type: ignore[misc]
        if fresh:
            assert gateway.parse_callback(platform.payer, headers, body).bill_no == "B1"
        else:
            with pytest.raises(ForgedCallback):
                gateway.parse_callback(platform.payer, headers, body)


@pytest.mark.parametrize(
    "resource",
    [
        {**RESOURCE, "state": "WAIT_USER_CONFIRM"},
        {**RESOURCE, "state": "DONE"},
        {**RESOURCE, "transfer_amount": "100"},
        {**RESOURCE, "transfer_amount": True},
        {**RESOURCE, "update_time": "yesterday"},
        {**RESOURCE, "update_time": "2026-06-01T12:01:00"},
        {**RESOURCE, "out_bill_no": None},
        {**RESOURCE, "transfer_bill_no": ""},
        [1],
        b"not json",
        b"\xff\xfe",
    ],
)
def test_a_genuine_callback_that_says_nothing_usable_is_unexpected(
    platform: Platform, resource: object
) -> None:
    body = platform.callback(resource)
    with pytest.raises(UnexpectedCallback):
        _parse(platform, body, platform.sign(body))


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"resource": {}}', b'{"id":' + b"[" * 40_000])
def test_a_genuine_signature_over_rubbish_is_refused(platform: Platform, body: bytes) -> None:
    with pytest.raises((UnexpectedCallback, ForgedCallback)):
        _parse(platform, body, platform.sign(body))


def test_another_event_and_another_key_are_unexpected(platform: Platform) -> None:
    body = platform.callback(RESOURCE, event_type="MCHTRANSFER.AUTHORIZATION.CLOSED")
    with pytest.raises(UnexpectedCallback, match="only MCHTRANSFER"):
        _parse(platform, body, platform.sign(body))
    body = replace(platform, apiv3_key="y" * 32).callback(RESOURCE)
    with pytest.raises(UnexpectedCallback, match="check the APIv3 key"):
        _parse(platform, body, platform.sign(body))


# Without a platform


def test_the_null_gateway_pays_nothing_and_says_why(platform: Platform) -> None:
    gateway: TransferGateway = NullTransfers()
    for answer in (
        gateway.open(_request(platform)),
        gateway.query(platform.payer, "B1"),
        gateway.cancel(platform.payer, "B1"),
    ):
        assert (answer.outcome, answer.code) == (TransferOutcome.REFUSED, "local")
        assert "SAOMA_PAY_API_URL" in answer.message
    with pytest.raises(ForgedCallback):
        gateway.parse_callback(platform.payer, {}, b"")


def test_a_request_does_not_show_whom_it_pays(platform: Platform) -> None:
    shown = repr(_request(platform, user_name="张三"))
    assert "o-secret-openid" not in shown
    assert "张三" not in shown
