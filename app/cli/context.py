"""What every command shares: the container, who is asking, and how a refusal is said."""

import getpass
import json
import os
from collections.abc import Callable
from functools import cached_property
from typing import Any, NoReturn, TypeVar

import click
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from app.config import BadSettings, Settings, load_settings
from app.db import migrate
from app.factory import Container, build_container
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import DomainError

T = TypeVar("T")


class Cli:
    """One invocation: settings and container are made when a command first needs them."""

    @cached_property
    def settings(self) -> Settings:
        """The settings; a faulty environment ends the command."""
        try:
            return load_settings(os.environ)
        except BadSettings as bad:
            raise click.ClickException("the settings are not right: " + "; ".join(bad.faults)) from None

    @cached_property
    def container(self) -> Container:
        """The container, on a database that stands at the present schema."""
        container = build_container(self.settings)
        if migrate.current(container.db) != migrate.head():
            raise click.ClickException("the database is not at the present schema; run `saoma db upgrade`")
        return container

    @property
    def actor(self) -> Actor:
        """The operator: SAOMA_OPERATOR, or the account of the machine."""
        return Actor(ActorKind.OPERATOR, os.environ.get("SAOMA_OPERATOR") or getpass.getuser())

    def write(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction and commit."""
        return self.container.db.transact(work)

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
