"""What a failed question means is said once: each gateway adds what a code means to it alone."""

import pytest
import requests

from app.gateways.pay.client import Reply, Unverified
from app.gateways.pay.credentials import CredentialFault
from app.gateways.pay.failures import FAILURES, Failure, failure, refusal


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (CredentialFault("no key"), Failure(again=False, code="local", message="no key")),
        (Unverified("unsigned"), Failure(again=True, code="unverified", message="unsigned")),
        (requests.ReadTimeout("late"), Failure(again=True, code="timeout")),
        (requests.ConnectionError("refused"), Failure(again=True, code="network")),
    ],
)
def test_what_a_client_raises(error: Exception, meaning: Failure) -> None:
    assert isinstance(error, FAILURES)
    assert failure(error) == meaning


@pytest.mark.parametrize(
    ("reply", "meaning"),
    [
        (
            Reply(500, {"code": "SYSTEM_ERROR", "message": "系统繁忙"}),
            Failure(True, "SYSTEM_ERROR", "系统繁忙"),
        ),
        (Reply(403, {"code": "RATELIMIT_EXCEEDED"}), Failure(True, "RATELIMIT_EXCEEDED")),
        (Reply(429, {"code": "FREQUENCY_LIMITED"}), Failure(True, "FREQUENCY_LIMITED")),
        (Reply(429, {"code": "FREQUENCY_LIMIT_EXCEED"}), Failure(True, "FREQUENCY_LIMIT_EXCEED")),
        (Reply(401, {"code": "SIGN_ERROR"}), Failure(False, "SIGN_ERROR")),
        # The code decides: nobody has promised that one of these comes with a status that may be repeated.
        (Reply(503, {"code": "PARAM_ERROR"}), Failure(False, "PARAM_ERROR")),
        (Reply(502, None), Failure(True, "unreadable", "HTTP 502")),
        (Reply(404, ["code"]), Failure(False, "unreadable", "HTTP 404")),
        (Reply(400, {"code": 7}), Failure(False, "unreadable", "HTTP 400")),
        (Reply(400, {"code": "x" * 65, "message": "y" * 201}), Failure(False, "x" * 64, "y" * 200)),
    ],
)
def test_what_an_answer_outside_2xx_means(reply: Reply, meaning: Failure) -> None:
    assert refusal(reply) == meaning
