"""access_tokens over HTTP: contracts 0.3, 1.2, 1.3 and row 1 of section 8."""

from typing import Any

import pytest
import requests

from tests.contract.sandbox.conftest import SECRET
from tests.support.sandbox import SandboxProcess


def plain(sandbox: SandboxProcess, appid: str, /, **changes: Any) -> dict[str, Any]:
    parameters = {"grant_type": "client_credential", "appid": appid, "secret": SECRET, **changes}
    response = requests.get(f"{sandbox.base_url}/cgi-bin/token", params=parameters, timeout=10)
    document: dict[str, Any] = response.json()
    return document


def stable(sandbox: SandboxProcess, appid: str, /, **changes: Any) -> dict[str, Any]:
    body = {"grant_type": "client_credential", "appid": appid, "secret": SECRET, **changes}
    body = {name: value for name, value in body.items() if value is not None}
    response = requests.post(f"{sandbox.base_url}/cgi-bin/stable_token", json=body, timeout=10)
    document: dict[str, Any] = response.json()
    return document


def use(sandbox: SandboxProcess, token: str | None) -> int:
    """The errcode that a call under the token meets; 40029 stands for a token that was accepted."""
    response = requests.post(
        f"{sandbox.base_url}/wxa/business/getuserphonenumber",
        params={"access_token": token},
        json={"code": "made-up"},
        timeout=10,
    )
    return int(response.json()["errcode"])


ACCEPTED = 40029


def test_the_answer_has_a_token_and_no_errcode(sandbox: SandboxProcess, appid: str) -> None:
    for answer in (plain(sandbox, appid), stable(sandbox, appid)):
        assert set(answer) == {"access_token", "expires_in"}
        assert answer["expires_in"] == 7200
        assert len(answer["access_token"]) == 512
        assert use(sandbox, answer["access_token"]) == ACCEPTED


def test_no_token_a_foreign_one_and_an_old_one(sandbox: SandboxProcess, appid: str) -> None:
    token = plain(sandbox, appid)["access_token"]

    assert use(sandbox, None) == 41001
    assert use(sandbox, "") == 41001
    assert use(sandbox, "made-up") == 40001
    sandbox.advance(7200)
    assert use(sandbox, token) == 42001


def test_two_refreshers_knock_each_other_out_after_five_minutes(sandbox: SandboxProcess, appid: str) -> None:
    first = plain(sandbox, appid)["access_token"]
    second = plain(sandbox, appid)["access_token"]
    assert first != second
    assert use(sandbox, first) == ACCEPTED
    sandbox.advance(301)

    assert use(sandbox, first) == 40001
    assert use(sandbox, second) == ACCEPTED


def test_the_stable_token_is_apart_from_the_plain_one_and_stays(sandbox: SandboxProcess, appid: str) -> None:
    token = stable(sandbox, appid)["access_token"]
    plain(sandbox, appid)
    plain(sandbox, appid)
    sandbox.advance(400)

    assert stable(sandbox, appid)["access_token"] == token
    assert use(sandbox, token) == ACCEPTED
    forced = stable(sandbox, appid, force_refresh=True)["access_token"]
    assert use(sandbox, token) == 40001
    assert use(sandbox, forced) == ACCEPTED


def test_in_the_last_five_minutes_both_stable_tokens_are_good(sandbox: SandboxProcess, appid: str) -> None:
    old = stable(sandbox, appid)["access_token"]
    sandbox.advance(6950)
    new = stable(sandbox, appid)["access_token"]

    assert old != new
    assert [use(sandbox, old), use(sandbox, new)] == [ACCEPTED, ACCEPTED]


def test_forcing_has_a_limit(sandbox: SandboxProcess, appid: str) -> None:
    sandbox.settings(limits=True)
    stable(sandbox, appid, force_refresh=True)

    assert stable(sandbox, appid, force_refresh=True)["errcode"] == 45011
    assert "access_token" in stable(sandbox, appid)


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"grant_type": None}, 40002),
        ({"grant_type": "authorization_code"}, 40002),
        ({"appid": None}, 41002),
        ({"secret": None}, 41004),
        ({"appid": "wxnobody"}, 40013),
        ({"secret": "wrong"}, 40001),
    ],
)
def test_what_is_missing_or_wrong_has_its_number(
    sandbox: SandboxProcess, appid: str, changes: dict[str, Any], errcode: int
) -> None:
    assert plain(sandbox, appid, **changes)["errcode"] == errcode
    assert stable(sandbox, appid, **changes)["errcode"] == errcode


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (b"", 44002),
        (b"{", 47001),
        (b"[]", 47001),
        (b"\xff", 47001),
        (b'{"grant_type":"client_credential","appid":7}', 40097),
    ],
)
def test_a_body_that_is_not_json_has_its_number(sandbox: SandboxProcess, body: bytes, errcode: int) -> None:
    response = requests.post(f"{sandbox.base_url}/cgi-bin/stable_token", data=body, timeout=10)

    assert response.status_code == 200
    assert response.json()["errcode"] == errcode


def test_force_refresh_is_true_or_false(sandbox: SandboxProcess, appid: str) -> None:
    assert stable(sandbox, appid, force_refresh="yes")["errcode"] == 40097


def test_an_unknown_path_of_the_platform_answers_in_its_dialect(sandbox: SandboxProcess) -> None:
    response = requests.get(f"{sandbox.base_url}/cgi-bin/nothing", timeout=10)

    assert (response.status_code, response.json()["errcode"]) == (200, 40066)
