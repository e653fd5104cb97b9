import pytest

from app.gateways.pay.answers import OUTCOMES, read_failure, read_success
from app.payouts.interfaces import FINAL_STATES, TransferOutcome, TransferState

BILL = {"out_bill_no": "B1", "transfer_bill_no": "133", "create_time": "2026-06-01T12:00:00+08:00"}


def test_the_states_are_split_into_final_and_under_way() -> None:
    for state in TransferState:
        answer = read_success(200, {**BILL, "state": state.value}, mchid="19", bill_no="B1")
        assert answer.outcome is (
            TransferOutcome.FINAL if state in FINAL_STATES else TransferOutcome.ACCEPTED
        )
        assert (answer.state, answer.transfer_bill_no, answer.http_status) == (state, "133", 200)
    assert {"SUCCESS", "FAIL", "CANCELLED"} == FINAL_STATES


def test_only_a_bill_that_waits_has_a_package() -> None:
    for state in TransferState:
        body = {**BILL, "state": state.value, "package_info": "p+/="}
        answer = read_success(200, body, mchid="19", bill_no="B1")
        expected = "p+/=" if state is TransferState.WAIT_USER_CONFIRM else None
        assert answer.package_info == expected
        assert "p+/=" not in repr(answer)


def test_the_reason_of_a_failure_is_kept() -> None:
    body = {**BILL, "mch_id": "19", "state": "FAIL", "fail_reason": "NAME_NOT_CORRECT"}
    assert read_success(200, body, mchid="19", bill_no="B1").fail_reason == "NAME_NOT_CORRECT"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**BILL, "state": "SHIPPED"}, "unreadable"),
        ({**BILL}, "unreadable"),
        (None, "unreadable"),
        ([], "unreadable"),
        ({**BILL, "state": "SUCCESS", "out_bill_no": "B2"}, "mismatch"),
        ({**BILL, "state": "SUCCESS", "mch_id": "20"}, "mismatch"),
    ],
)
def test_what_is_not_about_this_bill_is_unknown(body: object, code: str) -> None:
    answer = read_success(200, body, mchid="19", bill_no="B1")
    assert (answer.outcome, answer.code, answer.state) == (TransferOutcome.UNKNOWN, code, None)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        # Platform contracts 4.5 and 4.8, row by row.
        ("SYSTEM_ERROR", "retry_same"),
        ("FREQUENCY_LIMITED", "frequency"),
        ("RATELIMIT_EXCEEDED", "frequency"),
        ("FREQUENCY_LIMIT_EXCEED", "frequency"),
        ("NOT_ENOUGH", "short_of_funds"),
        ("NOT_FOUND", "not_found"),
        ("ORDER_NOT_EXIST", "not_found"),
        ("RESOURCE_NOT_EXISTS", "not_found"),
        ("PARAM_ERROR", "refused"),
        ("INVALID_REQUEST", "refused"),
        ("SIGN_ERROR", "refused"),
        ("NO_AUTH", "refused"),
        ("APPID_MCHID_NOT_MATCH", "refused"),
        ("MCH_NOT_EXISTS", "refused"),
        ("ACCOUNT_ERROR", "refused"),
        ("USER_ERROR", "refused"),
        ("USER_ACCOUNT_ABNORMAL", "refused"),
        ("RULE_LIMIT", "refused"),
        ("TRADE_ERROR", "refused"),
        ("ALREADY_EXISTS", "unknown"),
        ("RESOURCE_ALREADY_EXISTS", "unknown"),
        ("OUT_TRADE_NO_USED", "unknown"),
        ("ORDER_CLOSED", "unknown"),
    ],
)
def test_a_code_decides_whatever_the_status(code: str, outcome: str) -> None:
    for status in (400, 401, 403, 404, 429, 500, 502):
        answer = read_failure(status, {"code": code, "message": "why"})
        assert (answer.outcome, answer.code, answer.http_status) == (outcome, code, status)
        assert answer.message == "why"


def test_the_table_above_is_whole() -> None:
    tested = test_a_code_decides_whatever_the_status.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {code for code, _ in tested} == set(OUTCOMES)


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_an_unknown_code_asks_for_a_query(status: int) -> None:
    assert read_failure(status, {"code": "BRAND_NEW"}).outcome is TransferOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (502, None, "retry_same"),
        (500, {}, "retry_same"),
        (503, {"code": 7}, "retry_same"),
        (404, None, "unknown"),
        (429, None, "unknown"),
        (302, None, "unknown"),
    ],
)
def test_without_a_code_only_a_server_error_may_be_repeated(status: int, body: object, outcome: str) -> None:
    answer = read_failure(status, body)
    assert (answer.outcome, answer.code) == (outcome, "unreadable")


def test_an_explanation_is_cut() -> None:
    assert len(read_failure(400, {"code": "PARAM_ERROR", "message": "长" * 900}).message) == 200
