"""What every command shares: the container, who is signed in, and how a refusal is said."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from app.access.errors import NotSignedIn
from app.access.roles import Act
from app.access.sessions import Caller, perform, recognise
from app.config import BadSettings, Settings, load_settings
from app.db import migrate
from app.db.engine import Database
from app.db.secrets import KeyRing
from app.factory import Container, build_container
from app.kernel.actor import Actor
from app.kernel.errors import DomainError
from app.kernel.json import Json

T = TypeVar("T")


class Cli:
    """One invocation: settings and container are made when a command first needs them."""

    @cached_property
    def settings(self) -> Settings:
        """The settings; a faulty environment ends the command."""
        try:
            return load_settings(os.environ)
        except BadSettings as bad:
            raise _not_right(bad) from None

    @property
    def keyring(self) -> KeyRing:
        """The master keys as the settings have them, whatever the database says."""
        return KeyRing(self.settings.master_keys, sealing=self.settings.sealing_version)

    @cached_property
    def container(self) -> Container:
        """The container, on a database that stands at the present schema and fits the keys."""
        database = Database(self.settings.database_url)
        standing = migrate.current(database)
        database.dispose()
        if standing != migrate.head():
            raise click.ClickException("the database is not at the present schema; run `saoma db upgrade`")
        try:
            return build_container(self.settings)
        except BadSettings as bad:
            raise _not_right(bad) from None

    @property
    def session_file(self) -> Path:
        """Where the token of whoever is signed in is kept: one file per person and installation."""
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        installation = hashlib.sha256(self.settings.public_url.encode()).hexdigest()[:12]
        return state / "saoma" / f"session-{installation}"

    @property
    def token(self) -> str:
        """The token that `saoma login` kept; raise NotSignedIn without one."""
        try:
            return self.session_file.read_text(encoding="ascii")
        except FileNotFoundError:
            raise NotSignedIn("you are not signed in: `saoma login NAME`") from None

    def keep_token(self, token: str) -> None:
        """Keep the token of a session in a file that only its owner can read."""
        file = self.session_file
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = file.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_text(token, encoding="ascii")
        temporary.replace(file)

    @cached_property
    def caller(self) -> Caller:
        """Who is signed in; raise NotSignedIn."""
        token, now = self.token, self.container.clock.now()
        return self.read(lambda session: recognise(session, token=token, now=now))

    @property
    def actor(self) -> Actor:
        """Whoever is signed in, as operations know them."""
        return self.caller.actor

    def act(
        self,
        act: Act,
        work: Callable[[Session], T],
        *,
        on: str | Callable[[T], str],
        detail: Mapping[str, Json] | Callable[[T], Mapping[str, Json]] | None = None,
    ) -> T:
        """Run `work` in one transaction as an act of whoever is signed in, and write it into the audit trail.

        Args: on names what the act is done to, or tells it from what came of it, like detail; see `perform`.
        """
        token, now = self.token, self.container.clock.now()
        return self.container.db.transact(
            lambda session: perform(
                session, token=token, act=act, work=work, subject=on, now=now, detail=detail
            )
        )

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on a session that writes nothing."""
        with self.container.db.read() as session:
            return work(session)

    def public(self, kind: str, number: int) -> str:
        """Return the public form of an id."""
        return self.container.public_ids.encode(kind, number)

    def id(self, kind: str, text: str) -> int:
        """Return the id behind a public one."""
        return self.container.public_ids.decode(kind, text)


def _not_right(bad: BadSettings) -> click.ClickException:
    return click.ClickException("the settings are not right: " + "; ".join(bad.faults))


pass_cli = click.make_pass_decorator(Cli, ensure=True)


class OneLineGroup(click.Group):
    """A group whose refusals are one line on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; say what is wrong and what to do, without a traceback."""
        try:
            return super().invoke(ctx)
        except DomainError as error:
            refuse(f"{error.detail} [{error.code}]")
        except click.ClickException as error:
            refuse(error.format_message())
        except (OperationalError, ProgrammingError) as error:
            # The driver's text names hosts and tables, not data: parameters are hidden by the engine.
            refuse(f"the database says: {error.orig}; `saoma doctor` looks closer")


def refuse(message: str) -> NoReturn:
    """Say `message` in one line and end with exit code 2."""
    click.echo(f"saoma: {' '.join(message.split())}", err=True)
    raise SystemExit(2)


def show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows as a table for people, or as one JSON document for programs."""
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2, default=str))
        return
    if not rows:
        click.echo("none")
        return
    columns = list(rows[0])
    texts = [[str(row[column]) if row[column] is not None else "" for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[n]) for line in texts)) for n, column in enumerate(columns)]
    for line in [columns, *texts]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json` to a command that prints rows."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)
