"""`saoma batches` and `saoma packs`: codes from the factory order to the emergency stop."""

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.catalogue.queries import products
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.places import brand_id
from app.codes import operations, queries
from app.codes.outcome import CodeLevel, Placement
from app.codes.pack import Pack
from app.codes.packs import write_csv
from app.codes.sheets import PictureKind, SheetLayout, write_pictures
from app.kernel.json import Json

_RANGE = (
    click.option("--first", default=0, show_default=True, help="First index."),
    click.option("--last", type=int, help="Last index, included; without it the last of the batch."),
)


def _range(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_RANGE):
        command = option(command)
    return command


@click.group()
def batches() -> None:
    """Create batches of codes; activate, ship, freeze and unfreeze them by index range.

    \b
    Examples:
      saoma batches create tea-house OOLONG-500 --lot L2026-11 --size 1000000 --under-cap
      saoma batches activate 1
      saoma batches ship 1 --region 310000 --first 0 --last 49999 --attribute channel=supermarket
      saoma batches freeze 1 --first 20000 --last 20999 --reason "pack stolen"
    """


@batches.command()
@click.argument("brand")
@click.argument("sku")
@click.option("--lot", required=True, help="Production lot.")
@click.option("--size", required=True, type=click.IntRange(1), help="How many codes.")
@click.option(
    "--level",
    default=CodeLevel.ITEM.value,
    show_default=True,
    type=click.Choice([level.value for level in CodeLevel]),
    help="What the codes are printed on.",
)
@click.option("--under-cap/--outside", default=False, help="Where the code is printed.")
@click.option("--needs-shipping/--no-shipping", default=None, help="Whether a code works only once shipped.")
@pass_cli
def create(
    cli: Cli, /, *, brand: str, sku: str, lot: str, size: int, level: str, **switches: bool | None
) -> None:
    """Create a batch of codes for product SKU of BRAND. Nothing works before `activate`."""
    now, actor = cli.container.clock.now(), cli.actor
    placement = Placement.UNDER_CAP if switches["under_cap"] else Placement.OUTSIDE

    def work(session: Session) -> int:
        return operations.create_batch(
            session,
            product_id=product_id(session, brand, sku),
            lot=lot,
            size=size,
            placement=placement,
            needs_shipping=switches["needs_shipping"],
            level=CodeLevel(level),
            actor=actor,
            now=now,
        )

    facts: dict[str, Json] = {"brand": brand, "sku": sku, "lot": lot, "size": size}
    made = cli.act(Act.BATCH_CREATED, work, on=lambda number: f"batch {number}", detail=facts)
    click.echo(f"batch {made}: {size:,} codes, not active yet")


def product_id(session: Session, brand: str, sku: str) -> int:
    """Return the id of a brand's product."""
    owner = brand_id(session, brand)
    assert owner is not None
    found = [product for product in products(session, brand_id=owner) if product.sku == sku]
    if not found:
        raise click.ClickException("the brand has no product with this SKU; see `saoma products list`")
    return found[0].id


@batches.command("list")
@json_option
@pass_cli
def list_batches(cli: Cli, /, *, as_json: bool) -> None:
    """Show the newest batches."""
    rows = [
        {
            "batch": batch.id,
            "lot": batch.lot,
            "size": batch.size,
            "level": batch.level.value,
            "placement": batch.placement.value,
            "needs_shipping": batch.needs_shipping,
        }
        for batch in cli.read(queries.batches)
    ]
    show(rows, as_json=as_json)


@batches.command()
@click.argument("batch", type=int)
@_range
@pass_cli
def activate(cli: Cli, /, *, batch: int, first: int, last: int | None) -> None:
    """Make a range of codes usable: from now on a scan of them counts."""
    now, actor = cli.container.clock.now(), cli.actor
    cli.act(
        Act.CODES_ACTIVATED,
        lambda session: operations.activate(
            session, batch_id=batch, first_index=first, last_index=last, actor=actor, now=now
        ),
        on=f"batch {batch}",
        detail={"first": first, "last": last},
    )
    click.echo("active")


@batches.command()
@click.argument("batch", type=int)
@click.option("--region", help="Six-digit region code of the destination, such as 310000.")
@click.option(
    "--attribute", "attributes", multiple=True, help="case=…, channel=…, order=…, origin=… or dealer=…."
)
@_range
@pass_cli
def ship(
    cli: Cli, /, *, batch: int, region: str | None, attributes: tuple[str, ...], first: int, last: int | None
) -> None:
    """Note that a range of codes was shipped, and where to."""
    now, actor = cli.container.clock.now(), cli.actor
    known = dict(item.split("=", 1) for item in attributes if "=" in item)
    if len(known) != len(attributes):
        raise click.ClickException("an attribute is written name=value, each name once")
    cli.act(
        Act.CODES_SHIPPED,
        lambda session: operations.ship(
            session,
            batch_id=batch,
            region=region,
            attributes=known,
            first_index=first,
            last_index=last,
            actor=actor,
            now=now,
        ),
        on=f"batch {batch}",
        detail={"first": first, "last": last, "region": region},
    )
    click.echo("shipped")


