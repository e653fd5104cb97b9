"""`saoma tax`: what tax on prizes is due, for whom it is reported, and that it was paid."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.campaigns import queries as campaigns
from app.cli.context import Cli, json_option, pass_cli, show
from app.codes import files
from app.kernel.fen import format_yuan
from app.ledger.queries import open_balance
from app.organisation.queries import brand_by_slug
from app.reconciliation.export import write_csv, write_xlsx
from app.tax import operations, periods, queries
from app.tax.export import PERSON_COLUMNS, UNNAMED_COLUMNS, MonthBook


@click.group()
def tax() -> None:
    """Report and pay the tax on prizes, month by month.

    \b
    Examples:
      saoma tax report --brand tea-house --month 2026-10
      saoma tax export --brand tea-house --month 2026-10 --into october.xlsx
      saoma tax remit --brand tea-house --month 2026-10 --reference 2026-10-IIT-1
    """


_brand_option = click.option("--brand", "slug", required=True, help="Short name of the brand.")
_month_option = click.option("--month", required=True, help="Month of Beijing, such as 2026-10.")


@tax.command()
@_brand_option
@_month_option
@json_option
@pass_cli
def report(cli: Cli, /, *, slug: str, month: str, as_json: bool) -> None:
    """Show what became due in a month by campaign, what is still owed, and what the ledger holds."""

    def look(session: Session) -> tuple[list[dict[str, Any]], str]:
        brand_id = brand_by_slug(session, slug=slug).id
        named = _campaigns(session, brand_id)
        rows = [
            {
                "campaign": named[line.campaign_id],
                "borne_by": line.bearer.value,
                "awards": line.awards,
                "persons": line.persons,
                "income": format_yuan(line.base_fen),
                "tax": format_yuan(line.tax_fen),
                "net": format_yuan(line.net_fen),
            }
            for line in queries.report(session, brand_id=brand_id, month=month)
        ]
        standing = queries.standing(session, brand_id=brand_id, month=month)
        held = queries.withheld_account_id(session, brand_id=brand_id)
        return rows, (
            f"due {format_yuan(standing.due_fen)}, paid {format_yuan(standing.remitted_fen)}, owed"
            f" {format_yuan(standing.owed_fen)} yuan for {month}; of all months the ledger holds"
            f" {format_yuan(open_balance(session, held) if held else 0)} yuan"
        )

    rows, words = cli.read(look)
    show(rows, as_json=as_json)
    if not as_json:
        click.echo(words)


@tax.command()
@_brand_option
@_month_option
@click.option("--format", "kind", type=click.Choice(["xlsx", "csv"]), default="xlsx", show_default=True)
@click.option("--into", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File.")
@pass_cli
def export(cli: Cli, /, *, slug: str, month: str, kind: str, into: Path) -> None:
    """Write a month for the tax return, with names and document numbers.

    xlsx is one file with two sheets; CSV is two files, NAME-persons.csv and NAME-unnamed.csv. They are
    readable by their owner only; remove them when the return has been filed.
    """
    periods.month(month)
    # In the trail before anything leaves: what is not written down is not handed out.
    brand_id = cli.act(
        Act.TAX_EXPORTED,
        lambda session: brand_by_slug(session, slug=slug).id,
        on=f"tax {slug} {month}",
        detail={"format": kind},
    )

    def write(session: Session) -> int:
        book = MonthBook(
            session,
            brand_id=brand_id,
            month=month,
            campaigns=_campaigns(session, brand_id),
            award=lambda number: cli.public("aw", number),
        )
        if kind == "xlsx":
            sheets = {
                "persons": (PERSON_COLUMNS, book.persons()),
                "unnamed": (UNNAMED_COLUMNS, book.unnamed()),
            }
            return write_xlsx(_private(into), sheets)
        persons, unnamed = (into.with_name(f"{into.stem}-{part}.csv") for part in ("persons", "unnamed"))
        return write_csv(_private(persons), PERSON_COLUMNS, book.persons()) + write_csv(
            _private(unnamed), UNNAMED_COLUMNS, book.unnamed()
        )

    click.echo(f"{cli.read(write)} rows written")


@tax.command()
@_brand_option
@_month_option
@click.option("--reference", required=True, help="Number of the tax return or of its payment, once.")
@pass_cli
def remit(cli: Cli, /, *, slug: str, month: str, reference: str) -> None:
    """Book what is owed for a month that is over as paid to the tax office."""
    now, actor = cli.container.clock.now(), cli.actor

    def work(session: Session) -> int:
        brand_id = brand_by_slug(session, slug=slug).id
        return operations.remit(
            session, brand_id=brand_id, month=month, reference=reference, now=now, actor=actor
        )

    paid_fen = cli.act(
        Act.TAX_REMITTED,
        work,
        on=f"tax {slug} {month}",
        detail=lambda fen: {"amount_fen": fen, "reference": reference},
    )
    click.echo(f"{format_yuan(paid_fen)} yuan booked as paid")


def _campaigns(session: Session, brand_id: int) -> Mapping[int, str]:
    return campaigns.keys(session, brand_id=brand_id)


def _private(path: Path) -> Path:
    """Return the path of a file that only its owner can read, empty or as it was."""
    files.open_private(path).close()
    path.chmod(0o600)
    return path
