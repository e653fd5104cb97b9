"""An operator exchanges the master key that seals, from the shell, and is stopped before a mistake."""

import base64
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.main import saoma
from app.db import secrets
from tests.support.operators import enter, operators_environment
from tests.support.product import environment
from tests.support.source import ROOT

KEYS = {1: bytes(range(32)), 2: b"2" * 32, 3: b"3" * 32}
Saoma = Callable[..., Result]


@pytest.fixture
def run(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Saoma]:
    """Runs the command with the master keys of some versions."""
    for name, value in {**environment(sqlite_url, tmp_path), **operators_environment(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    bound = secrets.ring()

    def call(*arguments: str, keys: tuple[int, ...] = (1,), sealing: str = "") -> Result:
        given = ",".join(f"{version}:{base64.b64encode(KEYS[version]).decode()}" for version in keys)
        monkeypatch.setenv("SAOMA_MASTER_KEYS", given)
        monkeypatch.setenv("SAOMA_SEALING_VERSION", sealing)
        return CliRunner().invoke(saoma, list(arguments))

    enter(call)
    monkeypatch.setenv("APP_SECRET", "s" * 32)
    assert call("apps", "add", "wx1234567890abcdef", "--secret-env", "APP_SECRET").exit_code == 0
    yield call
    secrets.bind(bound)


def test_a_key_is_exchanged_in_five_steps_and_then_retired(run: Saoma) -> None:
    learned = run("keys", "status", keys=(1, 2), sealing="1")
    assert "version 1 seals; 0 values are sealed with others" in learned.stdout
    assert "; 0 values" not in run("keys", "status", keys=(1, 2)).stdout

    assert "values sealed with version 2, 0 overtaken" in run("keys", "reseal", keys=(1, 2)).stdout
    assert "version 2 seals; 0 values are sealed with others" in run("keys", "status", keys=(1, 2)).stdout

    early = run("keys", "retire", "2", keys=(1, 2, 3))
    assert early.exit_code == 2
    assert "key_in_use" in early.stderr
    assert "apps.secret 1" in early.stderr
    run("keys", "reseal", keys=(1, 2, 3))
    assert run("keys", "retire", "2", keys=(1, 2, 3)).exit_code == 0
    assert run("payers", "list", keys=(1, 3)).exit_code == 0
    assert "audit_entries" not in run("audit", "verify", keys=(1, 3)).output
    assert run("audit", "verify", keys=(1, 3)).exit_code == 0


@pytest.mark.parametrize(("keys", "told"), [((2,), "version 1 is missing"), ((1,), "version 2 is missing")])
def test_a_key_that_was_dropped_too_early_is_told_at_once(
    run: Saoma, keys: tuple[int, ...], told: str
) -> None:
    run("keys", "reseal", keys=(1, 2))

    refused = run("payers", "list", keys=keys)
    assert refused.exit_code == 2
    assert told in refused.stderr
    assert "put it back" in refused.stderr
    examined = run("doctor", keys=keys)
    assert f"master keys: SAOMA_MASTER_KEYS: {told}" in examined.stdout


def test_a_sealing_version_that_is_not_there_is_refused(run: Saoma) -> None:
    assert "SAOMA_SEALING_VERSION" in run("payers", "list", sealing="7").stderr


def test_the_scheduler_does_not_start_without_a_key_that_is_needed(run: Saoma) -> None:
    run("keys", "status", keys=(1, 2))
    run("keys", "new", keys=(1,))  # which leaves the environment with the old key alone

    ended = subprocess.run(
        [sys.executable, "-m", "jobs"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 2
    assert "version 2 is missing" in ended.stderr
    assert "Traceback" not in ended.stderr
