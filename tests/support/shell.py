"""The environment of a command that a test runs in its own process."""

import base64
from pathlib import Path


def environment(database_url: str, data: Path) -> dict[str, str]:
    """Return the settings of an installation on `database_url`, with the tests' own keys."""
    key = base64.b64encode(bytes(range(32))).decode()
    return {
        "SAOMA_DATA": str(data),
        "SAOMA_DATABASE_URL": database_url,
        "SAOMA_MASTER_KEYS": f"1:{key}",
        "SAOMA_CODE_KEY": key,
        "SAOMA_LINK_PREFIX": "https://m.example.com/q/",
        "SAOMA_PUBLIC_URL": "https://m.example.com",
    }
