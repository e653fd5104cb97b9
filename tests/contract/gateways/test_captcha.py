"""The captcha gateway and the sandbox's endpoint: strict about signature and tickets, faults included."""

import itertools
import time
from typing import Any

import pytest

from app.gateways.captcha import TencentCaptchas
from app.gateways.tc3 import CloudKey
from app.risk.interfaces import Check, Finding
from tests.support.sandbox import SandboxProcess

_numbers = itertools.count(190_000_100)
HERE = "36.112.9.7"


@pytest.fixture
def account(sandbox: SandboxProcess) -> dict[str, Any]:
    return sandbox.create_captcha_app(next(_numbers))


@pytest.fixture
def shopper_id(sandbox: SandboxProcess) -> str:
    return str(sandbox.shopper()["id"])


def gateway(sandbox: SandboxProcess, account: dict[str, Any], **more: Any) -> TencentCaptchas:
    keys = {**account, **more}
    return TencentCaptchas(
        sandbox.base_url,
        key=CloudKey(keys["secret_id"], keys["secret_key"]),
        app_id=keys["app_id"],
        app_key=keys["app_key"],
        deadline_seconds=keys.get("deadline_seconds", 3.0),
        seconds=keys.get("seconds", time.time),
    )


def test_a_ticket_passes_once(sandbox: SandboxProcess, account: dict[str, Any], shopper_id: str) -> None:
    ticket = sandbox.captcha_ticket(shopper_id, account["app_id"])
    captchas = gateway(sandbox, account)
    assert captchas.check(ticket, address=HERE).finding is Finding.PASSED
    assert captchas.check(ticket, address=HERE) == Check(Finding.REFUSED, "CaptchaCode 25")


def test_tickets_that_are_no_good(sandbox: SandboxProcess, account: dict[str, Any], shopper_id: str) -> None:
    captchas = gateway(sandbox, account)
    foreign = sandbox.captcha_ticket(shopper_id, sandbox.create_captcha_app(next(_numbers))["app_id"])
    assert captchas.check(foreign, address=HERE) == Check(Finding.DOUBTFUL, "CaptchaCode 7")
    assert captchas.check("made up", address=HERE).reason == "CaptchaCode 10"
    assert captchas.check(f"tr03{'x' * 100}*", address=HERE).reason == "CaptchaCode 15"
    unloaded = sandbox.captcha_ticket(shopper_id, account["app_id"], fails=True)
    assert captchas.check(unloaded, address=HERE) == Check(Finding.REFUSED, "CaptchaCode 21")
    late = sandbox.captcha_ticket(shopper_id, account["app_id"])
    sandbox.advance(301)
    assert captchas.check(late, address=HERE) == Check(Finding.REFUSED, "CaptchaCode 8")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"secret_key": "wrong"}, "AuthFailure.SignatureFailure"),
        ({"secret_id": "nobody"}, "AuthFailure.SecretIdNotFound"),
        ({"seconds": lambda: time.time() - 400}, "AuthFailure.SignatureExpire"),
        ({"app_key": "wrong"}, "CaptchaCode 100"),
        ({"app_id": 5}, "CaptchaCode 100"),
    ],
)
def test_settings_that_are_wrong_are_told_apart(
    sandbox: SandboxProcess, account: dict[str, Any], shopper_id: str, change: dict[str, Any], reason: str
) -> None:
    ticket = sandbox.captcha_ticket(shopper_id, account["app_id"])
    found = gateway(sandbox, account, **change).check(ticket, address=HERE)
    assert found.reason == reason
    assert found.finding in {Finding.BROKEN, Finding.DOUBTFUL}
    # Nothing of that used the ticket up.
    assert gateway(sandbox, account).check(ticket, address=HERE).finding is Finding.PASSED


def test_without_a_package_nothing_is_answered(sandbox: SandboxProcess, shopper_id: str) -> None:
    account = sandbox.create_captcha_app(next(_numbers), package=False)
    ticket = sandbox.captcha_ticket(shopper_id, account["app_id"])
    found = gateway(sandbox, account).check(ticket, address=HERE)
    assert found == Check(Finding.BROKEN, "CaptchaCode 31")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("html_502", "http_502"),
        ("internal_error", "InternalError"),
        ("timeout_before", "timeout"),
        ("timeout_after_commit", "timeout"),
    ],
)
def test_faults_are_no_answer(
    sandbox: SandboxProcess, account: dict[str, Any], shopper_id: str, kind: str, reason: str
) -> None:
    """The ticket is good for another question, unless the platform has taken it and its answer got lost."""
    ticket = sandbox.captcha_ticket(shopper_id, account["app_id"])
    sandbox.fault("/", kind, times=1, hold_seconds=1)
    found = gateway(sandbox, account, deadline_seconds=0.5).check(ticket, address=HERE)
    assert found == Check(Finding.UNKNOWN, reason)
    taken = kind == "timeout_after_commit"
    time.sleep(0.7 if taken else 0)
    again = gateway(sandbox, account).check(ticket, address=HERE)
    assert again.finding is (Finding.REFUSED if taken else Finding.PASSED)


def test_no_secret_is_shown(sandbox: SandboxProcess, account: dict[str, Any], shopper_id: str) -> None:
    ticket = sandbox.captcha_ticket(shopper_id, account["app_id"])
    gateway(sandbox, account).check(ticket, address=HERE)
    shown = str(sandbox.exchanges())
    assert account["app_key"] not in shown
    assert account["secret_key"] not in shown
