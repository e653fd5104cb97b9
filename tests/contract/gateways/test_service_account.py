"""Web authorisation of a service account, against the sandbox."""

import pytest

from app.gateways.service_account import WeChatServiceAccount
from app.gateways.wechat import WeChatApi
from app.identity.interfaces import (
    AppCredentials,
    InvalidLoginCode,
    PlatformBusy,
    PlatformRefused,
    ServiceAccountGateway,
    TooFrequent,
)
from app.kernel.errors import DomainError
from tests.support.sandbox import SandboxProcess

EXCHANGE = "/sns/oauth2/access_token"


@pytest.fixture
def account(sandbox: SandboxProcess, app: AppCredentials) -> AppCredentials:
    credentials = AppCredentials(f"{app.appid}s", app.secret)
    sandbox.create_app(credentials.appid, credentials.secret, kind="service", open_platform="brand")
    return credentials


@pytest.fixture
def gateway(api: WeChatApi) -> ServiceAccountGateway:
    return WeChatServiceAccount(api)


def test_a_visitor_is_known_by_an_openid_alone(
    sandbox: SandboxProcess, account: AppCredentials, gateway: ServiceAccountGateway
) -> None:
    shopper = sandbox.shopper()
    visitor = gateway.code_to_visitor(account, sandbox.oauth_code(shopper["id"], account.appid))
    assert visitor.openid == shopper["openids"][account.appid]
    assert (visitor.unionid, visitor.virtual) == (None, False)
    assert visitor.openid not in repr(visitor)


def test_consent_tells_the_unionid_and_a_snapshot_is_virtual(
    sandbox: SandboxProcess, account: AppCredentials, gateway: ServiceAccountGateway
) -> None:
    shopper = sandbox.shopper()["id"]
    asked = sandbox.oauth_code(shopper, account.appid, scope="snsapi_userinfo")
    assert gateway.code_to_visitor(account, asked).unionid
    assert gateway.code_to_visitor(account, sandbox.oauth_code(shopper, account.appid, virtual=True)).virtual


def test_a_code_is_good_once_for_five_minutes_and_for_its_account(
    sandbox: SandboxProcess, account: AppCredentials, gateway: ServiceAccountGateway, app: AppCredentials
) -> None:
    shopper = sandbox.shopper()["id"]
    code = sandbox.oauth_code(shopper, account.appid)
    gateway.code_to_visitor(account, code)
    old = sandbox.oauth_code(shopper, account.appid)
    sandbox.advance(301)
    for wrong in (code, old, "made-up", "", sandbox.js_code(shopper, app.appid)):
        with pytest.raises(InvalidLoginCode):
            gateway.code_to_visitor(account, wrong)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("-1", PlatformBusy), ("45009", TooFrequent), ("html_502", PlatformBusy)],
)
def test_faults_are_told_apart(
    sandbox: SandboxProcess,
    account: AppCredentials,
    gateway: ServiceAccountGateway,
    kind: str,
    error: type[DomainError],
) -> None:
    sandbox.fault(EXCHANGE, kind, times=1)
    code = sandbox.oauth_code(sandbox.shopper()["id"], account.appid)
    with pytest.raises(error):
        gateway.code_to_visitor(account, code)


def test_what_settings_cause_is_for_an_operator(
    sandbox: SandboxProcess, account: AppCredentials, gateway: ServiceAccountGateway
) -> None:
    code = sandbox.oauth_code(sandbox.shopper()["id"], account.appid)
    with pytest.raises(PlatformRefused):
        gateway.code_to_visitor(AppCredentials(account.appid, "wrong-secret"), code)
