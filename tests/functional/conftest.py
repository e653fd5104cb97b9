"""A platform for all use cases of a run, and an installation for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.engine import Database
from tests.support.sandbox import MerchantAccount, SandboxProcess
from tests.support.shop import APPID, MCHID, Shop, open_shop


@pytest.fixture(scope="session")
def platform() -> Iterator[tuple[SandboxProcess, MerchantAccount]]:
    """The platform in its own process, with our app and our merchant account."""
    with SandboxProcess() as sandbox:
        sandbox.create_app(APPID, "app-secret")
        yield sandbox, sandbox.create_merchant(MCHID, appids=[APPID], balance_fen=1_000_000_00)


@pytest.fixture
def shop(
    platform: tuple[SandboxProcess, MerchantAccount], clean_db: Database, mariadb_url: str, tmp_path: Path
) -> Iterator[Shop]:
    """An installation on MariaDB."""
    with open_shop(mariadb_url, tmp_path, *platform) as found:
        yield found


@pytest.fixture
def embedded_shop(
    platform: tuple[SandboxProcess, MerchantAccount], sqlite_url: str, tmp_path: Path
) -> Iterator[Shop]:
    """An installation on SQLite."""
    with open_shop(sqlite_url, tmp_path, *platform, SAOMA_DEMO="1") as found:
        yield found
