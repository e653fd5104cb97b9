"""One sandbox process for all contract tests of the gateways; each test has its own app and merchant."""

import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.db.engine import Database
from app.gateways.miniprogram.gateway import WeChatMiniProgram
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import WeChatApi
from app.identity.interfaces import AppCredentials
from app.payouts.interfaces import PayerCredentials, ReportInfo, TransferRequest
from tests.support.loopback import LoopbackServer
from tests.support.sandbox import MerchantAccount, SandboxProcess, new_private_key

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def _sandbox_process() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def sandbox(_sandbox_process: SandboxProcess) -> Iterator[SandboxProcess]:
    """The sandbox without faults."""
    yield _sandbox_process
    _sandbox_process.clear_faults()


@pytest.fixture
def app(sandbox: SandboxProcess) -> AppCredentials:
    """A mini-program that nobody else uses."""
    credentials = AppCredentials(f"wx{secrets.token_hex(8)}", f"app-secret-{secrets.token_hex(8)}")
    sandbox.create_app(credentials.appid, credentials.secret, open_platform="brand")
    return credentials


@pytest.fixture
def api(sandbox: SandboxProcess) -> WeChatApi:
    return WeChatApi(sandbox.base_url)


@pytest.fixture
def miniprogram(api: WeChatApi, sqlite_db: Database) -> WeChatMiniProgram:
    return WeChatMiniProgram(api, TokenProvider(sqlite_db))


@pytest.fixture(scope="session")
def merchant_key() -> str:
    return new_private_key()


@dataclass(frozen=True)
class Account:
    """A merchant, one of its apps and a shopper of that app."""

    merchant: MerchantAccount
    app: AppCredentials
    shopper_id: str
    openid: str

    @property
    def payer(self) -> PayerCredentials:
        return PayerCredentials(
            mchid=self.merchant.mchid,
            serial_no=self.merchant.serial_no,
            private_key_pem=self.merchant.private_key_pem,
            apiv3_key=self.merchant.apiv3_key,
            public_key_id=self.merchant.platform_public_key_id,
            public_key_pem=self.merchant.platform_public_key_pem,
        )

    def request(self, *, bill_no: str | None = None, **changes: object) -> TransferRequest:
        """A bill of 1 yuan for the shopper, with a number of its own."""
        fields: dict[str, object] = {
            "payer": self.payer,
            "appid": self.app.appid,
            "openid": self.openid,
            "bill_no": bill_no or f"B{next(_numbers):08d}{secrets.token_hex(4)}",
            "amount_fen": 100,
            "remark": "扫码奖励",
            "scene_id": "1000",
            "report_infos": (ReportInfo("活动名称", "扫码有奖"), ReportInfo("奖励说明", "现金")),
            **changes,
        }
        return TransferRequest(**fields)  # type: ignore[arg-type]


@pytest.fixture
def account(sandbox: SandboxProcess, app: AppCredentials, merchant_key: str) -> Account:
    """A merchant with 10,000 yuan that may pay in scene 1000, and somebody to pay."""
    merchant = sandbox.create_merchant(
        f"19{secrets.randbelow(10**8):08d}",
        appids=[app.appid],
        balance_fen=1_000_000,
        private_key_pem=merchant_key,
    )
    shopper = sandbox.shopper("张三丰", "13800138000")
    openid = _openid(sandbox, shopper["id"], app)
    return Account(merchant, app, shopper["id"], openid)


def _openid(sandbox: SandboxProcess, shopper_id: str, app: AppCredentials) -> str:
    answer = WeChatApi(sandbox.base_url).get(
        "/sns/jscode2session",
        {
            "appid": app.appid,
            "secret": app.secret,
            "js_code": sandbox.js_code(shopper_id, app.appid),
            "grant_type": "authorization_code",
        },
    )
    return str(answer["openid"])


@pytest.fixture
def receiver(sandbox: SandboxProcess) -> Iterator[LoopbackServer]:
    """Where the platform's callbacks arrive; it accepts them all."""
    with LoopbackServer() as server:
        server.reply(204, b"")
        sandbox.settings(product_url=server.url)
        yield server
