"""A list of old codes is taken in from the shell, and goes on after a stop."""

import json
import random
from pathlib import Path

import pytest

from app.codes import foreign
from tests.support.operators import shell

RANDOM = random.Random(11)


def test_a_list_goes_in_once_and_goes_on_after_a_stop(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = shell(sqlite_url, tmp_path, monkeypatch)

    def run(*arguments: str, code: int = 0) -> str:
        return str(call(*arguments, code=code).output)

    run("brands", "add", "tea", "--zh", "茶", "--en", "Tea")
    run("products", "add", "tea", "T-330", "--line", "tea", "--zh", "绿茶", "--en", "Green tea")
    monkeypatch.setattr(foreign, "PORTION", 10)
    old = tmp_path / "old.txt"
    old.write_text("\n".join(f"OLD{RANDOM.getrandbits(80):020x}" for _ in range(25)))
    taking = ("batches", "import", "tea", "T-330", str(old), "--lot", "L-0", "--under-cap")

    add, calls = foreign.add_portion, 0

    def stop_at_the_third(*arguments: object, **more: object) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return add(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(foreign, "add_portion", stop_at_the_third)
    run(*taking, code=1)
    assert "batch 1: 25 codes read, 0 known before" in run(*taking)
    assert calls == 4, "what had been read is not read again"
    assert "batch 1: 25 codes read" in run(*taking)
    assert len(json.loads(run("batches", "list", "--json"))) == 1

    weak = tmp_path / "weak.txt"
    weak.write_text("\n".join(f"T{number:06d}" for number in range(25)))
    taking = ("batches", "import", "tea", "T-330", str(weak), "--lot", "L-0")
    assert "guess" in run(*taking, code=2)
    run(*taking, "--guessable-because", "old stock, small prizes")
