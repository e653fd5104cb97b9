"""The administration: what it refuses, what it shows, and who may ask."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.contract.sandbox.conftest import SECRET, Till
from tests.contract.sandbox.test_login import login
from tests.contract.sandbox.test_tokens import plain, use
from tests.support.sandbox import SandboxProcess, SandboxRefusedError, public_key_of


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil"]
)
@pytest.mark.parametrize("path", ["/_sandbox/book", "/phone", "/phone/phone.js"])
def test_a_page_under_another_name_reaches_nothing(
    sandbox: SandboxProcess, http: requests.Session, host: str, path: str
) -> None:
    response = http.get(sandbox.base_url + path, headers={"Host": host}, timeout=10)

    assert (response.status_code, response.json()["code"]) == (403, "wrong_host")


@pytest.mark.parametrize("host", ["localhost:8001", "127.0.0.1", "[::1]:8001", "[::1]"])
def test_the_machines_own_names_do(sandbox: SandboxProcess, http: requests.Session, host: str) -> None:
    url = f"{sandbox.base_url}/_sandbox/health"

    assert http.get(url, headers={"Host": host}, timeout=10).status_code == 200


@pytest.mark.parametrize("path", ["/shoppers", "/clock", "/faults", "/settings", "/relay"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_of_a_foreign_page_changes_nothing(
    sandbox: SandboxProcess, http: requests.Session, path: str, content_type: str
) -> None:
    response = http.post(
        f"{sandbox.base_url}/_sandbox{path}",
        data=json.dumps({"name": "a", "phone": "13800138000"}),
        headers={"Content-Type": content_type, "Origin": "http://evil.example"},
        timeout=10,
    )

    assert response.status_code == 415
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/apps", {"appid": "wx"}),
        ("/apps", {"appid": "x", "secret": "s"}),
        ("/apps", {"appid": "wxabcd", "secret": ""}),
        ("/apps", {"appid": "wxabcd", "secret": "s", "kind": "robot"}),
        ("/apps", {"appid": "wxabcd", "secret": "s", "colour": "red"}),
        ("/shoppers", {"name": "", "phone": "13800138000"}),
        ("/shoppers", {"name": "a", "phone": "12"}),
        ("/shoppers", {"name": "a", "phone": "13800138000", "country_code": "+86"}),
        ("/shoppers", {"name": "a", "phone": 13800138000}),
        ("/shoppers", {"name": "a", "phone": "13800138000", "high_risk": 1}),
        ("/clock", {"advance_seconds": -1}),
        ("/clock", {"advance_seconds": "1"}),
        ("/clock", {"advance_seconds": 1e12}),
        ("/clock", {}),
        ("/settings", {"colour": "red"}),
        ("/faults", {"path": "/x", "kind": "none"}),
    ],
    ids=str,
)
def test_a_mistake_is_named_and_changes_nothing(
    sandbox: SandboxProcess, http: requests.Session, path: str, fields: dict[str, Any]
) -> None:
    before = sandbox.shoppers()
    response = http.post(f"{sandbox.base_url}/_sandbox{path}", json=fields, timeout=10)

    assert response.status_code == 422
    assert response.json()["message"]
    assert sandbox.shoppers() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"mchid": "19"},
        {"serial_no": "xyz"},
        {"public_key_pem": "nonsense"},
        {"apiv3_key": "short"},
        {"scenes": ["4711"]},
        {"scenes": [{"id": "1000", "max_fen": 0}]},
        {"shortage": "sometimes"},
        {"balance_fen": -1},
    ],
    ids=str,
)
def test_a_merchant_that_cannot_be_is_refused(
    sandbox: SandboxProcess, http: requests.Session, key_pem: str, changes: dict[str, Any]
) -> None:
    fields = {
        "mchid": "1700000001",
        "serial_no": "AB" * 20,
        "public_key_pem": public_key_of(key_pem),
        "apiv3_key": "k" * 32,
        "appids": [],
        **changes,
    }
    response = http.post(f"{sandbox.base_url}/_sandbox/merchants", json=fields, timeout=10)

    assert response.status_code == 422
    assert "1700000001" not in [m["mchid"] for m in sandbox.book()["merchants"]]


def test_what_does_not_exist_is_named(sandbox: SandboxProcess, appid: str) -> None:
    shopper = sandbox.shopper()["id"]
    attempts: dict[str, Callable[[], object]] = {
        "unknown_shopper": lambda: sandbox.js_code("s0", appid),
        "unknown_app": lambda: sandbox.js_code(shopper, "wxnobody"),
        "unknown_merchant": lambda: sandbox.top_up("1700000099", 1),
        "http_error": lambda: sandbox._admin("GET", "/nothing"),
    }
    for code, attempt in attempts.items():
        with pytest.raises(SandboxRefusedError) as caught:
            attempt()
        assert (caught.value.status, caught.value.code) == (404, code)


@pytest.mark.parametrize("fen", [0, -1, 10**15])
def test_a_top_up_is_a_sum_of_money(till: Till, fen: int) -> None:
    with pytest.raises(SandboxRefusedError, match="bad_amount"):
        till.sandbox.top_up(till.account.mchid, fen)
    assert till.money() == (1_000_000, 0)


def test_a_changed_merchant_keeps_its_money_and_its_platform_key(
    sandbox: SandboxProcess, till: Till, key_pem: str
) -> None:
    again = sandbox.create_merchant(
        till.account.mchid, appids=[till.appid], private_key_pem=key_pem, balance_fen=5, scenes=["1009"]
    )

    assert again.platform_public_key_id == till.account.platform_public_key_id
    assert again.platform_public_key_pem == till.account.platform_public_key_pem
    assert till.money() == (1_000_000, 0)
    assert till.client.state("x") == "SIGN_ERROR"


def test_exchanges_show_both_directions_and_no_secret(sandbox: SandboxProcess, appid: str) -> None:
    last = max((entry["id"] for entry in sandbox.exchanges()), default=0)
    token = plain(sandbox, appid)["access_token"]
    session = login(sandbox, appid, sandbox.js_code(sandbox.shopper()["id"], appid))
    requests.post(
        f"{sandbox.base_url}/cgi-bin/stable_token",
        json={"grant_type": "client_credential", "appid": appid, "secret": SECRET},
        timeout=10,
    )
    sandbox.fault("/cgi-bin/token", "-1", times=1)
    plain(sandbox, appid)

    entries = sandbox.exchanges(after=last)
    assert [(e["direction"], e["method"], e["url"].split("?")[0], e["note"]) for e in entries] == [
        ("in", "GET", "/cgi-bin/token", ""),
        ("in", "GET", "/sns/jscode2session", ""),
        ("in", "POST", "/cgi-bin/stable_token", ""),
        ("in", "GET", "/cgi-bin/token", "fault: -1"),
    ]
    shown = json.dumps(entries)
    assert session["openid"] in shown
    for secret in (SECRET, token, session["session_key"]):
        assert secret not in shown


def test_registers_show_no_secret(sandbox: SandboxProcess, till: Till) -> None:
    shown = json.dumps(
        [sandbox._admin("GET", path) for path in ("/apps", "/merchants", "/book", "/shoppers")]
    )

    assert till.account.mchid in shown
    assert SECRET not in shown
    assert till.account.apiv3_key not in shown
    assert "PRIVATE KEY" not in shown


def test_the_log_has_no_query(capfd: pytest.CaptureFixture[str]) -> None:
    with SandboxProcess(log_level="DEBUG") as sandbox:
        sandbox.create_app("wxlogging", SECRET)
        token = plain(sandbox, "wxlogging")["access_token"]
        use(sandbox, token)
        login(sandbox, "wxlogging", "0made-up")

    log = capfd.readouterr().err
    assert "GET /cgi-bin/token 200" in log
    assert SECRET not in log
    assert token not in log


def test_a_stop_lets_an_answer_go_out_and_ends_cleanly() -> None:
    with SandboxProcess() as sandbox:
        sandbox.create_app("wxstopping", SECRET)
        sandbox.fault("/cgi-bin/token", "latency", latency_ms=300)
        outcome: list[Any] = []
        thread = threading.Thread(target=lambda: outcome.append(plain(sandbox, "wxstopping")))
        thread.start()
        time.sleep(0.1)
        started = time.monotonic()
        assert sandbox.stop() == 0
        thread.join()

    assert "access_token" in outcome[0]
    assert time.monotonic() - started < 3
