import json
import logging
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from app.gateways.miniprogram.gateway import (
    LOGIN_ERRORS,
    PHONE_ERRORS,
    TOKEN_ERRORS,
    NullMiniProgram,
    WeChatMiniProgram,
)
from app.gateways.models import TokenKind
from app.gateways.tokens import TokenFetch
from app.gateways.wechat import PlatformFault, WeChatApi
from app.identity.interfaces import (
    AppCredentials,
    HighRiskUser,
    InvalidLoginCode,
    InvalidPhoneCode,
    MiniProgramGateway,
    PhoneQuotaExhausted,
    PlatformBusy,
    PlatformRefused,
    TooFrequent,
)
from app.kernel.errors import DomainError
from tests.support.loopback import LoopbackServer, send

APP = AppCredentials("wx0000000000000001", "geheim-secret")
LOGIN = {"openid": "o-openid", "session_key": "a2V5", "unionid": "u-union"}
PHONE = {
    "errcode": 0,
    "errmsg": "ok",
    "phone_info": {
        "phoneNumber": "13800138000",
        "purePhoneNumber": "13800138000",
        "countryCode": "86",
        "watermark": {"timestamp": 1, "appid": APP.appid},
    },
}


class Tokens:
    """Hands out t1, t2 … ; a rejection moves on to the next."""

    def __init__(self) -> None:
        self.number = 1
        self.rejected: list[str] = []

    def token(self, account: str, kind: TokenKind, fetch: TokenFetch) -> str:
        return f"t{self.number}"

    def reject(self, account: str, kind: TokenKind, token: str) -> None:
        self.rejected.append(token)
        self.number += 1


def _gateway(server: LoopbackServer, tokens: object | None = None) -> WeChatMiniProgram:
    return WeChatMiniProgram(WeChatApi(server.url), tokens or Tokens())  # type: ignore[arg-type]


def _reply(server: LoopbackServer, answer: object) -> None:
    server.reply(200, json.dumps(answer).encode())


# Login


def test_a_login_code_is_exchanged(server: LoopbackServer) -> None:
    _reply(server, LOGIN)
    session = _gateway(server).code_to_session(APP, "code&1")
    assert (session.openid, session.unionid, session.session_key) == ("o-openid", "u-union", "a2V5")
    assert session.virtual is False
    parts = urlsplit(server.seen[0].target)
    assert parts.path == "/sns/jscode2session"
    assert parse_qs(parts.query) == {
        "appid": [APP.appid],
        "secret": ["geheim-secret"],
        "js_code": ["code&1"],
        "grant_type": ["authorization_code"],
    }


@pytest.mark.parametrize("unionid", [{}, {"unionid": ""}, {"unionid": None}])
def test_an_unknown_unionid_is_none(server: LoopbackServer, unionid: dict[str, object]) -> None:
    _reply(server, {"openid": "o", "session_key": "k", **unionid})
    assert _gateway(server).code_to_session(APP, "c").unionid is None


def test_a_virtual_identity_is_known_as_one(server: LoopbackServer) -> None:
    _reply(server, {**LOGIN, "is_snapshotuser": 1})
    assert _gateway(server).code_to_session(APP, "c").virtual is True


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [
        (-1, PlatformBusy),
        (40029, InvalidLoginCode),
        (40163, InvalidLoginCode),
        (41008, InvalidLoginCode),
        (40226, HighRiskUser),
        (45009, TooFrequent),
        (45011, TooFrequent),
        (40013, PlatformRefused),
        (40125, PlatformRefused),
        (99999, PlatformRefused),
    ],
)
def test_a_refused_login_has_a_name(server: LoopbackServer, errcode: int, kind: type[DomainError]) -> None:
    _reply(server, {"errcode": errcode, "errmsg": "geheim o-openid rid: 1-2-3"})
    with pytest.raises(kind) as caught:
        _gateway(server).code_to_session(APP, "c")
    assert type(caught.value) is kind
    assert caught.value.extra == {"errcode": errcode}
    assert "geheim" not in caught.value.detail
    assert caught.value.__context__ is None
    # A code is good for one use: nothing is tried twice.
    assert len(server.seen) == 1


@pytest.mark.parametrize("answer", [{}, {"openid": "", "session_key": "k"}, {"openid": "o"}, {"openid": 1}])
def test_a_login_answer_without_its_fields_does_not_count(server: LoopbackServer, answer: object) -> None:
    _reply(server, answer)
    with pytest.raises(PlatformBusy):
        _gateway(server).code_to_session(APP, "c")


def test_a_platform_that_is_away_is_busy(server: LoopbackServer) -> None:
    server.reply(502, b"<html>Bad Gateway</html>")
    with pytest.raises(PlatformBusy):
        _gateway(server).code_to_session(APP, "c")
    server.answer = lambda _handler, _seen: time.sleep(0.5)
    with pytest.raises(PlatformBusy):
        WeChatMiniProgram(WeChatApi(server.url, deadline_seconds=0.1), Tokens()).code_to_session(  # type: ignore[arg-type]
            APP, "c"
        )


# Phone


