from collections.abc import Iterator
from dataclasses import asdict

import pytest

from sandbox.directory import App, Merchant
from sandbox.pay_signing import new_platform_key
from sandbox.settings import Settings
from sandbox.world import World
from tests.support.sandbox import new_private_key, public_key_of

APPID = "wxunit0000000001"
MCHID = "1900000001"


@pytest.fixture(scope="session")
def merchant_key() -> str:
    """One key of a merchant for all tests: making one takes a while and tells nothing."""
    return new_private_key()


@pytest.fixture(scope="session")
def merchant(merchant_key: str) -> Merchant:
    """The merchant that is registered in every world of these tests."""
    key_id, private_pem, public_pem = new_platform_key()
    return Merchant(
        mchid=MCHID,
        serial_no="AB" * 20,
        public_key_pem=public_key_of(merchant_key),
        apiv3_key="k" * 32,
        appids=(APPID,),
        scenes={"1000": 20_000, "1009": None},
        shortage="not_enough",
        balance_api=False,
        platform_key_id=key_id,
        platform_key_pem=private_pem,
        platform_public_key_pem=public_pem,
    )


@pytest.fixture
def world(merchant: Merchant) -> Iterator[World]:
    """A world that stands still: nothing happens in it unless a test says so."""
    world = World(Settings(transfer_seconds=0))
    world.directory.be_born()
    world.directory.put_app(App(APPID, "secret"))
    world.store.record("merchant", **asdict(merchant))
    yield world
    world.store.close()
