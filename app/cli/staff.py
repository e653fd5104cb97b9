"""`saoma staff`: who works in which store, and what a brand gives them for a case that they scan."""

from datetime import datetime

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.places import brand_id
from app.incentives import operations, queries


@click.group()
def staff() -> None:
    """Register the staff of stores; set what they earn by scanning cases.

    \b
    Examples:
      saoma staff add pe_3x7… --store S-4
      saoma staff list --store S-4
      saoma staff remove pe_3x7…
      saoma staff cases --store S-4
      saoma staff reward tea-house --points 20 --from 2026-06-01T00:00:00+08:00 --to 2026-09-01T00:00:00+08:00
    """


@staff.command()
@click.argument("person")
@click.option("--store", required=True, help="Code of the store.")
@pass_cli
def add(cli: Cli, /, *, person: str, store: str) -> None:
    """Note that PERSON works in a store, and in no other."""
    person_id, now, actor = cli.id("pe", person), cli.container.clock.now(), cli.actor
    cli.act(
        Act.STAFF_REGISTERED,
        lambda session: operations.register(
            session, person_id=person_id, store_code=store, actor=actor, now=now
        ),
        on=f"person {person}",
        detail={"store": store},
    )
    click.echo(f"{person} works in {store}")


@staff.command()
@click.argument("person")
@pass_cli
def remove(cli: Cli, /, *, person: str) -> None:
    """Note that PERSON works in no store any more; what they earned stays theirs."""
    person_id = cli.id("pe", person)
    cli.act(
        Act.STAFF_DISMISSED,
        lambda session: operations.dismiss(session, person_id=person_id),
        on=f"person {person}",
    )
    click.echo(f"{person} works in no store")


@staff.command("list")
@click.option("--store", help="Only this store.")
@json_option
@pass_cli
def list_staff(cli: Cli, /, *, store: str | None, as_json: bool) -> None:
    """Show who works where, what they were rewarded for there, and how many members they brought."""
    rows = [
        {
            "store": found.store,
            "person": cli.public("pe", found.person_id),
            "since": found.since.isoformat(timespec="seconds"),
            "cases": found.cases,
            "points": found.points,
            "members": found.members,
        }
        for found in cli.read(lambda session: queries.staff(session, store_code=store))
    ]
    show(rows, as_json=as_json)


@staff.command()
@click.option("--store", help="Only this store.")
@click.option("--elsewhere", is_flag=True, help="Only cases that were shipped to another store's dealer.")
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 10_000))
@json_option
@pass_cli
def cases(cli: Cli, /, *, store: str | None, elsewhere: bool, limit: int, as_json: bool) -> None:
    """Show which cases the stores have, as their staff scanned them, the latest first."""
    rows = [
        {
            "at": found.at.isoformat(timespec="seconds"),
            "store": found.store,
            "dealer": found.dealer,
            "shipped to": found.shipped_to,
            "sku": found.sku,
            "batch": found.batch_id,
            "index": found.code_index,
            "person": cli.public("pe", found.person_id),
            "points": found.points,
        }
        for found in cli.read(
            lambda session: queries.cases(session, store_code=store, elsewhere=elsewhere, limit=limit)
        )
    ]
    show(rows, as_json=as_json)


@staff.command()
@click.argument("brand")
@click.option("--points", required=True, type=int, help="Points for a case.")
@click.option("--from", "starts", required=True, help="First moment, with its zone.")
@click.option("--to", "ends", required=True, help="First moment after it, with its zone.")
@pass_cli
def reward(cli: Cli, /, *, brand: str, points: int, starts: str, ends: str) -> None:
    """Set what BRAND gives for a case, in place of what it gave before."""
    starts_at, ends_at = _moment(starts), _moment(ends)
    now, actor = cli.container.clock.now(), cli.actor

    def work(session: Session) -> None:
        owner = brand_id(session, brand)
        assert owner is not None
        operations.set_reward(
            session,
            brand_id=owner,
            points=points,
            starts_at=starts_at,
            ends_at=ends_at,
            actor=actor,
            now=now,
        )

    cli.act(
        Act.STAFF_REWARD_SET,
        work,
        on=f"brand {brand}",
        detail={"points": points, "from": starts_at.isoformat(), "to": ends_at.isoformat()},
    )
    click.echo(f"{brand} gives {points} points for a case")


@staff.command()
@json_option
@pass_cli
def rewards(cli: Cli, /, *, as_json: bool) -> None:
    """Show what the brands give."""
    rows = [
        {
            "brand": found.brand,
            "points": found.points,
            "from": found.starts_at.isoformat(timespec="seconds"),
            "to": found.ends_at.isoformat(timespec="seconds"),
        }
        for found in cli.read(queries.rewards)
    ]
    show(rows, as_json=as_json)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.ClickException("a moment is told with its zone, such as 2026-06-01T00:00:00+08:00")
    return found
