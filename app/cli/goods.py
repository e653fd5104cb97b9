"""`saoma goods`: prizes that are sent by courier or handed over in stores."""

import csv
import io
from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.cli.campaigns import find_campaign
from app.cli.context import Cli, json_option, pass_cli, show
from app.codes import files
from app.goods import operations, queries, redemption
from app.goods.models import DeliveryState
from app.goods.queries import Parcel
from app.organisation.regions import name as region_name

_OPEN = (DeliveryState.ASKED, DeliveryState.EXPORTED)


@click.group()
def goods() -> None:
    """Send goods that were won, and hand them over in stores.

    \b
    Examples:
      saoma goods list tea-house/june
      saoma goods export tea-house/june --into parcels.csv
      saoma goods send aw_3k7q2m9xw4e5r --courier SF --tracking SF1234567890
      saoma goods reopen aw_3k7q2m9xw4e5r --reason "the parcel came back"
      saoma goods redeem R1ABC… --store S-001
    """


@goods.command("list")
@click.argument("name")
@click.option("--all", "everything", is_flag=True, help="Show what was sent or handed over, too.")
@json_option
@pass_cli
def list_deliveries(cli: Cli, /, *, name: str, everything: bool, as_json: bool) -> None:
    """Show what waits to be sent, the longest waiting first; without names and addresses."""
    states = tuple(DeliveryState) if everything else _OPEN
    found = cli.read(
        lambda session: queries.deliveries(session, campaign_id=find_campaign(session, name), states=states)
    )
    rows = [
        {
            "award": cli.public("aw", row.award_id),
            "state": row.state.value,
            "region": row.region,
            "courier": row.courier,
            "tracking": row.tracking_no,
            "asked_at": row.asked_at and row.asked_at.isoformat(timespec="seconds"),
        }
        for row in found
    ]
    show(rows, as_json=as_json)


@goods.command()
@click.argument("name")
@click.option("--into", required=True, type=click.Path(dir_okay=False, path_type=Path), help="CSV file.")
@pass_cli
def export(cli: Cli, /, *, name: str, into: Path) -> None:
    """Write the parcels that have not left, with names, phones and addresses, for whoever sends them.

    From then on their winners cannot change the address. The file is readable by its owner only; remove it
    when the parcels have left.
    """

    def work(session: Session) -> list[Parcel]:
        campaign = find_campaign(session, name)
        operations.mark_exported(session, campaign_id=campaign)
        return queries.parcels(session, campaign_id=campaign)

    found = cli.act(Act.GOODS_EXPORTED, work, on=f"campaign {name}")
    text = io.StringIO()
    out = csv.writer(text)
    out.writerow(["award", "prize", "receiver", "phone", "region", "region_name", "address"])
    for parcel in found:
        where = (parcel.phone, parcel.region, region_name(parcel.region))
        who = (cli.public("aw", parcel.award_id), parcel.prize, _plain(parcel.receiver))
        out.writerow([*who, *where, _plain(parcel.address)])
    files.replace(into, text.getvalue().encode("utf-8-sig"))
    click.echo(f"{into}: {len(found):,} parcels")


def _plain(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: shoppers wrote it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t")) else cell


@goods.command()
@click.argument("award")
@click.option("--courier", required=True, help="Who carries it.")
@click.option("--tracking", required=True, help="The parcel's number.")
@pass_cli
def send(cli: Cli, /, *, award: str, courier: str, tracking: str) -> None:
    """Record that AWARD was given to a courier; its winner sees the number."""
    number, now, actor = cli.id("aw", award), cli.container.clock.now(), cli.actor
    cli.act(
        Act.GOODS_SENT,
        lambda session: operations.send(
            session, award_id=number, courier=courier, tracking_no=tracking, now=now, actor=actor
        ),
        on=f"award {award}",
        detail={"courier": courier, "tracking": tracking},
    )
    click.echo("sent")


@goods.command()
@click.argument("award")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def reopen(cli: Cli, /, *, award: str, reason: str) -> None:
    """Give AWARD back to its winner, to say anew how to get it: it cannot be sent where it should be."""
    number, now, actor = cli.id("aw", award), cli.container.clock.now(), cli.actor
    cli.act(
        Act.GOODS_REOPENED,
        lambda session: operations.reopen(session, award_id=number, reason=reason, now=now, actor=actor),
        on=f"award {award}",
    )
    click.echo("reopened")


@goods.command()
@click.argument("code")
@click.option("--store", "store_code", required=True, help="Code of the store.")
@pass_cli
def redeem(cli: Cli, /, *, code: str, store_code: str) -> None:
    """Hand goods over to whoever shows CODE, once."""
    now, actor = cli.container.clock.now(), cli.actor
    keys = cli.container.keyring.signing_keys(redemption.KEY_PURPOSE)
    number = redemption.verify(keys, text=code.strip(), now=now)
    cli.act(
        Act.GOODS_HANDED_OVER,
        lambda session: operations.hand_over(
            session, award_id=number, store_code=store_code, now=now, actor=actor
        ),
        on=f"award {cli.public('aw', number)}",
        detail={"store": store_code},
    )
    click.echo(f"handed over: {cli.public('aw', number)}")
