"""The product built in this process, on a database of the test and without any platform."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.config import load_settings
from app.factory import Container, build_container
from app.kernel.clock import Clock
from app.payouts.interfaces import TransferGateway

# Port 9 discards: nothing answers there, and a test that reaches for a platform finds out.
_NOBODY = "http://127.0.0.1:9"


@contextmanager
def product(
    database_url: str,
    data: Path,
    *,
    clock: Clock | None = None,
    transfers: TransferGateway | None = None,
    **environment: str,
) -> Iterator[Container]:
    """Yield a container on the migrated database at `database_url`; close it at the end."""
    settings = load_settings(
        {
            "SAOMA_DATA": str(data),
            "SAOMA_DATABASE_URL": database_url,
            "SAOMA_MASTER_KEYS": "1:" + base64.b64encode(bytes(range(32))).decode(),
            "SAOMA_CODE_KEY": base64.b64encode(bytes(32)).decode(),
            "SAOMA_LINK_PREFIX": "https://m.example.com/q/",
            "SAOMA_PUBLIC_URL": "https://m.example.com",
            "SAOMA_WECHAT_API_URL": _NOBODY,
            "SAOMA_PAY_API_URL": _NOBODY,
            **environment,
        }
    )
    container = build_container(settings, clock=clock, transfers=transfers)
    try:
        yield container
    finally:
        container.close()
