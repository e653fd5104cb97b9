"""Merchant transfers against the sandbox, whose own reading of the contract has to agree with ours."""

import logging
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest

from app.gateways.pay.transfers import NullTransfers, WeChatPayTransfers
from app.payouts.interfaces import (
    ForgedCallback,
    ReportInfo,
    TransferAnswer,
    TransferGateway,
    TransferNotice,
    TransferOutcome,
    TransferState,
    UnexpectedCallback,
)
from tests.contract.gateways.conftest import Account
from tests.support.loopback import LoopbackServer, Seen, send
from tests.support.sandbox import SandboxProcess

BILLS = "/v3/fund-app/mch-transfer/transfer-bills"
ANY = f"{BILLS}*"
NOTIFY = "https://saoma.example/miniprogram/v1/callbacks/pay"


@pytest.fixture
def gateway(sandbox: SandboxProcess) -> WeChatPayTransfers:
    return WeChatPayTransfers(sandbox.base_url)


def _bill_count(sandbox: SandboxProcess, account: Account) -> int:
    return sum(1 for bill in sandbox.book()["bills"] if bill["mchid"] == account.merchant.mchid)


def _confirm(sandbox: SandboxProcess, account: Account, answer: TransferAnswer, **more: str) -> None:
    assert answer.package_info is not None
    sandbox.confirm(
        account.shopper_id,
        package_info=answer.package_info,
        mch_id=account.merchant.mchid,
        app_id=account.app.appid,
        **more,
    )


def _notify_url(account: Account) -> str:
    return f"{NOTIFY}/{account.merchant.mchid}"


def _wait_for(server: LoopbackServer, account: Account, count: int) -> list[Seen]:
    """The callbacks for this test's merchant; those of others' bills may still arrive too."""
    end = time.monotonic() + 10
    while True:
        seen = [one for one in list(server.seen) if one.target.endswith(account.merchant.mchid)]
        if len(seen) >= count or time.monotonic() > end:
            assert len(seen) >= count
            return seen
        time.sleep(0.01)


# The life of a bill


def test_a_bill_is_opened_confirmed_and_paid(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers
) -> None:
    request = account.request(recv_style="RED_PACKET")
    opened = gateway.open(request)
    assert (opened.outcome, opened.state) == (TransferOutcome.ACCEPTED, TransferState.WAIT_USER_CONFIRM)
    assert opened.transfer_bill_no is not None
    _confirm(sandbox, account, opened)
    asked = gateway.query(account.payer, request.bill_no)
    assert (asked.outcome, asked.state) == (TransferOutcome.FINAL, TransferState.SUCCESS)
    assert asked.transfer_bill_no == opened.transfer_bill_no
    assert asked.package_info is None
    assert sandbox.book()["paid"][account.openid] == 100


def test_the_same_number_is_the_same_bill(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers
) -> None:
    request = account.request(amount_fen=250_000, user_name="张三丰")
    first, second = gateway.open(request), gateway.open(request)
    assert first == second
    assert _bill_count(sandbox, account) == 1
    # Another order under the number is refused, and the bill that exists is left alone.
    other = gateway.open(replace(request, amount_fen=250_001))
    assert (other.outcome, other.code) == (TransferOutcome.REFUSED, "INVALID_REQUEST")
    assert gateway.query(account.payer, request.bill_no).state is TransferState.WAIT_USER_CONFIRM


def test_a_name_travels_sealed_and_is_checked(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers
) -> None:
    for name, state in (("张三丰", "SUCCESS"), ("李四", "FAIL")):
        request = account.request(amount_fen=200_000, user_name=name)
        _confirm(sandbox, account, gateway.open(request))
        asked = gateway.query(account.payer, request.bill_no)
        assert (asked.outcome, asked.state) == (TransferOutcome.FINAL, state)
    assert asked.fail_reason == "NAME_NOT_CORRECT"


def test_a_bill_is_cancelled(account: Account, gateway: WeChatPayTransfers) -> None:
    request = account.request()
    gateway.open(request)
    cancelled = gateway.cancel(account.payer, request.bill_no)
    assert cancelled.state in {TransferState.CANCELING, TransferState.CANCELLED}
    asked = gateway.query(account.payer, request.bill_no)
    assert (asked.outcome, asked.state) == (TransferOutcome.FINAL, TransferState.CANCELLED)


def test_a_paid_bill_cannot_be_cancelled(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers
) -> None:
    request = account.request()
    _confirm(sandbox, account, gateway.open(request))
    answer = gateway.cancel(account.payer, request.bill_no)
    assert answer.outcome is TransferOutcome.REFUSED
    assert gateway.query(account.payer, request.bill_no).state is TransferState.SUCCESS


