from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.journal import Journal, JournalError
from sandbox.store import Store


class Counter:
    def __init__(self, path: Path) -> None:
        self.total = 0
        self.store = Store(Journal(path))
        self.store.on("added", self._add)

    def _add(self, event: Mapping[str, Any]) -> None:
        self.total += event["amount"]


def test_a_replay_makes_the_state_of_before(tmp_path: Path) -> None:
    before = Counter(tmp_path / "journal")
    before.store.record("added", amount=3)
    before.store.record("added", amount=4)
    before.store.close()

    after = Counter(tmp_path / "journal")

    assert after.store.replay() == 2
    assert after.total == before.total == 7
    after.store.close()


def test_an_event_of_another_version_stops_the_replay(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text('{"event":"added","amount":1}\n{"event":"multiplied"}\n')
    counter = Counter(tmp_path / "journal")

    with pytest.raises(JournalError, match="line 2"):
        counter.store.replay()
    counter.store.close()
