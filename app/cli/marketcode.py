"""`saoma marketcode`: codes that WeChat makes, from the order to the activation."""

from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.cli.codes import product_id
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.places import secret_from
from app.codes import files, market
from app.codes.errors import InvalidMarketFile
from app.codes.interfaces import Opening, Stretch
from app.codes.market_handlers import FileCall, fetch
from app.codes.models import OrderState
from app.codes.outcome import Placement
from app.kernel.json import Json
from app.organisation import queries as organisation
from app.organisation.models import AppKind


@click.group()
def marketcode() -> None:
    """Order codes that WeChat makes (一物一码), print them, and activate them by range.

    \b
    Examples:
      KEY=… saoma marketcode account wxservice000000 --opens wx1234567890abcdef --key-env KEY
      saoma marketcode order tea-house OOLONG-500 --account wxservice000000 --lot L12 --codes 100000
      saoma marketcode status
      saoma marketcode print 7 --into printer/
      saoma marketcode activate 7 --first 0 --last 49999 --activity "Scan and win" \\
          --brand-name "Spring Tea" --title "Oolong 500ml" --ean 6901234567892 --page pages/index/index
    """


@marketcode.command("account")
@click.argument("appid")
@click.option("--opens", required=True, help="Mini-program that the codes open.")
@click.option("--key-env", help="Environment variable that holds the key of 16 characters.")
@pass_cli
def save_account(cli: Cli, /, *, appid: str, opens: str, key_env: str | None) -> None:
    """Let the service account APPID order codes, or give it a new key.

    It is registered by `saoma apps add APPID --kind service`, with its secret. WeChat sends the key to the
    service account when it grants the capability; without `--key-env` the one that is known stays.
    """
    key = None if key_env is None else secret_from(key_env)
    now = cli.container.clock.now()

    def work(session: Session) -> None:
        opened = organisation.app_by_appid(session, appid=opens, kinds=[AppKind.MINIPROGRAM])
        market.save_account(session, app_id=opened.id, appid=appid, file_key=key, now=now)

    cli.act(Act.APP_SAVED, work, on=f"service account {appid}", detail={"opens": opens})
    click.echo(f"service account {appid} may order codes that open {opens}")


@marketcode.command()
@click.argument("brand")
@click.argument("sku")
@click.option("--account", "appid", required=True, help="Service account that orders.")
@click.option("--lot", required=True, help="Production lot.")
@click.option("--codes", required=True, type=int, help="How many: 10,000 to 20,000,000, in ten thousands.")
@click.option("--under-cap/--outside", default=False, help="Where the code is printed.")
@click.option("--needs-shipping/--no-shipping", default=None, help="Whether a code works only once shipped.")
@pass_cli
def order(
    cli: Cli, /, *, brand: str, sku: str, appid: str, lot: str, codes: int, **switches: bool | None
) -> None:
    """Order codes of WeChat for product SKU of BRAND; they make a batch.

    WeChat makes them within hours; the scheduler fetches them. `status` tells how far it is.
    """
    container, actor = cli.container, cli.actor
    now = container.clock.now()
    placement = Placement.UNDER_CAP if switches["under_cap"] else Placement.OUTSIDE

    def work(session: Session) -> tuple[int, int]:
        return market.order(
            session,
            account_id=market.account_by_appid(session, appid=appid).id,
            product_id=product_id(session, brand, sku),
            lot=lot,
            codes=codes,
            placement=placement,
            needs_shipping=switches["needs_shipping"],
            actor=actor,
            now=now,
        )

    facts: dict[str, Json] = {"brand": brand, "sku": sku, "lot": lot, "size": codes, "wechat": appid}
    made = cli.act(Act.BATCH_CREATED, work, on=lambda asked: f"batch {asked[0]}", detail=facts)
    batch_id, message = made
    container.drainer.deliver(market.ORDER_TOPIC, message)
    found = cli.read(lambda session: market.order_of(session, batch_id=batch_id))
    click.echo(f"batch {batch_id}: {codes:,} codes ordered, {_standing(found)}")


@marketcode.command()
@json_option
@pass_cli
def status(cli: Cli, /, *, as_json: bool) -> None:
    """Show the newest orders: what WeChat says, how many files are here, what stands in the way."""
    rows = [
        {
            "batch": found.batch_id,
            "codes": found.codes,
            "state": found.state.value,
            "wechat": found.application_id,
            "files": f"{found.loaded} of {found.files}" if found.files else "",
            "fault": found.fault,
            "ordered": found.asked_at.isoformat(timespec="minutes"),
        }
        for found in cli.read(market.orders)
    ]
    show(rows, as_json=as_json)