@batches.command()
@click.argument("batch", type=int)
@click.option("--reason", required=True, help="Why; it is kept.")
@_range
@pass_cli
def freeze(cli: Cli, /, *, batch: int, reason: str, first: int, last: int | None) -> None:
    """Stop a range of codes at once: the emergency act."""
    _stop_or_go(cli, Act.CODES_FROZEN, batch, reason, (first, last))
    click.echo("frozen")


@batches.command()
@click.argument("batch", type=int)
@click.option("--reason", required=True, help="Why; it is kept.")
@_range
@pass_cli
def unfreeze(cli: Cli, /, *, batch: int, reason: str, first: int, last: int | None) -> None:
    """Let a range of codes work again."""
    _stop_or_go(cli, Act.CODES_UNFROZEN, batch, reason, (first, last))
    click.echo("working again")


def _stop_or_go(cli: Cli, act: Act, batch: int, reason: str, indexes: tuple[int, int | None]) -> None:
    work = operations.freeze if act is Act.CODES_FROZEN else operations.unfreeze
    now, actor = cli.container.clock.now(), cli.actor
    first, last = indexes
    cli.act(
        act,
        lambda session: work(
            session, batch_id=batch, reason=reason, first_index=first, last_index=last, actor=actor, now=now
        ),
        on=f"batch {batch}",
        detail={"first": first, "last": last},
    )


@click.group()
def packs() -> None:
    """Write print packs: files for the printer, with a manifest and SHA-256.

    A command that was stopped goes on where it was when it is run again.

    \b
    Examples:
      saoma packs csv 1 --into packs/
      saoma packs pictures 1 svg --count 1000 --into packs/
      saoma packs pictures 1 pdf --count 240 --columns 5 --rows 8
    """


def _pack(cli: Cli, batch: int, first: int, count: int | None) -> Pack:
    now = cli.container.clock.now()
    book = cli.container.code_book
    # Unused codes are as good as money: who had them printed is written down.
    return cli.act(
        Act.CODES_PRINTED,
        lambda session: queries.print_pack(
            session, book=book, batch_id=batch, first_index=first, count=count, now=now
        ),
        on=f"batch {batch}",
        detail={"first": first, "count": count},
    )


@contextmanager
def _progress(total: int) -> Any:
    with click.progressbar(length=total, label=f"{total:,} codes") as bar:
        shown = 0

        def report(done: int) -> None:
            nonlocal shown
            bar.update(done - shown)
            shown = done

        yield report


@packs.command()
@click.argument("batch", type=int)
@click.option("--first", default=0, show_default=True, help="First index.")
@click.option("--count", type=click.IntRange(1), help="How many codes; without it all that follow.")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Folder; SAOMA_DATA/packs.")
@pass_cli
def csv(cli: Cli, /, *, batch: int, first: int, count: int | None, into: Path | None) -> None:
    """Write index, code and address of each code as CSV."""
    pack = _pack(cli, batch, first, count)
    folder = into or cli.settings.data / "packs"
    with _progress(pack.count) as report:
        manifest = write_csv(pack, folder, progress=report)
    click.echo(f"{manifest.path(folder)}: {pack.count:,} codes")


@packs.command()
@click.argument("batch", type=int)
@click.argument("kind", type=click.Choice([kind.value for kind in PictureKind]))
@click.option("--first", default=0, show_default=True, help="First index.")
@click.option("--count", type=click.IntRange(1), help="How many codes; without it all that follow.")
@click.option("--columns", default=5, show_default=True, help="Codes beside one another on a PDF sheet.")
@click.option("--rows", default=8, show_default=True, help="Codes below one another on a PDF sheet.")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Folder; SAOMA_DATA/packs.")
@pass_cli
def pictures(cli: Cli, /, *, batch: int, kind: str, first: int, count: int | None, **more: Any) -> None:
    """Write QR pictures: SVG or PNG in zip files, or PDF sheets."""
    pack = _pack(cli, batch, first, count)
    folder = more["into"] or cli.settings.data / "packs"
    layout = SheetLayout(columns=more["columns"], rows=more["rows"])
    with _progress(pack.count) as report:
        manifest = write_pictures(pack, folder, PictureKind(kind), layout=layout, progress=report)
    click.echo(f"{manifest.path(folder)}: {pack.count:,} codes")
