"""What the answers of the captcha platform come to: a pass is a pass, and nothing else is."""

import json
import logging
import time

import pytest

from app.gateways.captcha import TencentCaptchas
from app.gateways.tc3 import CloudKey
from app.risk.interfaces import Check, Finding
from tests.support.loopback import LoopbackServer


def captchas(server: LoopbackServer, **more: float) -> TencentCaptchas:
    key = CloudKey("the-secret-id", "the-secret-key")
    return TencentCaptchas(server.url, key=key, app_id=190000001, app_key="the-app-key", **more)


def answer(server: LoopbackServer, response: object, status: int = 200) -> Check:
    server.reply(status, json.dumps({"Response": response}).encode())
    return captchas(server).check("tr03ticket", address="36.112.9.7")


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        (1, Finding.PASSED),
        (7, Finding.DOUBTFUL),
        (8, Finding.REFUSED),
        (9, Finding.REFUSED),
        (10, Finding.REFUSED),
        (15, Finding.REFUSED),
        (16, Finding.DOUBTFUL),
        (21, Finding.REFUSED),
        (25, Finding.REFUSED),
        (26, Finding.UNKNOWN),
        (31, Finding.BROKEN),
        (100, Finding.DOUBTFUL),
        (0, Finding.REFUSED),
        (9999, Finding.REFUSED),
    ],
)
def test_one_alone_is_a_pass(server: LoopbackServer, code: int, finding: Finding) -> None:
    found = answer(server, {"CaptchaCode": code, "CaptchaMsg": "", "RequestId": "r"})
    assert found == Check(finding, f"CaptchaCode {code}")


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("InternalError", Finding.UNKNOWN),
        ("RequestLimitExceeded.UinLimitExceeded", Finding.UNKNOWN),
        ("AuthFailure.SignatureFailure", Finding.BROKEN),
        ("UnauthorizedOperation.Unauthorized", Finding.BROKEN),
        ("MissingParameter", Finding.BROKEN),
    ],
)
def test_an_error_is_ours_or_passes(server: LoopbackServer, code: str, finding: Finding) -> None:
    found = answer(server, {"Error": {"Code": code, "Message": "no"}, "RequestId": "r"})
    assert found == Check(finding, code)


@pytest.mark.parametrize(
    "response", [{}, None, [], {"CaptchaCode": "1"}, {"CaptchaCode": True}, {"Error": {}, "CaptchaCode": 1}]
)
def test_what_cannot_be_read_is_no_pass(server: LoopbackServer, response: object) -> None:
    assert answer(server, response) == Check(Finding.UNKNOWN, "unreadable")


def test_what_goes_wrong_on_the_way_is_unknown(
    server: LoopbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    passed = {"CaptchaCode": 1}
    assert answer(server, passed, status=502) == Check(Finding.UNKNOWN, "http_502")
    assert answer(server, passed, status=302) == Check(Finding.UNKNOWN, "http_302")
    server.reply(200, b"<html>")
    assert captchas(server).check("t", address="").reason == "unreadable"
    server.answer = lambda _handler, _seen: time.sleep(1)
    with caplog.at_level(logging.DEBUG):
        assert captchas(server, deadline_seconds=0.2).check("tr03secret", address="") == Check(
            Finding.UNKNOWN, "timeout"
        )
    assert "timeout" in caplog.text
    assert not any(word in caplog.text for word in ("tr03secret", "the-app-key", "the-secret-key"))


def test_the_question_is_the_one_of_the_contract(server: LoopbackServer) -> None:
    answer(server, {"CaptchaCode": 1})
    (seen,) = server.seen
    assert (seen.method, seen.target) == ("POST", "/")
    assert json.loads(seen.body) == {
        "CaptchaType": 9,
        "Ticket": "tr03ticket",
        "UserIp": "36.112.9.7",
        "CaptchaAppId": 190000001,
        "AppSecretKey": "the-app-key",
    }
    assert seen.headers["X-TC-Action"] == "DescribeCaptchaMiniResult"
    assert seen.headers["X-TC-Version"] == "2019-07-22"
    assert "X-TC-Region" not in seen.headers
    assert server.url.endswith(seen.headers["Host"])
