import json

import pytest

from app.gateways.miniprogram import stable_token
from app.gateways.miniprogram.stable_token import fetch_stable_token
from app.gateways.wechat import PlatformFault, WeChatApi
from app.identity.interfaces import AppCredentials
from tests.support.loopback import LoopbackServer, send

APP = AppCredentials("wx0000000000000001", "geheim-secret")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stable_token, "_PAUSE_SECONDS", 0)


def _answers(server: LoopbackServer, *answers: object) -> None:
    left = list(answers)
    server.answer = lambda handler, _seen: send(handler, 200, json.dumps(left.pop(0)).encode(), {})


@pytest.mark.parametrize("force", [False, True])
def test_the_secret_travels_in_the_body(server: LoopbackServer, force: bool) -> None:
    _answers(server, {"access_token": "t", "expires_in": 7200})
    fetched = fetch_stable_token(WeChatApi(server.url), APP, force)
    assert (fetched.token, fetched.lifetime_seconds) == ("t", 7200)
    assert server.seen[0].target == "/cgi-bin/stable_token"
    assert json.loads(server.seen[0].body) == {
        "grant_type": "client_credential",
        "appid": APP.appid,
        "secret": "geheim-secret",
        "force_refresh": force,
    }


def test_busy_is_tried_three_times(server: LoopbackServer) -> None:
    _answers(server, {"errcode": -1}, {"errcode": -1}, {"access_token": "t", "expires_in": 7200})
    assert fetch_stable_token(WeChatApi(server.url), APP, force=False).token == "t"
    _answers(server, {"errcode": -1}, {"errcode": -1}, {"errcode": -1})
    with pytest.raises(PlatformFault) as caught:
        fetch_stable_token(WeChatApi(server.url), APP, force=False)
    assert caught.value.errcode == -1
    assert len(server.seen) == 6


def test_a_forced_refresh_is_tried_once(server: LoopbackServer) -> None:
    _answers(server, {"errcode": -1})
    with pytest.raises(PlatformFault):
        fetch_stable_token(WeChatApi(server.url), APP, force=True)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": "", "expires_in": 7200},
        {"access_token": "t"},
        {"access_token": "t", "expires_in": 0},
        {"access_token": "t", "expires_in": "7200"},
        {"access_token": 5, "expires_in": 7200},
    ],
)
def test_half_a_token_is_none(server: LoopbackServer, answer: object) -> None:
    _answers(server, answer)
    with pytest.raises(PlatformFault, match="unreadable"):
        fetch_stable_token(WeChatApi(server.url), APP, force=False)
