"""The product built in this process, on a database of the test and without any platform."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.config import Settings, load_settings
from app.factory import Container, build_container
from app.kernel.clock import Clock
from app.payouts.interfaces import TransferGateway

# Port 9 discards: nothing answers there, and a test that reaches for a platform finds out.
_NOBODY = "http://127.0.0.1:9"


def environment(database_url: str, data: Path, **more: str) -> dict[str, str]:
    """Return the environment of a product on the database at `database_url`."""
    return {
        "SAOMA_DATA": str(data),
        "SAOMA_DATABASE_URL": database_url,
        "SAOMA_MASTER_KEYS": "1:" + base64.b64encode(bytes(range(32))).decode(),
        "SAOMA_CODE_KEY": base64.b64encode(bytes(32)).decode(),
        "SAOMA_LINK_PREFIX": "https://m.example.com/q/",
        "SAOMA_PUBLIC_URL": "https://m.example.com",
        "SAOMA_WECHAT_API_URL": _NOBODY,
        "SAOMA_WECOM_API_URL": _NOBODY,
        "SAOMA_PAY_API_URL": _NOBODY,
        **more,
    }


def settings(database_url: str, data: Path, **more: str) -> Settings:
    """Return the settings of a product on the database at `database_url`."""
    return load_settings(environment(database_url, data, **more))


@contextmanager
def product(database_url: str, data: Path, **more: str) -> Iterator[Container]:
    """Yield a container on the migrated database at `database_url`; close it at the end."""
    with product_by(settings(database_url, data, **more)) as container:
        yield container


@contextmanager
def product_by(
    chosen: Settings, *, clock: Clock | None = None, transfers: TransferGateway | None = None
) -> Iterator[Container]:
    """Yield a container by `chosen` settings, with a clock or a gateway of the test's own."""
    container = build_container(chosen, clock=clock, transfers=transfers)
    try:
        yield container
    finally:
        container.close()