def test_a_phone_code_is_exchanged(server: LoopbackServer) -> None:
    _reply(server, PHONE)
    phone = _gateway(server).phone_number(APP, "pc")
    assert (phone.pure, phone.country_code) == ("13800138000", "86")
    assert server.seen[0].target == "/wxa/business/getuserphonenumber?access_token=t1"
    assert json.loads(server.seen[0].body) == {"code": "pc"}


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [
        (-1, PlatformBusy),
        (40013, InvalidPhoneCode),
        (40029, InvalidPhoneCode),
        (40163, InvalidPhoneCode),
        (41008, InvalidPhoneCode),
        (45009, PhoneQuotaExhausted),
        (1400001, PhoneQuotaExhausted),
        (45011, TooFrequent),
        (48001, PlatformRefused),
    ],
)
def test_a_refused_phone_code_has_a_name(
    server: LoopbackServer, errcode: int, kind: type[DomainError]
) -> None:
    _reply(server, {"errcode": errcode, "errmsg": "no"})
    with pytest.raises(kind) as caught:
        _gateway(server).phone_number(APP, "pc")
    assert type(caught.value) is kind
    assert len(server.seen) == 1


def test_every_code_in_the_tables_is_tested_above() -> None:
    def tested(test: Callable[..., None]) -> set[int]:
        return {row[0] for row in test.pytestmark[0].args[1]}  # type: ignore[attr-defined]

    assert set(LOGIN_ERRORS) <= tested(test_a_refused_login_has_a_name)
    assert set(PHONE_ERRORS) <= tested(test_a_refused_phone_code_has_a_name)
    assert set(TOKEN_ERRORS) == {-1, 45009, 45011}


@pytest.mark.parametrize("errcode", [40001, 40014, 42001])
def test_a_refused_token_is_replaced_once_and_the_call_repeated_once(
    server: LoopbackServer, errcode: int
) -> None:
    tokens = Tokens()
    server.answer = lambda handler, seen: send(
        handler, 200, json.dumps({"errcode": errcode} if "t1" in seen.target else PHONE).encode(), {}
    )
    assert _gateway(server, tokens).phone_number(APP, "pc").pure == "13800138000"
    assert tokens.rejected == ["t1"]
    assert [seen.target.rpartition("=")[2] for seen in server.seen] == ["t1", "t2"]


def test_a_platform_that_refuses_every_token_is_not_asked_for_ever(server: LoopbackServer) -> None:
    tokens = Tokens()
    _reply(server, {"errcode": 40001})
    with pytest.raises(PlatformRefused):
        _gateway(server, tokens).phone_number(APP, "pc")
    assert len(server.seen) == 2
    assert tokens.rejected == ["t1"]


def test_without_a_token_there_is_no_call(server: LoopbackServer) -> None:
    class Broken(Tokens):
        def token(self, account: str, kind: TokenKind, fetch: TokenFetch) -> str:
            raise PlatformFault("refused", 40164)

    with pytest.raises(PlatformRefused) as caught:
        _gateway(server, Broken()).phone_number(APP, "pc")
    assert caught.value.extra == {"errcode": 40164}
    assert server.seen == []


def test_a_number_watermarked_for_another_app_is_refused(server: LoopbackServer) -> None:
    info = {**PHONE["phone_info"], "watermark": {"timestamp": 1, "appid": "wx-another"}}  # type: ignore[dict-item]
    _reply(server, {**PHONE, "phone_info": info})
    with pytest.raises(InvalidPhoneCode):
        _gateway(server).phone_number(APP, "pc")


@pytest.mark.parametrize(
    "info",
    [
        None,
        "13800138000",
        {},
        {"purePhoneNumber": "13800138000", "countryCode": "86"},
        {"purePhoneNumber": "", "countryCode": "86", "watermark": {"appid": APP.appid}},
        {"purePhoneNumber": "<b>", "countryCode": "86", "watermark": {"appid": APP.appid}},
        {"purePhoneNumber": "13800138000", "countryCode": None, "watermark": {"appid": APP.appid}},
    ],
)
def test_a_phone_answer_without_its_fields_does_not_count(server: LoopbackServer, info: object) -> None:
    _reply(server, {"errcode": 0, "phone_info": info})
    with pytest.raises(PlatformBusy):
        _gateway(server).phone_number(APP, "pc")


# Secrets, logs, absence


def test_an_operator_reads_what_to_do_and_no_secret(
    server: LoopbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    _reply(server, {"errcode": 40125, "errmsg": "invalid appsecret geheim"})
    with caplog.at_level(logging.DEBUG), pytest.raises(PlatformRefused):
        _gateway(server).code_to_session(APP, "c")
    assert "errcode 40125: the app secret is wrong" in caplog.text
    assert "geheim" not in caplog.text


def test_nothing_personal_shows_itself(server: LoopbackServer) -> None:
    _reply(server, LOGIN)
    gateway = _gateway(server)
    shown = repr((APP, gateway.code_to_session(APP, "c")))
    _reply(server, PHONE)
    shown += repr(gateway.phone_number(APP, "pc"))
    for secret in ("geheim", "o-openid", "u-union", "a2V5", "13800138000"):
        assert secret not in shown


def test_the_null_gateway_says_that_it_is_one() -> None:
    gateway: MiniProgramGateway = NullMiniProgram()
    for call in (gateway.code_to_session, gateway.phone_number):
        with pytest.raises(PlatformRefused, match="SAOMA_WECHAT_API_URL"):
            call(APP, "c")
