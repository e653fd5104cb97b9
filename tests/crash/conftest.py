"""The place where processes are killed: a brand with a real payer, people who collect, the auditors."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.crash.town import Town
from tests.factories.prizes import APPID
from tests.support.nursery import Nursery
from tests.support.product import product_by, settings
from tests.support.sandbox import MerchantAccount, SandboxProcess
from tests.support.shop import APPID as SHOP_APPID


@pytest.fixture(scope="session")
def kills() -> int:
    """How often each boundary kills: once, or SAOMA_CRASH_KILLS; `make crash` asks for five."""
    return int(os.environ.get("SAOMA_CRASH_KILLS", "1"))


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        process.create_app(APPID, "secret")
        process.create_app(SHOP_APPID, "app-secret")
        yield process


@pytest.fixture(scope="session")
def merchant(sandbox: SandboxProcess) -> MerchantAccount:
    return sandbox.create_merchant("1900000009", appids=[APPID, SHOP_APPID], balance_fen=10_000_000)


@pytest.fixture
def town(
    *,
    clean_db: Database,
    mariadb_url: str,
    clock: ManualClock,
    tmp_path: Path,
    nursery: Nursery,
    sandbox: SandboxProcess,
    merchant: MerchantAccount,
) -> Iterator[Town]:
    with (
        product_by(
            settings(
                mariadb_url,
                tmp_path,
                SAOMA_PAY_API_URL=sandbox.base_url,
                SAOMA_WECHAT_API_URL=sandbox.base_url,
            ),
            clock=clock,
        ) as container,
        Town.build(container, clock, nursery=nursery, sandbox=sandbox, merchant=merchant) as town,
    ):
        yield town
    sandbox.clear_faults()