@marketcode.command("print")
@click.argument("batch", type=int)
@click.option(
    "--into",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the printer's files.",
)
@pass_cli
def print_codes(cli: Cli, /, *, batch: int, into: Path) -> None:
    """Write the links of BATCH for the printer: a file for each of WeChat's, `index,code,link`.

    They are fetched again, since no code is kept here, and compared with what was taken in. Files that are
    there are kept, so a run that was stopped goes on. They are worth money: delete them once printed.
    """
    found = cli.read(lambda session: market.order_of(session, batch_id=batch))
    if found.state is not OrderState.LOADED or found.application_id is None:
        raise click.ClickException(f"the codes are not all here: {_standing(found)}")
    into.mkdir(parents=True, exist_ok=True)
    owner = cli.act(
        Act.CODES_PRINTED,
        lambda session: market.account(session, account_id=found.account_id),
        on=f"batch {batch}",
        detail={"codes": found.codes},
    )
    listed = cli.read(lambda session: market.files_of(session, batch_id=batch))
    with files.only_writer(into):
        for number, (stretch, digest) in enumerate(listed, 1):
            path = into / f"wechat-{batch}-{stretch.first:08d}-{stretch.last:08d}.csv"
            if not path.exists():
                call = FileCall(owner.credentials, owner.file_key, found.application_id, stretch)
                sha256, codes = fetch(cli.container.market_codes, call)
                if sha256 != digest:
                    raise InvalidMarketFile(
                        f"the codes from index {stretch.first} are not those that were taken in: print none"
                    )
                lines = [
                    f"{index},{made.code},{made.link}" for index, made in enumerate(codes, stretch.first)
                ]
                files.replace(path, "\r\n".join(["index,code,link", *lines, ""]).encode())
            click.echo(
                f"{number} of {len(listed)} files, {stretch.last + 1:,} of {found.codes:,} codes", err=True
            )
    click.echo(f"batch {batch}: {found.codes:,} codes in {len(listed)} files")


@marketcode.command()
@click.argument("batch", type=int)
@click.option("--first", required=True, type=int, help="First index.")
@click.option("--last", required=True, type=int, help="Last index, included.")
@click.option("--activity", required=True, help="Name of the activity.")
@click.option("--brand-name", required=True, help="Brand, as WeChat is to know it.")
@click.option("--title", required=True, help="Product, as WeChat is to know it.")
@click.option("--ean", required=True, help="Product code, 8 to 14 digits.")
@click.option("--page", required=True, help="Page of the mini-program, such as pages/index/index.")
@click.option(
    "--version",
    default="release",
    show_default=True,
    type=click.Choice(["release", "develop", "trial"]),
    help="Version of the mini-program.",
)
@pass_cli
def activate(cli: Cli, /, *, batch: int, first: int, last: int, **words: Any) -> None:
    """Let a range of BATCH open the mini-program: at WeChat, and with us once WeChat has agreed."""
    container, actor = cli.container, cli.actor
    now = container.clock.now()

    def work(session: Session) -> tuple[int, int]:
        found = market.order_of(session, batch_id=batch)
        opening = Opening(
            activity_name=words["activity"],
            product_brand=words["brand_name"],
            product_title=words["title"],
            product_code=words["ean"],
            appid=market.account(session, account_id=found.account_id).opens,
            path=words["page"],
            page_type=("release", "develop", "trial").index(words["version"]),
        )
        return market.activate_at_wechat(
            session, batch_id=batch, stretch=Stretch(first, last), opening=opening, actor=actor, now=now
        )

    facts: dict[str, Json] = {"first": first, "last": last, "wechat": True}
    _, message = cli.act(Act.CODES_ACTIVATED, work, on=f"batch {batch}", detail=facts)
    container.drainer.deliver(market.ACTIVATION_TOPIC, message)
    listed = cli.read(lambda session: market.activations(session, batch_id=batch))
    (mine,) = [found for found in listed if found.stretch == (first, last)][-1:]
    click.echo(f"{mine.state.value}{': ' + mine.fault if mine.fault else ''}")


@marketcode.command()
@click.argument("batch", type=int)
@json_option
@pass_cli
def activations(cli: Cli, /, *, batch: int, as_json: bool) -> None:
    """Show the ranges of BATCH that WeChat was asked to activate."""
    rows = [
        {
            "first": found.stretch.first,
            "last": found.stretch.last,
            "state": found.state.value,
            "product": found.product_title,
            "page": found.path,
            "fault": found.fault,
            "asked": found.asked_at.isoformat(timespec="minutes"),
            "by": found.asked_by,
        }
        for found in cli.read(lambda session: market.activations(session, batch_id=batch))
    ]
    show(rows, as_json=as_json)


def _standing(found: market.OrderView) -> str:
    said = found.state.value
    if found.files:
        said += f", {found.loaded} of {found.files} files are here"
    return said if found.fault is None else f"{said}; {found.fault}"