def test_a_bill_that_nobody_confirms_ends(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers
) -> None:
    request = account.request()
    gateway.open(request)
    sandbox.advance(24 * 3600 + 1)
    asked = gateway.query(account.payer, request.bill_no)
    assert (asked.outcome, asked.fail_reason) == (TransferOutcome.FINAL, "OVERDUE_CLOSE")


def test_an_unknown_number_is_not_found(account: Account, gateway: WeChatPayTransfers) -> None:
    for call in (gateway.query, gateway.cancel):
        answer = call(account.payer, "NoSuchBill1")
        assert (answer.outcome, answer.code) == (TransferOutcome.NOT_FOUND, "NOT_FOUND")


def test_a_bill_may_stay_accepted_for_a_while(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers
) -> None:
    sandbox.fault(BILLS, "accepted_first", times=1)
    request = account.request()
    opened = gateway.open(request)
    assert (opened.outcome, opened.state, opened.package_info) == ("accepted", "ACCEPTED", None)
    sandbox.advance(2)
    assert gateway.open(request).package_info is not None
    assert _bill_count(sandbox, account) == 1


# Refusals


def test_every_refusal_is_told_apart(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers
) -> None:
    wrong_key = replace(account.payer, serial_no="ABCDEF0123456789")
    for request, code in (
        (account.request(amount_fen=9), "PARAM_ERROR"),
        (account.request(openid="o-nobody"), "PARAM_ERROR"),
        (account.request(notify_url="https://saoma.example/x?y=1"), "PARAM_ERROR"),
        (account.request(report_infos=(ReportInfo("活动名称", "扫码"),)), "PARAM_ERROR"),
        (account.request(amount_fen=20_001, recv_style="RED_PACKET"), "INVALID_REQUEST"),
        (account.request(appid="wxunbound0001"), "APPID_MCHID_NOT_MATCH"),
        (
            account.request(scene_id="1009", report_infos=(ReportInfo("采购商品名称", "酒"),)),
            "NO_AUTH",
        ),
        (account.request(payer=wrong_key), "SIGN_ERROR"),
    ):
        answer = gateway.open(request)
        assert (answer.outcome, answer.code) == (TransferOutcome.REFUSED, code)
        assert answer.message
        assert request.openid not in answer.message
    assert _bill_count(sandbox, account) == 0


def test_a_short_balance_is_told_apart_and_the_number_stays_good(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers
) -> None:
    request = account.request(amount_fen=1_000_001, user_name="张三丰")
    answer = gateway.open(request)
    assert (answer.outcome, answer.code) == (TransferOutcome.SHORT_OF_FUNDS, "NOT_ENOUGH")
    sandbox.top_up(account.merchant.mchid, 1)
    assert gateway.open(request).state is TransferState.WAIT_USER_CONFIRM


# Faults on the way


@pytest.mark.parametrize(
    ("kind", "outcome", "code"),
    [
        ("system_error", "retry_same", "SYSTEM_ERROR"),
        ("html_502", "retry_same", "unreadable"),
        ("frequency_limited", "frequency", "FREQUENCY_LIMITED"),
        ("timeout_before", "retry_same", "network"),
        ("bad_signature", "unknown", "unverified"),
        ("signtest", "unknown", "unverified"),
        ("clock_skew", "unknown", "unverified"),
    ],
)
def test_after_any_fault_the_same_number_leads_to_one_bill(
    sandbox: SandboxProcess,
    account: Account,
    gateway: WeChatPayTransfers,
    *,
    kind: str,
    outcome: str,
    code: str,
) -> None:
    request = account.request()
    sandbox.fault(BILLS, kind, times=1, hold_seconds=0.1)
    answer = gateway.open(request)
    assert (answer.outcome, answer.code, answer.state) == (outcome, code, None)
    assert gateway.open(request).state is TransferState.WAIT_USER_CONFIRM
    assert _bill_count(sandbox, account) == 1


@pytest.mark.parametrize("kind", ["timeout_after_commit", "system_error", "html_502"])
def test_a_bill_made_unseen_is_found_by_its_number(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers, kind: str
) -> None:
    request = account.request()
    sandbox.fault(BILLS, kind, times=1, after_commit=True, hold_seconds=0.1)
    assert gateway.open(request).outcome is TransferOutcome.RETRY_SAME
    assert _bill_count(sandbox, account) == 1
    assert gateway.query(account.payer, request.bill_no).state is TransferState.WAIT_USER_CONFIRM
    assert gateway.open(request).package_info is not None
    assert _bill_count(sandbox, account) == 1


