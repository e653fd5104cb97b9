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
from tests.support.shop import Shop

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


def shop_shell(shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return the command on a shop's installation; `ok=False` expects a refusal in one line."""
    url = shop.container.db.engine.url.render_as_string(hide_password=False)
    kinds = ("PAY", "WECHAT", "WECOM")
    platform = {f"SAOMA_{kind}_API_URL": shop.sandbox.base_url for kind in kinds}
    platform |= operators_environment(folder)
    for name, value in environment(url, folder, **platform).items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, ok: bool = True) -> Result:
        result = CliRunner().invoke(saoma, list(arguments))
        assert result.exit_code == (0 if ok else 2), result.output
        return result

    enter(call)
    return call


def second(
    call: Callable[..., Result], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Return the command as peter, a second person with every role, signed in beside the first one."""
    monkeypatch.setenv("PETERS_PASSWORD", "another long sentence")
    call("accounts", "create", "peter", "--name", "Peter", *EVERY_ROLE, "--password-env", "PASSWORD")

    def as_peter(*arguments: str, ok: bool = True) -> Result:
        with monkeypatch.context() as patch:
            patch.setenv("XDG_STATE_HOME", str(folder / "peters"))
            return call(*arguments, ok=ok)

    as_peter("login", "peter", "--password-env", "PASSWORD")
    changed = ("--password-env", "PASSWORD", "--new-password-env", "PETERS_PASSWORD")
    as_peter("accounts", "password", *changed)
    return as_peter
