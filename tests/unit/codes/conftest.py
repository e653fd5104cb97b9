"""A pack of codes to print."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app.codes.format import BatchKey, CodeKeys
from app.codes.links import CodeLink
from app.codes.pack import Pack

MakePack = Callable[..., Pack]


@pytest.fixture
def make_pack() -> MakePack:
    def make(count: int = 10, **changes: object) -> Pack:
        facts = {
            "keys": CodeKeys(bytes(range(32))),
            "batch_key": BatchKey(bytes(range(32, 64))),
            "batch_id": 5,
            "first_index": 0,
            "link": CodeLink("https://codes.example.com/q/"),
            "about": {"id": "ba_abc", "product": "橙汁 330 ml", "lot": "L-7"},
            "created_at": datetime(2026, 11, 1, 8, 30, tzinfo=UTC),
        }
        return Pack(**{**facts, "count": count, **changes})

    return make
