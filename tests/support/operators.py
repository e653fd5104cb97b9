"""People who use the command in tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.access.roles import Role
from app.cli.main import saoma
from app.db import secrets
from app.db.secrets import KeyRing
from tests.support.product import environment

PASSWORD = "correct horse battery"
EVERY_ROLE = [part for role in Role for part in ("--role", role.value)]


def operators_environment(folder: Path) -> dict[str, str]:
    """Return the environment of somebody who keeps their session in `folder`."""
    return {"XDG_STATE_HOME": str(folder / "state"), "PASSWORD": PASSWORD}


def approval(said: str) -> list[str]:
    """Return the command that approves what was proposed, as the proposer was told it."""
    return said.strip().splitlines()[-1].partition("saoma ")[2].split()


def enter(call: Callable[..., object]) -> None:
    """Make the first account, olga with every role, and sign in."""
    given = ["--password-env", "PASSWORD"]
    call("accounts", "create", "olga", "--name", "Olga", *EVERY_ROLE, *given, "--first")
    call("login", "olga", *given)


def shell(database_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return the command on an installation on a migrated database; olga is signed in with every role."""
    wanted = environment(database_url, folder) | operators_environment(folder)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(saoma, list(arguments))
        # The command binds the installation's key ring; the tests' own is the same key.
        secrets.bind(KeyRing({1: bytes(range(32))}))
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    enter(call)
    return call
