"""Faults on demand: row 14 of section 8."""

import time

import pytest
import requests

from tests.contract.sandbox.conftest import SECRET, Till
from tests.contract.sandbox.pay_client import BILLS
from tests.contract.sandbox.test_login import login
from tests.contract.sandbox.test_tokens import plain, stable
from tests.support.sandbox import SandboxProcess, SandboxRefusedError


@pytest.mark.parametrize("kind", ["-1", "45009"])
def test_the_mini_program_api_answers_with_a_number(sandbox: SandboxProcess, appid: str, kind: str) -> None:
    sandbox.fault("/cgi-bin/token", kind, times=2)

    assert [plain(sandbox, appid).get("errcode") for _ in range(3)] == [int(kind), int(kind), None]
    assert "access_token" in stable(sandbox, appid)


def test_minus_one_may_nevertheless_have_taken_effect(sandbox: SandboxProcess, appid: str) -> None:
    js_code = sandbox.js_code(sandbox.shopper()["id"], appid)
    sandbox.fault("/sns/jscode2session", "-1", times=1, after_commit=True)

    assert login(sandbox, appid, js_code)["errcode"] == -1
    assert login(sandbox, appid, js_code)["errcode"] == 40163


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("system_error", 500, "SYSTEM_ERROR"),
        ("frequency_limited", 429, "FREQUENCY_LIMITED"),
        ("user_account_abnormal", 403, "USER_ACCOUNT_ABNORMAL"),
    ],
)
@pytest.mark.parametrize("after_commit", [False, True])
def test_wechat_pay_answers_with_a_code(
    till: Till, kind: str, status: int, code: str, *, after_commit: bool
) -> None:
    order = till.bill()
    till.sandbox.fault(BILLS, kind, times=1, after_commit=after_commit)
    response = till.client.open(order)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert till.client.verified(response)
    expected = "WAIT_USER_CONFIRM" if after_commit else "NOT_FOUND"
    assert till.client.state(order["out_bill_no"]) == expected
    assert till.client.open(order).json()["state"] == "WAIT_USER_CONFIRM"
    assert till.money() == (999_900, 100)


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_gateway_in_between_answers_in_html(till: Till, *, after_commit: bool) -> None:
    order = till.bill()
    till.sandbox.fault(BILLS, "html_502", times=1, after_commit=after_commit)
    response = till.client.open(order)

    assert response.status_code == 502
    assert response.headers["Content-Type"].startswith("text/html")
    assert "Wechatpay-Signature" not in response.headers
    expected = "WAIT_USER_CONFIRM" if after_commit else "NOT_FOUND"
    assert till.client.state(order["out_bill_no"]) == expected


@pytest.mark.parametrize(
    ("kind", "expected"), [("timeout_before", "NOT_FOUND"), ("timeout_after_commit", "WAIT_USER_CONFIRM")]
)
def test_the_client_gives_up_waiting(till: Till, kind: str, expected: str) -> None:
    order = till.bill()
    till.sandbox.fault(BILLS, kind, times=1, hold_seconds=2)

    with pytest.raises(requests.Timeout):
        till.client.open(order, timeout=0.3)

    assert till.client.state(order["out_bill_no"]) == expected
    assert till.client.open(order).json()["state"] == "WAIT_USER_CONFIRM"
    assert till.money() == (999_900, 100)


@pytest.mark.parametrize(
    ("kind", "expected"), [("timeout_before", "NOT_FOUND"), ("timeout_after_commit", "WAIT_USER_CONFIRM")]
)
def test_the_connection_breaks(till: Till, kind: str, expected: str) -> None:
    order = till.bill()
    till.sandbox.fault(BILLS, kind, times=1, hold_seconds=0)

    with pytest.raises(requests.ConnectionError):
        till.client.open(order)

    assert till.client.state(order["out_bill_no"]) == expected


def test_an_answer_takes_its_time(sandbox: SandboxProcess, appid: str) -> None:
    sandbox.fault("/cgi-bin/token", "latency", latency_ms=150, times=1)
    started = time.monotonic()
    answer = plain(sandbox, appid)

    assert "access_token" in answer
    assert time.monotonic() - started >= 0.15


def test_an_answer_with_a_broken_a_probing_or_an_old_signature(till: Till) -> None:
    for kind in ("bad_signature", "signtest", "clock_skew"):
        till.sandbox.fault(BILLS + "*", kind, times=1)
        response = till.client.open(till.bill())
        assert response.status_code == 200
        assert not till.client.verified(response), kind
    assert till.client.verified(till.client.open(till.bill()))


def test_a_probability_with_a_seed_is_the_same_every_time(sandbox: SandboxProcess, appid: str) -> None:
    def run(seed: int) -> list[bool]:
        sandbox.clear_faults()
        sandbox.fault("/cgi-bin/token", "-1", probability=0.4, seed=seed)
        return ["errcode" in plain(sandbox, appid) for _ in range(24)]

    first = run(5)
    assert run(5) == first
    assert run(6) != first
    assert 0 < sum(first) < 24


def test_a_fault_counts_and_can_be_taken_back(sandbox: SandboxProcess, appid: str) -> None:
    sandbox.fault("/cgi-bin/token", "-1")
    plain(sandbox, appid)

    assert [(f["kind"], f["fired"], f["times"]) for f in sandbox.faults()] == [("-1", 1, None)]
    sandbox.clear_faults()
    assert "access_token" in plain(sandbox, appid)


def test_a_fault_that_could_never_fire_is_refused(sandbox: SandboxProcess) -> None:
    for path, kind in (("/x", "earthquake"), (BILLS, "-1"), ("/cgi-bin/token", "system_error")):
        with pytest.raises(SandboxRefusedError) as caught:
            sandbox.fault(path, kind)
        assert caught.value.status == 422


def test_faults_do_not_reach_the_sandboxs_own_pages(sandbox: SandboxProcess, appid: str) -> None:
    sandbox.fault("*", "html_502")

    assert sandbox.shopper()["id"]
    secret = {"appid": appid, "secret": SECRET}
    assert requests.get(f"{sandbox.base_url}/cgi-bin/token", params=secret, timeout=5).status_code == 502
