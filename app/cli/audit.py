"""`saoma audit`: who did what, and that nobody has changed the record of it."""

import click
from sqlalchemy.orm import Session

from app.access import audit as trail
from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show

_HASH_BYTES = 32


@click.group()
def audit() -> None:
    """Read the audit trail, and verify that it is whole.

    \b
    Examples:
      saoma audit list
      saoma audit verify
      saoma audit verify --kept 4711:9f86d081884c7d65…
    """


@audit.command("list")
@click.option("--before", type=int, help="Only entries below this number.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@json_option
@pass_cli
def list_entries(cli: Cli, /, *, before: int | None, limit: int, as_json: bool) -> None:
    """Show the newest acts."""

    def work(session: Session) -> list[trail.Entry]:
        return trail.entries(session, limit=limit, before=before)

    rows = [
        {
            "no": entry.sequence,
            "at": entry.at.isoformat(timespec="seconds"),
            "by": entry.by,
            "act": entry.action,
            "on": entry.subject,
            "detail": entry.detail,
        }
        for entry in cli.act(Act.AUDIT_READ, work, on="audit trail")
    ]
    show(rows, as_json=as_json)


@audit.command()
@click.option("--kept", multiple=True, metavar="NUMBER:HASH", help="A head that you kept elsewhere.")
@pass_cli
def verify(cli: Cli, /, *, kept: tuple[str, ...]) -> None:
    """Compute the whole chain again; name the first entry that is wrong. Exit code 2 when one is.

    Keep the head that it prints somewhere else, and give it back with --kept: that shows a database that
    was set back to an earlier moment as a whole.
    """
    known = dict(_kept(text) for text in kept)
    found = cli.read(lambda session: trail.verify(session, kept=known))
    if found.fault is not None:
        raise click.ClickException(f"entry {found.fault.sequence}: {found.fault.told}")
    click.echo(f"{found.entries:,} entries, all as they were written")
    click.echo(f"head {found.entries}:{found.head.hex()}")


def _kept(text: str) -> tuple[int, bytes]:
    number, _, hashed = text.partition(":")
    try:
        parsed = int(number), bytes.fromhex(hashed)
    except ValueError:
        parsed = 0, b""
    if parsed[0] < 1 or len(parsed[1]) != _HASH_BYTES:
        raise click.ClickException("--kept is written NUMBER:HASH as `saoma audit verify` prints its head")
    return parsed