def test_a_platform_that_says_nothing_is_left_at_the_deadline(
    sandbox: SandboxProcess, account: Account
) -> None:
    gateway = WeChatPayTransfers(sandbox.base_url, deadline_seconds=0.4)
    request = account.request()
    sandbox.fault(BILLS, "timeout_after_commit", times=1, hold_seconds=3)
    began = time.monotonic()
    answer = gateway.open(request)
    assert (answer.outcome, answer.code) == (TransferOutcome.RETRY_SAME, "timeout")
    assert time.monotonic() - began < 1.5
    assert gateway.query(account.payer, request.bill_no).state is TransferState.WAIT_USER_CONFIRM


@pytest.mark.parametrize("kind", ["signtest", "bad_signature", "clock_skew"])
def test_a_query_is_not_believed_without_a_good_signature(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers, kind: str
) -> None:
    request = account.request()
    _confirm(sandbox, account, gateway.open(request))
    sandbox.fault(ANY, kind, times=1)
    answer = gateway.query(account.payer, request.bill_no)
    assert (answer.outcome, answer.state) == (TransferOutcome.UNKNOWN, None)
    # An error that claims a signature is not believed either.
    sandbox.fault(ANY, kind, times=1)
    assert gateway.query(account.payer, "NoSuchBill1").outcome is TransferOutcome.UNKNOWN


# Callbacks


def _finished(sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers, **more: str) -> str:
    request = account.request(notify_url=_notify_url(account))
    _confirm(sandbox, account, gateway.open(request), **more)
    return request.bill_no


def test_a_callback_tells_how_a_bill_ended(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers, receiver: LoopbackServer
) -> None:
    paid = _finished(sandbox, account, gateway)
    _wait_for(receiver, account, 1)
    failed = _finished(sandbox, account, gateway, fail_reason="ACCOUNT_FROZEN")
    seen = _wait_for(receiver, account, 2)
    assert seen[0].target == f"/miniprogram/v1/callbacks/pay/{account.merchant.mchid}"
    notices = [gateway.parse_callback(account.payer, one.headers, one.body) for one in seen]
    assert [(notice.bill_no, notice.state, notice.fail_reason) for notice in notices] == [
        (paid, TransferState.SUCCESS, None),
        (failed, TransferState.FAIL, "ACCOUNT_FROZEN"),
    ]
    for notice in notices:
        assert (notice.mchid, notice.amount_fen) == (account.merchant.mchid, 100)
        assert notice.openid == account.openid
    assert notices[0].notice_id != notices[1].notice_id


def test_a_repeated_callback_has_the_same_id(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers, receiver: LoopbackServer
) -> None:
    sandbox.fault("*", "duplicate_callback", times=1, copies=3)
    _finished(sandbox, account, gateway)
    seen = _wait_for(receiver, account, 3)
    notices = {gateway.parse_callback(account.payer, one.headers, one.body) for one in seen}
    assert len(notices) == 1


