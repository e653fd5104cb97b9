"""`saoma db`: the schema."""

import click

from app.cli.context import Cli, pass_cli
from app.db import migrate
from app.db.engine import Database


@click.group()
def db() -> None:
    """Bring the database to the present schema.

    \b
    Examples:
      saoma db status
      saoma db upgrade
    """


@db.command()
@pass_cli
def status(cli: Cli) -> None:
    """Tell at which migration the database stands, and which is the newest."""
    click.echo(f"database at {migrate.current(Database(cli.settings.database_url)) or 'nothing'}")
    click.echo(f"newest is   {migrate.head()}")


@db.command()
@pass_cli
def upgrade(cli: Cli) -> None:
    """Run the migrations that are missing; safe to run again after a failure."""
    database = Database(cli.settings.database_url)
    before = migrate.current(database)
    migrate.upgrade(database)
    click.echo(f"from {before or 'nothing'} to {migrate.current(database)}")
