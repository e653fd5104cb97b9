import logging
import time
from collections.abc import Callable

import pytest
import requests

from app.db.engine import Database
from app.gateways.miniprogram.gateway import NullMiniProgram, WeChatMiniProgram
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import WeChatApi
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
from tests.support.sandbox import SandboxProcess

LOGIN = "/sns/jscode2session"
PHONE = "/wxa/business/getuserphonenumber"
TOKEN = "/cgi-bin/stable_token"


def _calls(sandbox: SandboxProcess, path: str, after: int) -> int:
    return sum(1 for exchange in sandbox.exchanges(after) if exchange["url"].startswith(path))


def _mark(sandbox: SandboxProcess) -> int:
    exchanges = sandbox.exchanges()
    return int(exchanges[-1]["id"]) if exchanges else 0


# Login


def test_a_shopper_logs_in(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    shopper = sandbox.shopper()["id"]
    first = miniprogram.code_to_session(app, sandbox.js_code(shopper, app.appid))
    again = miniprogram.code_to_session(app, sandbox.js_code(shopper, app.appid))
    assert first.openid == again.openid
    assert first.unionid is not None
    assert first.session_key
    assert first.virtual is False


def test_an_app_outside_the_open_platform_learns_no_unionid(
    sandbox: SandboxProcess, miniprogram: WeChatMiniProgram
) -> None:
    lonely = AppCredentials("wxlonely0001", "app-secret")
    sandbox.create_app(lonely.appid, lonely.secret)
    code = sandbox.js_code(sandbox.shopper()["id"], lonely.appid)
    assert miniprogram.code_to_session(lonely, code).unionid is None


def test_a_virtual_visitor_is_known_as_one(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    code = sandbox.js_code(sandbox.shopper()["id"], app.appid, virtual=True)
    assert miniprogram.code_to_session(app, code).virtual is True


def test_a_code_is_good_once_and_for_five_minutes(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    shopper = sandbox.shopper()["id"]
    code = sandbox.js_code(shopper, app.appid)
    miniprogram.code_to_session(app, code)
    old = sandbox.js_code(shopper, app.appid)
    sandbox.advance(301)
    for bad, errcode in ((code, 40163), (old, 40029), ("nonsense", 40029)):
        with pytest.raises(InvalidLoginCode) as caught:
            miniprogram.code_to_session(app, bad)
        assert caught.value.extra == {"errcode": errcode}


def test_high_risk_and_wrong_settings_have_names(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    risky = sandbox.shopper(high_risk=True)["id"]
    with pytest.raises(HighRiskUser):
        miniprogram.code_to_session(app, sandbox.js_code(risky, app.appid))
    code = sandbox.js_code(sandbox.shopper()["id"], app.appid)
    for wrong, errcode in (
        (AppCredentials(app.appid, "wrong"), 40125),
        (AppCredentials("wxunknown0001", "x"), 40013),
    ):
        with pytest.raises(PlatformRefused) as caught:
            miniprogram.code_to_session(wrong, code)
        assert caught.value.extra == {"errcode": errcode}


@pytest.mark.parametrize(
    ("kind", "error"),
    [("-1", PlatformBusy), ("45009", TooFrequent), ("html_502", PlatformBusy)],
)
def test_a_login_that_meets_a_fault_is_not_repeated_by_itself(
    sandbox: SandboxProcess,
    app: AppCredentials,
    miniprogram: WeChatMiniProgram,
    kind: str,
    error: type[DomainError],
) -> None:
    code = sandbox.js_code(sandbox.shopper()["id"], app.appid)
    sandbox.fault(LOGIN, kind, times=1)
    mark = _mark(sandbox)
    with pytest.raises(error):
        miniprogram.code_to_session(app, code)
    assert _calls(sandbox, LOGIN, mark) == 1
    # The fault came before the work, so the client's next attempt works.
    assert miniprogram.code_to_session(app, code).openid


def test_a_login_whose_answer_is_lost_has_used_its_code(
    sandbox: SandboxProcess, app: AppCredentials, sqlite_db: Database
) -> None:
    gateway = WeChatMiniProgram(WeChatApi(sandbox.base_url, deadline_seconds=0.5), TokenProvider(sqlite_db))
    code = sandbox.js_code(sandbox.shopper()["id"], app.appid)
    sandbox.fault(LOGIN, "timeout_after_commit", times=1, hold_seconds=2)
    began = time.monotonic()
    with pytest.raises(PlatformBusy):
        gateway.code_to_session(app, code)
    assert time.monotonic() - began < 1.5
    with pytest.raises(InvalidLoginCode):
        gateway.code_to_session(app, code)


# Phone


def test_a_phone_number_is_looked_up(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    for phone, country in (("13800138000", "86"), ("61234567", "852")):
        shopper = sandbox.shopper("李雷", phone, country_code=country)["id"]
        number = miniprogram.phone_number(app, sandbox.phone_code(shopper, app.appid))
        assert (number.pure, number.country_code) == (phone, country)


def test_a_phone_code_is_good_once_and_in_its_app(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    other = AppCredentials("wxanother0001", "app-secret")
    sandbox.create_app(other.appid, other.secret)
    shopper = sandbox.shopper()["id"]
    code = sandbox.phone_code(shopper, app.appid)
    miniprogram.phone_number(app, code)
    for bad in (code, sandbox.phone_code(shopper, other.appid), sandbox.js_code(shopper, app.appid)):
        with pytest.raises(InvalidPhoneCode):
            miniprogram.phone_number(app, bad)


def test_an_empty_quota_has_a_name(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    code = sandbox.phone_code(sandbox.shopper()["id"], app.appid, quota_empty=True)
    with pytest.raises(PhoneQuotaExhausted):
        miniprogram.phone_number(app, code)


def test_a_busy_phone_call_is_not_repeated(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    code = sandbox.phone_code(sandbox.shopper()["id"], app.appid)
    sandbox.fault(PHONE, "-1", times=1, after_commit=True)
    mark = _mark(sandbox)
    with pytest.raises(PlatformBusy):
        miniprogram.phone_number(app, code)
    assert _calls(sandbox, PHONE, mark) == 1


def _force_elsewhere(sandbox: SandboxProcess, app: AppCredentials) -> None:
    """Another program with the same secret forces a new token, which kills ours."""
    fields = {
        "grant_type": "client_credential",
        "appid": app.appid,
        "secret": app.secret,
        "force_refresh": True,
    }
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(sandbox.base_url + TOKEN, json=fields, timeout=10).json()
    assert answer["access_token"]


def _expire(sandbox: SandboxProcess, _app: AppCredentials) -> None:
    """The platform's clock runs ahead of ours."""
    sandbox.advance(7300)


@pytest.mark.parametrize("kill", [_force_elsewhere, _expire])
def test_a_token_that_died_early_is_replaced_and_the_call_repeated(
    sandbox: SandboxProcess,
    app: AppCredentials,
    miniprogram: WeChatMiniProgram,
    kill: Callable[[SandboxProcess, AppCredentials], None],
) -> None:
    shopper = sandbox.shopper("韩梅梅", "13900139000")["id"]
    miniprogram.phone_number(app, sandbox.phone_code(shopper, app.appid))
    kill(sandbox, app)
    mark = _mark(sandbox)
    assert miniprogram.phone_number(app, sandbox.phone_code(shopper, app.appid)).pure == "13900139000"
    assert _calls(sandbox, PHONE, mark) == 2
    assert _calls(sandbox, TOKEN, mark) == 1


def test_a_busy_token_server_is_asked_again(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    sandbox.fault(TOKEN, "-1", times=2)
    mark = _mark(sandbox)
    code = sandbox.phone_code(sandbox.shopper()["id"], app.appid)
    assert miniprogram.phone_number(app, code).pure == "13800138000"
    assert _calls(sandbox, TOKEN, mark) == 3


def test_a_wrong_secret_shows_on_the_token_too(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    code = sandbox.phone_code(sandbox.shopper()["id"], app.appid)
    with pytest.raises(PlatformRefused) as caught:
        miniprogram.phone_number(AppCredentials(app.appid, "wrong"), code)
    assert caught.value.extra == {"errcode": 40001}


def test_a_check_tells_a_wrong_secret_although_a_token_lives(
    sandbox: SandboxProcess, app: AppCredentials, miniprogram: WeChatMiniProgram
) -> None:
    shopper = sandbox.shopper()["id"]
    miniprogram.phone_number(app, sandbox.phone_code(shopper, app.appid))
    with pytest.raises(PlatformRefused) as caught:
        miniprogram.check(AppCredentials(app.appid, "of last year"))
    assert caught.value.extra == {"errcode": 40001}
    # Nobody is disturbed by it: the token that is in use is repeated, and works.
    miniprogram.check(app)
    mark = _mark(sandbox)
    miniprogram.phone_number(app, sandbox.phone_code(shopper, app.appid))
    assert (_calls(sandbox, PHONE, mark), _calls(sandbox, TOKEN, mark)) == (1, 0)


# Both implementations, and what the logs say


@pytest.mark.parametrize("real", [True, False])
def test_both_implementations_keep_to_the_interface(
    app: AppCredentials, miniprogram: WeChatMiniProgram, real: bool
) -> None:
    gateway: MiniProgramGateway = miniprogram if real else NullMiniProgram()
    for call in (gateway.code_to_session, gateway.phone_number):
        with pytest.raises(DomainError) as caught:
            call(app, "no such code")
        assert caught.value.status in (401, 409)
        assert caught.value.code in ("invalid_login_code", "invalid_phone_code", "platform_refused")


def test_logs_hold_no_secret_and_nobody(
    sandbox: SandboxProcess,
    app: AppCredentials,
    miniprogram: WeChatMiniProgram,
    sqlite_db: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shopper = sandbox.shopper("李雷", "13711137111")["id"]
    js_code, phone_code = sandbox.js_code(shopper, app.appid), sandbox.phone_code(shopper, app.appid)
    secrets = [app.secret, js_code, phone_code, "13711137111", "李雷"]
    with caplog.at_level(logging.DEBUG):
        session = miniprogram.code_to_session(app, js_code)
        miniprogram.phone_number(app, phone_code)
        for kind in ("-1", "html_502", "45009", "timeout_before"):
            sandbox.fault("/*", kind, times=1, hold_seconds=0)
            with pytest.raises(DomainError):
                miniprogram.code_to_session(app, js_code)
        with pytest.raises(PlatformRefused):
            miniprogram.code_to_session(AppCredentials("wxunknown0001", app.secret), js_code)
        nobody = WeChatMiniProgram(WeChatApi("http://127.0.0.1:9"), TokenProvider(sqlite_db))
        with pytest.raises(PlatformBusy):
            nobody.code_to_session(app, js_code)
    secrets += [session.openid, str(session.unionid), session.session_key, "access_token="]
    # The log is there, so its silence says something.
    assert "/sns/jscode2session?…" in caplog.text
    for secret in secrets:
        assert secret not in caplog.text
