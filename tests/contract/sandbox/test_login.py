"""jscode2session: contracts 1.1, 12.8 and rows 1 and 2 of section 8."""

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.contract.sandbox.conftest import SECRET
from tests.support.sandbox import SandboxProcess, SandboxRefusedError


def login(sandbox: SandboxProcess, appid: str, js_code: str, /, **changes: Any) -> dict[str, Any]:
    parameters = {
        "appid": appid,
        "secret": SECRET,
        "js_code": js_code,
        "grant_type": "authorization_code",
        **changes,
    }
    response = requests.get(f"{sandbox.base_url}/sns/jscode2session", params=parameters, timeout=10)
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


def test_a_login_carries_no_errcode_and_a_key_of_16_bytes(sandbox: SandboxProcess, appid: str) -> None:
    shopper = sandbox.shopper()
    first = login(sandbox, appid, sandbox.js_code(shopper["id"], appid))
    second = login(sandbox, appid, sandbox.js_code(shopper["id"], appid))

    assert set(first) == {"openid", "session_key"}
    assert len(base64.b64decode(first["session_key"], validate=True)) == 16
    assert first["openid"] == second["openid"] == shopper["openids"][appid]
    assert first["session_key"] != second["session_key"]


def test_the_unionid_is_shared_by_the_apps_of_one_open_platform(sandbox: SandboxProcess, appid: str) -> None:
    shopper = sandbox.shopper()
    for other in ("one", "two"):
        sandbox.create_app(f"{appid}{other}", SECRET, open_platform="group")

    answers = [
        login(sandbox, name, sandbox.js_code(shopper["id"], name))
        for name in (appid, f"{appid}one", f"{appid}two")
    ]

    assert "unionid" not in answers[0]
    assert answers[1]["unionid"] == answers[2]["unionid"]
    assert len({answer["openid"] for answer in answers}) == 3


def test_a_code_works_once(sandbox: SandboxProcess, appid: str) -> None:
    js_code = sandbox.js_code(sandbox.shopper()["id"], appid)
    login(sandbox, appid, js_code)

    assert login(sandbox, appid, js_code)["errcode"] == 40163


def test_of_many_at_the_same_time_one_gets_in(sandbox: SandboxProcess, appid: str) -> None:
    js_code = sandbox.js_code(sandbox.shopper()["id"], appid)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: login(sandbox, appid, js_code), range(32)))

    assert sorted(answer.get("errcode", 0) for answer in answers) == [0] + [40163] * 31


def test_a_code_lives_five_minutes(sandbox: SandboxProcess, appid: str) -> None:
    js_code = sandbox.js_code(sandbox.shopper()["id"], appid)
    sandbox.advance(301)

    assert login(sandbox, appid, js_code)["errcode"] == 40029


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"appid": ""}, 41002),
        ({"appid": None}, 41002),
        ({"secret": None}, 41004),
        ({"js_code": None}, 41008),
        ({"js_code": "0made-up"}, 40029),
        ({"grant_type": None}, 40002),
        ({"grant_type": "client_credential"}, 40002),
        ({"appid": "wxnobody"}, 40013),
        ({"secret": "wrong"}, 40125),
        ({"secret": "错"}, 40125),
    ],
)
def test_what_is_missing_or_wrong_has_its_number(
    sandbox: SandboxProcess, appid: str, changes: dict[str, Any], errcode: int
) -> None:
    js_code = sandbox.js_code(sandbox.shopper()["id"], appid)

    answer = login(sandbox, appid, js_code, **changes)

    assert answer["errcode"] == errcode
    assert " rid: " in answer["errmsg"]
    assert login(sandbox, appid, js_code)["openid"]


def test_a_code_of_another_app_is_no_code(sandbox: SandboxProcess, appid: str) -> None:
    sandbox.create_app(f"{appid}other", SECRET)
    js_code = sandbox.js_code(sandbox.shopper()["id"], f"{appid}other")

    assert login(sandbox, appid, js_code)["errcode"] == 40029


