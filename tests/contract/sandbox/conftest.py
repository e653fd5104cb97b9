import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.contract.sandbox.packet_client import QUERY, SEND, call, packet, query
from tests.contract.sandbox.pay_client import CallbackReceiver, PayClient, bill
from tests.support.sandbox import MerchantAccount, SandboxProcess, new_private_key

SECRET = "app-secret-of-the-tests"
APIV2_KEY = "0123456789abcdef0123456789abcdef"
WORKWX_SECRET = "secret-of-the-payment-app"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    """One sandbox for all tests: each test uses an app, a shopper and bill numbers of its own."""
    with SandboxProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def _leave_no_trace(request: pytest.FixtureRequest) -> Iterator[None]:
    """Faults and settings are the whole sandbox's: whoever changed them, they end with the test."""
    yield
    if "sandbox" in request.fixturenames:
        sandbox: SandboxProcess = request.getfixturevalue("sandbox")
        sandbox.clear_faults()
        sandbox.settings(
            limits=False,
            strict_unverified=False,
            transfer_seconds=0.0,
            callback_speed=100.0,
            expiry_state="FAIL",
            product_url="http://127.0.0.1:8000",
        )


@pytest.fixture(scope="session")
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture(scope="session")
def key_pem() -> str:
    """The key of all merchants of these tests."""
    return new_private_key()


@pytest.fixture
def appid(sandbox: SandboxProcess) -> str:
    """A mini-program of the test's own."""
    appid = f"wxtest{next(_numbers):010d}"
    sandbox.create_app(appid, SECRET)
    return appid


@dataclass
class Till:
    """A merchant with money, an app, a shopper: everything for a transfer."""

    sandbox: SandboxProcess
    client: PayClient
    account: MerchantAccount
    appid: str
    shopper: dict[str, Any]
    openid: str = field(init=False)

    def __post_init__(self) -> None:
        self.openid = self.shopper["openids"][self.appid]

    def bill(self, **changes: Any) -> dict[str, Any]:
        return bill(self.appid, self.openid, **changes)

    def opened(self, **changes: Any) -> dict[str, Any]:
        """A bill that waits for the shopper."""
        response = self.client.open(self.bill(**changes))
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        assert document["state"] == "WAIT_USER_CONFIRM"
        return document

    def confirm(self, opened: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.sandbox.confirm(
            self.shopper["id"],
            package_info=opened["package_info"],
            mch_id=self.account.mchid,
            app_id=self.appid,
            **more,
        )

    def money(self) -> tuple[int, int]:
        """What the merchant has available and frozen, fen."""
        merchants = {entry["mchid"]: entry for entry in self.sandbox.book()["merchants"]}
        return merchants[self.account.mchid]["available_fen"], merchants[self.account.mchid]["frozen_fen"]


@pytest.fixture
def make_till(sandbox: SandboxProcess, appid: str, key_pem: str) -> Iterator[Callable[..., Till]]:
    """Makes a till with a merchant of its own; arguments as ``create_merchant``."""
    clients: list[PayClient] = []

    def make(**fields: Any) -> Till:
        account = sandbox.create_merchant(
            f"19{next(_numbers):08d}",
            private_key_pem=key_pem,
            **{"appids": [appid], "balance_fen": 1_000_000, **fields},
        )
        clients.append(PayClient(sandbox.base_url, account))
        return Till(sandbox, clients[-1], account, appid, sandbox.shopper())

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def shared_account(sandbox: SandboxProcess, key_pem: str) -> MerchantAccount:
    """One merchant for all tests that do not count its money: a merchant costs a key, and that takes time."""
    appid = f"wxshared{next(_numbers):08d}"
    sandbox.create_app(appid, SECRET)
    return sandbox.create_merchant(
        f"18{next(_numbers):08d}",
        private_key_pem=key_pem,
        appids=[appid],
        balance_fen=100_000_000,
        scenes=["1000", {"id": "1011", "max_fen": 50_000}],
    )


@pytest.fixture
def shared_till(sandbox: SandboxProcess, shared_account: MerchantAccount) -> Iterator[Till]:
    """A shopper of the test's own at the merchant of all."""
    client = PayClient(sandbox.base_url, shared_account)
    shopper = sandbox.shopper()
    appid = next(name for name in shopper["openids"] if name.startswith("wxshared"))
    yield Till(sandbox, client, shared_account, appid, shopper)
    client.close()


@pytest.fixture
def till(make_till: Callable[..., Till]) -> Till:
    return make_till()


@pytest.fixture
def receiver() -> Iterator[CallbackReceiver]:
    with CallbackReceiver() as receiver:
        yield receiver


@dataclass
class Giver:
    """A merchant with red packets, an app of a kind, somebody to give to."""

    sandbox: SandboxProcess
    account: MerchantAccount
    appid: str
    shopper_id: str
    openid: str
    path: str

    def packet(self, **changes: str) -> dict[str, str]:
        return packet(self.account, self.appid, self.openid, **changes)

    def send(self, fields: dict[str, str], **options: str) -> dict[str, str]:
        return call(self.sandbox.base_url, self.account, self.path, fields, **options)

    def ask(self, mch_billno: str) -> dict[str, str]:
        fields = query(self.account, self.appid, mch_billno)
        return call(self.sandbox.base_url, self.account, QUERY, fields)

    def open(self, mch_billno: str) -> None:
        self.sandbox.open_packet(self.shopper_id, mchid=self.account.mchid, mch_billno=mch_billno)

    def money(self) -> tuple[int, int]:
        book = self.sandbox.book()
        assert book["balanced"], book["faults"]
        mine = next(one for one in book["merchants"] if one["mchid"] == self.account.mchid)
        return mine["available_fen"], mine["frozen_fen"]


@pytest.fixture
def make_giver(sandbox: SandboxProcess, key_pem: str) -> Callable[..., Giver]:
    def make(kind: str = "service", path: str = SEND, **fields: object) -> Giver:
        appid = f"wxpacket{next(_numbers):08d}"
        sandbox.create_app(appid, "secret", kind=kind)
        account = sandbox.create_merchant(
            f"17{next(_numbers):08d}",
            **{  # type: ignore[arg-type]
                "private_key_pem": key_pem,
                "appids": [appid],
                "balance_fen": 1_000_000,
                "apiv2_key": APIV2_KEY,
                "workwx_secret": WORKWX_SECRET,
                **fields,
            },
        )
        shopper = sandbox.shopper()
        return Giver(sandbox, account, appid, shopper["id"], shopper["openids"][appid], path)

    return make


@pytest.fixture
def giver(make_giver: Callable[..., Giver]) -> Giver:
    return make_giver()