def test_a_refused_callback_comes_again(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers, receiver: LoopbackServer
) -> None:
    def refuse_first(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        if not seen.target.endswith(account.merchant.mchid):
            return send(handler, 204, b"", {})
        return send(handler, 500 if len(_wait_for(receiver, account, 1)) == 1 else 204, b"", {})

    receiver.answer = refuse_first
    bill_no = _finished(sandbox, account, gateway)
    seen = _wait_for(receiver, account, 2)
    assert gateway.parse_callback(account.payer, seen[1].headers, seen[1].body).bill_no == bill_no


def test_forged_altered_stale_and_misdirected_callbacks_are_refused(
    sandbox: SandboxProcess,
    account: Account,
    gateway: WeChatPayTransfers,
    receiver: LoopbackServer,
    merchant_key: str,
) -> None:
    _finished(sandbox, account, gateway)
    seen = _wait_for(receiver, account, 1)[0]
    headers, body = seen.headers, seen.body
    late = WeChatPayTransfers("http://127.0.0.1:9", wall=lambda: time.time() + 302)
    with pytest.raises(ForgedCallback):
        late.parse_callback(account.payer, headers, body)
    for name in [name for name in headers if name.startswith("Wechatpay-")]:
        without = {other: value for other, value in headers.items() if other != name}
        altered = {**headers, name: headers[name][:-1] + ("x" if headers[name][-1] != "x" else "y")}
        for forged in (without, altered):
            with pytest.raises(ForgedCallback):
                gateway.parse_callback(account.payer, forged, body)
    with pytest.raises(ForgedCallback):
        gateway.parse_callback(account.payer, headers, body.replace(b"MCHTRANSFER", b"MCHTRANSFEX"))
    with pytest.raises(ForgedCallback):
        gateway.parse_callback(account.payer, {}, body)
    other = sandbox.create_merchant("1888888888", appids=[account.app.appid], private_key_pem=merchant_key)
    stranger = replace(
        account,
        merchant=other,
    )
    with pytest.raises(ForgedCallback):
        gateway.parse_callback(stranger.payer, headers, body)
    # With the other merchant's number but our keys the content betrays it.
    with pytest.raises(ForgedCallback):
        gateway.parse_callback(replace(account.payer, mchid="1888888888"), headers, body)


def test_a_probe_is_refused_and_nothing_is_asked_back(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers, receiver: LoopbackServer
) -> None:
    verdicts: list[str] = []

    def judge(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        status = 204
        if seen.target.endswith("/probe"):
            with pytest.raises(ForgedCallback) as caught:
                gateway.parse_callback(account.payer, seen.headers, seen.body)
            status = caught.value.status
            verdicts.append(caught.value.code)
        send(handler, status, b"", {})

    receiver.answer = judge
    mark = max((one["id"] for one in sandbox.exchanges()), default=0)
    answer = sandbox.probe(account.merchant.mchid, f"{NOTIFY}/probe")
    assert (answer["status"], answer["refused"]) == (401, True)
    assert verdicts == ["forged_callback"]
    # Certificates are what a careless receiver would ask for. A bill that an earlier test gave up waiting for
    # may still be answered now, and is none of it.
    asked = [one["url"] for one in sandbox.exchanges(after=mark) if one["direction"] == "in"]
    assert [url for url in asked if not url.startswith(BILLS)] == []


def test_a_wrong_apiv3_key_is_named(
    sandbox: SandboxProcess, account: Account, gateway: WeChatPayTransfers, receiver: LoopbackServer
) -> None:
    _finished(sandbox, account, gateway)
    seen = _wait_for(receiver, account, 1)[0]
    with pytest.raises(UnexpectedCallback, match="check the APIv3 key"):
        gateway.parse_callback(replace(account.payer, apiv3_key="x" * 32), seen.headers, seen.body)


# Strictness, both implementations, logs


def test_the_strict_sandbox_agrees_too(account: Account) -> None:
    with SandboxProcess(strict_unverified=True) as strict:
        strict.create_app(account.app.appid, account.app.secret)
        merchant = strict.create_merchant(
            account.merchant.mchid, appids=[account.app.appid], balance_fen=1_000
        )
        shopper = strict.shopper()
        openid = strict.shoppers()[0]["openids"].get(account.app.appid)
        if openid is None:
            strict.js_code(shopper["id"], account.app.appid)
            openid = strict.shoppers()[0]["openids"][account.app.appid]
        there = replace(account, merchant=merchant, shopper_id=shopper["id"], openid=openid)
        gateway = WeChatPayTransfers(strict.base_url)
        request = there.request(recv_style="RED_PACKET")
        opened = gateway.open(request)
        assert opened.state is TransferState.WAIT_USER_CONFIRM
        _confirm(strict, there, opened)
        assert gateway.query(there.payer, request.bill_no).state is TransferState.SUCCESS


@pytest.mark.parametrize("real", [True, False])
def test_both_implementations_keep_to_the_interface(
    account: Account, sandbox: SandboxProcess, real: bool
) -> None:
    gateway: TransferGateway = WeChatPayTransfers(sandbox.base_url) if real else NullTransfers()
    request = account.request(amount_fen=9)
    for answer in (
        gateway.open(request),
        gateway.query(account.payer, "not a number"),
        gateway.cancel(account.payer, "not a number"),
    ):
        assert answer.outcome is TransferOutcome.REFUSED
        assert answer.code
        assert answer.message
        assert answer.state is None
    with pytest.raises(ForgedCallback):
        gateway.parse_callback(account.payer, {}, b"{}")
    assert _bill_count(sandbox, account) == 0


def test_logs_hold_no_secret_and_nobody(
    sandbox: SandboxProcess,
    account: Account,
    gateway: WeChatPayTransfers,
    receiver: LoopbackServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        request = account.request(user_name="张三丰", notify_url=_notify_url(account))
        opened = gateway.open(request)
        _confirm(sandbox, account, opened)
        gateway.query(account.payer, request.bill_no)
        gateway.open(account.request(openid="o-somebody-else"))
        for kind in ("signtest", "html_502", "timeout_before"):
            sandbox.fault(ANY, kind, times=1, hold_seconds=0)
            gateway.query(account.payer, request.bill_no)
        seen = _wait_for(receiver, account, 1)[0]
        notice: TransferNotice = gateway.parse_callback(account.payer, seen.headers, seen.body)
        with pytest.raises(ForgedCallback):
            gateway.parse_callback(account.payer, seen.headers, seen.body + b" ")
    assert BILLS in caplog.text
    shown = caplog.text + repr((request, opened, notice))
    for secret in (
        account.openid,
        "o-somebody-else",
        "张三丰",
        account.merchant.apiv3_key,
        "PRIVATE KEY",
        str(opened.package_info),
        "WECHATPAY2-SHA256-RSA2048 mchid",
    ):
        assert secret not in shown