def test_a_person_of_high_risk_is_blocked(sandbox: SandboxProcess, appid: str) -> None:
    js_code = sandbox.js_code(sandbox.shopper(high_risk=True)["id"], appid)

    assert login(sandbox, appid, js_code)["errcode"] == 40226


def test_a_person_may_log_in_a_hundred_times_a_minute(sandbox: SandboxProcess, appid: str) -> None:
    sandbox.settings(limits=True)
    shopper = sandbox.shopper()
    answers = [login(sandbox, appid, sandbox.js_code(shopper["id"], appid)) for _ in range(101)]

    assert [answer.get("errcode", 0) for answer in answers] == [0] * 100 + [45011]


def test_a_virtual_identity_shows_only_where_it_was_asked_for(sandbox: SandboxProcess, appid: str) -> None:
    shopper = sandbox.shopper()
    virtual = login(sandbox, appid, sandbox.js_code(shopper["id"], appid, virtual=True))
    real = login(sandbox, appid, sandbox.js_code(shopper["id"], appid))

    assert virtual["is_snapshotuser"] == 1
    assert "is_snapshotuser" not in real
    assert virtual["openid"] != real["openid"]


def oauth(sandbox: SandboxProcess, appid: str, code: str, /, **changes: Any) -> dict[str, Any]:
    parameters = {
        "appid": appid,
        "secret": SECRET,
        "code": code,
        "grant_type": "authorization_code",
        **changes,
    }
    response = requests.get(f"{sandbox.base_url}/sns/oauth2/access_token", params=parameters, timeout=10)
    document: dict[str, Any] = response.json()
    return document


def test_web_authorisation_tells_the_unionid_only_for_userinfo(sandbox: SandboxProcess, appid: str) -> None:
    service = f"{appid}gzh"
    sandbox.create_app(service, SECRET, kind="service", open_platform="group")
    shopper = sandbox.shopper()

    base = oauth(sandbox, service, sandbox.oauth_code(shopper["id"], service))
    code = sandbox.oauth_code(shopper["id"], service, scope="snsapi_userinfo")
    userinfo = oauth(sandbox, service, code)

    assert set(base) == {"access_token", "expires_in", "refresh_token", "openid", "scope"}
    assert (
        base["openid"] == userinfo["openid"] == shopper["openids"][service] if "openids" in shopper else True
    )
    assert userinfo["scope"] == "snsapi_userinfo"
    assert userinfo["unionid"]
    assert oauth(sandbox, service, code)["errcode"] == 40163
    assert oauth(sandbox, service, "made-up")["errcode"] == 40029
    assert oauth(sandbox, service, "")["errcode"] == 41008
    assert oauth(sandbox, service, "x", grant_type="refresh_token")["errcode"] == 40002


def test_a_snapshot_visit_is_marked(sandbox: SandboxProcess, appid: str) -> None:
    service, shopper = f"{appid}gzh", sandbox.shopper()
    sandbox.create_app(service, SECRET, kind="service")

    snapshot = oauth(sandbox, service, sandbox.oauth_code(shopper["id"], service, virtual=True))
    real = oauth(sandbox, service, sandbox.oauth_code(shopper["id"], service))

    assert snapshot["is_snapshotuser"] == 1
    assert "is_snapshotuser" not in real
    assert snapshot["openid"] != real["openid"]


def test_web_authorisation_is_for_service_accounts_and_login_for_mini_programs(
    sandbox: SandboxProcess, appid: str
) -> None:
    shopper = sandbox.shopper()
    sandbox.create_app(f"{appid}gzh", SECRET, kind="service")

    with pytest.raises(SandboxRefusedError, match="wrong_kind_of_app"):
        sandbox.oauth_code(shopper["id"], appid)
    with pytest.raises(SandboxRefusedError, match="wrong_kind_of_app"):
        sandbox.js_code(shopper["id"], f"{appid}gzh")
