"""`saoma vouchers`: codes bought elsewhere that a campaign gives away."""

from pathlib import Path
from zoneinfo import ZoneInfo

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.campaigns import claiming, supplies
from app.cli.campaigns import find_campaign
from app.cli.context import Cli, json_option, pass_cli, show
from app.vouchers import stock_file
from app.vouchers.operations import TakenIn


@click.group()
def vouchers() -> None:
    """Take in, watch and withdraw the codes of voucher prizes.

    The codes are the prize's stock: it cannot be changed by other means. Codes are never shown here.

    \b
    Examples:
      saoma vouchers import tea-house/june video codes.csv --reference PO-2026-31
      saoma vouchers status tea-house/june
      saoma vouchers files tea-house/june
      saoma vouchers claims tea-house/june
      saoma vouchers withdraw tea-house/june video 20 --reference RET-2026-4
    """


@vouchers.command("import")
@click.argument("name")
@click.argument("prize")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reference", required=True, help="Purchase order or the like; used once.")
@click.option("--zone", default="Asia/Shanghai", show_default=True, help="Where expires_on is a day.")
@pass_cli
def import_codes(cli: Cli, /, *, name: str, prize: str, file: Path, reference: str, zone: str) -> None:
    """Take the codes in FILE in for a voucher PRIZE: all, or none when a line is wrong.

    FILE is CSV in UTF-8. Its first line names the columns: code, and if there are, pin and expires_on (the
    last day on which a code is good, 2026-12-31). Codes that the brand has already are left out.
    """
    now, actor = cli.container.clock.now(), cli.actor
    try:
        where = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise click.ClickException("--zone is a name such as Asia/Shanghai") from None
    stock_file.check(file, zone=where, now=now)

    def work(session: Session) -> TakenIn:
        return supplies.take_in(
            session,
            campaign_id=find_campaign(session, name),
            prize=prize,
            reference=reference,
            codes=stock_file.read(file, zone=where, now=now),
            now=now,
            actor=actor,
        )

    detail = {"prize": prize, "reference": reference}
    taken = cli.act(Act.VOUCHERS_TAKEN_IN, work, on=f"campaign {name}", detail=detail)
    click.echo(f"{taken.pieces:,} codes taken in, {taken.known:,} known already; remove the file now")


@vouchers.command()
@click.argument("name")
@json_option
@pass_cli
def status(cli: Cli, /, *, name: str, as_json: bool) -> None:
    """Show how the codes of each prize stand: what may still be won, and what is promised to winners."""
    rows = cli.read(lambda session: supplies.supplies(session, campaign_id=find_campaign(session, name)))
    show([row._asdict() for row in rows], as_json=as_json)


@vouchers.command()
@click.argument("name")
@json_option
@pass_cli
def files(cli: Cli, /, *, name: str, as_json: bool) -> None:
    """Show the files that were taken in, how many of their codes are free, and when the first expires."""
    found = cli.read(lambda session: supplies.files(session, campaign_id=find_campaign(session, name)))
    rows = [
        {
            "prize": prize,
            "reference": batch.reference,
            "codes": batch.pieces,
            "known": batch.known,
            "free": batch.free,
            "first_expires_at": batch.first_expires_at and batch.first_expires_at.isoformat(),
            "imported_at": batch.imported_at.isoformat(timespec="seconds"),
            "by": batch.imported_by,
        }
        for prize, batch in found
    ]
    show(rows, as_json=as_json)


@vouchers.command()
@click.argument("name")
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_cli
def claims(cli: Cli, /, *, name: str, limit: int, as_json: bool) -> None:
    """Show who claimed vouchers with which product, and what they said to phone and marketing.

    Only agrees_now says who may be called at present: what was said with a claim may have been taken back.
    """
    found = cli.read(
        lambda session: claiming.claims(session, campaign_id=find_campaign(session, name), limit=limit)
    )
    rows = [
        {
            "at": claim.claimed_at.isoformat(timespec="seconds"),
            "person": cli.public("pe", claim.person_id),
            "prize": claim.prize,
            "sku": claim.sku,
            "phone": str(claim.phone),
            "marketing": claim.marketing,
            "agrees_now": claim.agrees_now,
        }
        for claim in found
    ]
    show(rows, as_json=as_json)


@vouchers.command()
@click.argument("name")
@click.argument("prize")
@click.argument("pieces", type=click.IntRange(1))
@click.option("--reference", required=True, help="Return note or the like; used once.")
@pass_cli
def withdraw(cli: Cli, /, *, name: str, prize: str, pieces: int, reference: str) -> None:
    """Take PIECES free codes of PRIZE out of use for good, those first that expire last."""
    now, actor = cli.container.clock.now(), cli.actor
    cli.act(
        Act.VOUCHERS_WITHDRAWN,
        lambda session: supplies.withdraw(
            session,
            campaign_id=find_campaign(session, name),
            prize=prize,
            pieces=pieces,
            reference=reference,
            now=now,
            actor=actor,
        ),
        on=f"campaign {name}",
        detail={"prize": prize, "pieces": -pieces, "reference": reference},
    )
    click.echo(f"{pieces:,} withdrawn")
