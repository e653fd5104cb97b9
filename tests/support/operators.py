"""People who use the command in tests."""

from collections.abc import Callable
from pathlib import Path

from app.access.roles import Role

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
