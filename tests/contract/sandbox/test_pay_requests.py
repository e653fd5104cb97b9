"""Signatures of requests and answers: contracts 4.1 to 4.3, 11.4 and row 9 of section 8."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.sandbox.conftest import Till
from tests.contract.sandbox.pay_client import BILLS, new_number
from tests.support.sandbox import new_private_key


@pytest.fixture
def till(shared_till: Till) -> Till:
    return shared_till


def test_an_honest_request_is_accepted_and_the_answer_verifies(till: Till) -> None:
    response = till.client.open(till.bill())

    assert response.status_code == 200
    assert till.client.verified(response)
    assert response.headers["Request-ID"]


def test_errors_are_signed_too(till: Till) -> None:
    for response in (
        till.client.query("unknown"),
        till.client.open(b"{"),
        till.client.request("GET", "/v3/nothing"),
        till.client.request("DELETE", BILLS),
    ):
        assert response.status_code in (400, 404, 405)
        assert till.client.verified(response)


LIES: dict[str, dict[str, Any]] = {
    "too old": {"skew_seconds": -302},
    "too new": {"skew_seconds": 302},
    "no nonce": {"nonce": ""},
    "long nonce": {"nonce": "a" * 33},
    "unknown serial number": {"serial_no": "00" * 20},
    "unknown merchant": {"mchid": "1999999999"},
    "another body": {"signed_body": b"{}"},
    "another path": {"signed_target": BILLS + "?a=1"},
    "another key": {"key_pem": new_private_key()},
    "no authorization": {"more_headers": {"Authorization": None}},
    "another scheme": {"more_headers": {"Authorization": "Bearer x"}},
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_not_properly_signed_is_refused(till: Till, lie: str) -> None:
    order = till.bill()
    response = till.client.open(order, **LIES[lie])

    assert response.status_code == 401
    assert response.json()["code"] == "SIGN_ERROR"
    assert response.json()["message"]
    assert till.client.state(order["out_bill_no"]) == "NOT_FOUND"


def test_the_signature_covers_path_and_query_as_they_were_sent(till: Till) -> None:
    number = new_number()
    target = f"{BILLS}/out-bill-no/{number}?b=%E5%A5%96&a=+"

    assert till.client.request("GET", target).status_code == 404
    decoded = f"{BILLS}/out-bill-no/{number}?b=奖&a= "
    assert till.client.request("GET", target, signed_target=decoded).status_code == 401


def test_five_minutes_of_clock_skew_are_tolerated(till: Till) -> None:
    for skew in (-295, 295):
        assert till.client.query("x", skew_seconds=skew).status_code == 404


def test_a_nonce_may_be_used_again_unless_strict(till: Till) -> None:
    assert [till.client.query("x", nonce="once").status_code for _ in range(2)] == [404, 404]

    till.sandbox.settings(strict_unverified=True)
    assert [till.client.query("x", nonce="twice").status_code for _ in range(2)] == [404, 401]


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "*/*"},
        {"Accept": "text/html"},
        {"User-Agent": ""},
        {"Content-Type": "text/plain"},
        {"Wechatpay-Serial": "PUB_KEY_ID_0999"},
    ],
    ids=str,
)
def test_the_required_headers_are_required(till: Till, headers: dict[str, str]) -> None:
    response = till.client.open(till.bill(), more_headers=headers)

    assert (response.status_code, response.json()["code"]) == (400, "PARAM_ERROR")


def test_a_real_name_travels_encrypted_both_ways(till: Till) -> None:
    sealed = till.client.seal(till.shopper["name"])
    order = till.bill(user_name=sealed["user_name"])

    assert till.client.open(order).json()["code"] == "PARAM_ERROR"
    assert till.client.open(order, more_headers=sealed["headers"]).status_code == 200
    answer = till.client.query(order["out_bill_no"]).json()
    assert till.client.unseal(answer["user_name"]) == till.shopper["name"]


def test_there_are_no_platform_certificates_for_a_new_merchant(till: Till) -> None:
    response = till.client.request("GET", "/v3/certificates")

    assert (response.status_code, response.json()["code"]) == (404, "RESOURCE_NOT_EXISTS")


def test_the_balance_is_closed_to_a_direct_merchant(make_till: Callable[..., Till]) -> None:
    closed, opened = make_till(), make_till(balance_fen=777, balance_api=True)
    path = "/v3/merchant/fund/balance/"

    refused = closed.client.request("GET", path + "OPERATION")
    assert (refused.status_code, refused.json()["code"]) == (403, "NO_AUTH")
    assert opened.client.request("GET", path + "OPERATION").json()["available_amount"] == 777
    assert opened.client.request("GET", path + "BASIC").json()["available_amount"] == 0
    assert opened.client.request("GET", path + "POCKET").json()["code"] == "INVALID_REQUEST"


def test_a_hundred_calls_a_second_and_no_more(till: Till) -> None:
    till.sandbox.settings(limits=True)
    number = new_number()
    headers = till.client.headers("GET", f"{BILLS}/out-bill-no/{number}", b"")
    answers = [till.client.query(number, more_headers=headers) for _ in range(160)]
    codes = {response.status_code: response.json()["code"] for response in answers}

    assert codes in ({404: "NOT_FOUND"}, {404: "NOT_FOUND", 429: "FREQUENCY_LIMITED"})
    assert [r.status_code for r in answers].count(404) >= 100


def test_a_body_above_a_megabyte_is_refused(till: Till) -> None:
    response = till.client.open(till.bill(transfer_remark="x" * 1_100_000))

    assert response.status_code == 413
