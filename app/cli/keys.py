"""`saoma keys`: making keys, and exchanging the one that seals without stopping."""

import base64
import secrets
from collections import Counter

import click

from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show
from app.db import keys as known_keys
from app.db import rotation


@click.group()
def keys() -> None:
    """Make keys; bring stored values from an old master key to a new one while everything runs.

    \b
    Examples:
      saoma keys new
      saoma keys status
      saoma keys reseal
      saoma keys retire 2
    """


@keys.command()
def new() -> None:
    """Print a new key of 32 bytes in base64. Keep it where you keep your database backups' keys."""
    click.echo(base64.b64encode(secrets.token_bytes(32)).decode())


@keys.command()
@json_option
@pass_cli
def status(cli: Cli, /, *, as_json: bool) -> None:
    """Count the values that each master key seals, column by column; changes nothing."""
    ring = cli.container.keyring
    found = rotation.versions_in_use(cli.container.db, progress=_progress)
    rows = [
        {"column": column, "version": version, "values": count}
        for column, counts in found.items()
        for version, count in sorted(counts.items())
    ]
    show(rows, as_json=as_json)
    if not as_json:
        older = sum(count for row in found.values() for at, count in row.items() if at != ring.sealing)
        click.echo(f"version {ring.sealing} seals; {older:,} values are sealed with others")


@keys.command()
@pass_cli
def reseal(cli: Cli, /) -> None:
    """Seal every stored value with the key that seals now. Runs beside everything; run again it goes on."""
    ring = cli.container.keyring
    # One entry for the whole run, which moves bytes and changes no value.
    cli.act(Act.KEYS_RESEALED, lambda _: None, on="sealed values", detail={"version": ring.sealing})
    done = rotation.reseal(cli.container.db, ring, progress=_progress)
    click.echo(f"{done.sealed:,} values sealed with version {ring.sealing}, {done.overtaken:,} overtaken")
    if done.broken:
        raise click.ClickException(
            f"{len(done.broken)} values cannot be opened and were left alone, the first: {done.broken[0]}"
        )


@keys.command()
@click.argument("version", type=click.IntRange(1, 65535))
@pass_cli
def retire(cli: Cli, /, *, version: int) -> None:
    """Make sure that nothing needs master key VERSION, so that it may leave SAOMA_MASTER_KEYS.

    Refused while a single value is sealed with it. Keep it elsewhere as long as you keep older backups.
    """
    container = cli.container
    known_keys.require_retirable(container.keyring, version)
    in_use = rotation.versions_in_use(container.db, progress=_progress)
    left = Counter({column: counts[version] for column, counts in in_use.items() if counts[version]})
    if left:
        named = ", ".join(f"{column} {count:,}" for column, count in left.most_common(5))
        raise known_keys.KeyNotIdle(
            f"{left.total():,} values are sealed with version {version} ({named}); run `saoma keys reseal`"
        )
    now = container.clock.now()
    retired = cli.act(
        Act.KEY_RETIRED,
        lambda session: known_keys.mark_retired(session, version=version, now=now),
        on=f"master key {version}",
    )
    if not retired:
        raise click.ClickException(f"version {version} is not known here, or was retired before")
    click.echo(f"version {version} may leave SAOMA_MASTER_KEYS; keep it as long as backups that need it")


def _progress(table: str, rows: int) -> None:
    click.echo(f"\r{table}: {rows:,} rows   ", nl=False, err=True)
