"""`saoma backup` and `saoma restore`: the whole database in one file, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from app.backups import operations
from app.backups.archive import Progress
from app.cli.context import Cli, pass_cli
from app.db.engine import Database

_MEGABYTE = 1_000_000
_TOLD_EVERY_BYTES = 64 * _MEGABYTE
_NEXT = """\
What follows (docs/operations.md, "Restoring"):
  1. `saoma db upgrade`, then `saoma doctor`.
  2. `saoma audit verify --kept …` shows how much of the trail is gone; write down why.
  3. Freeze the batches of running campaigns before the first shopper comes back.
  4. Start the scheduler: bills are asked about, under the same numbers; none is paid twice.
  5. `saoma alerts list`, and reconcile the days since the backup."""


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@pass_cli
def backup(cli: Cli, /, *, file: Path | None) -> None:
    """Back the database up into FILE while it is in use; without FILE into SAOMA_DATA/backups.

    The file holds no key. Keep SAOMA_MASTER_KEYS and SAOMA_CODE_KEY elsewhere: without them it is of no use.

    \b
    Example:
      saoma backup /mnt/elsewhere/saoma-monday.backup
    """
    now = datetime.now(UTC)
    into = file or cli.settings.data / "backups" / f"saoma-{now:%Y%m%dT%H%M%SZ}.backup"
    with _database(cli) as db:
        made = operations.make(db, ring=cli.keyring, into=into, now=now, progress=_progress())
    rows = sum(made.figures.rows.values())
    click.echo(f"{into}: schema {made.schema}, {rows:,} rows, {made.size_bytes:,} bytes before compression")
    click.echo(f"ledger: {made.figures.transfers:,} transfers, sha256 {made.figures.ledger_sha256}")
    click.echo(f"needs master keys of version {', '.join(map(str, made.key_versions))}, and the code key")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Lose what the database holds now.")
@pass_cli
def restore(cli: Cli, /, *, file: Path, replace: bool) -> None:
    """Restore FILE into the database of SAOMA_DATABASE_URL, which has to be empty. Stop everything first.

    The file is verified before anything is touched. Then row counts and ledger are compared with what was
    backed up, and the ledger is audited. Exit code 2 when anything differs.

    \b
    Example:
      SAOMA_DATABASE_URL=sqlite:////srv/saoma/new.db saoma restore saoma-monday.backup
    """
    with _database(cli) as db:
        restored = operations.restore(db, ring=cli.keyring, path=file, replace=replace, progress=_progress())
    made = restored.manifest
    click.echo(f"restored as of {made.made_at}: {sum(made.figures.rows.values()):,} rows, as backed up")
    click.echo(f"ledger: {made.figures.transfers:,} transfers, as backed up; the audit finds no fault")
    click.echo(f"schema {made.schema}, newest is {restored.newest_schema}")
    click.echo(_NEXT)


@contextmanager
def _database(cli: Cli) -> Iterator[Database]:
    """Yield the database as it is: there may be no schema in it that a container could work with."""
    db = Database(cli.settings.database_url)
    try:
        yield db
    finally:
        db.dispose()


def _progress() -> Progress:
    """Tell people on stderr, now and then, how far it is."""
    told = 0

    def report(done: int) -> None:
        nonlocal told
        if done - told >= _TOLD_EVERY_BYTES:
            told = done
            click.echo(f"{done // _MEGABYTE:,} MB", err=True)

    return report
