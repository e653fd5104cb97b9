"""`saoma brands`, `apps`, `products`, `dealers`, `stores`: what campaigns and codes stand on."""

import os
from datetime import datetime

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.catalogue import operations as catalogue
from app.catalogue import queries as products_of
from app.cli.context import Cli, json_option, pass_cli, show
from app.kernel.json import Json
from app.organisation import operations as organisation
from app.organisation import penalties as penalties_of
from app.organisation import queries as organisation_queries
from app.organisation.message_keys import set_message_keys
from app.organisation.models import AppKind


@click.group()
def brands() -> None:
    """Add and list brands.

    \b
    Examples:
      saoma brands add tea-house --zh 山泉茶 --en "Spring Tea"
      saoma brands list
    """


@brands.command("add")
@click.argument("slug")
@click.option("--zh", required=True, help="Chinese name.")
@click.option("--en", required=True, help="English name.")
@pass_cli
def add_brand(cli: Cli, /, *, slug: str, zh: str, en: str) -> None:
    """Add the brand SLUG."""
    now = cli.container.clock.now()
    cli.act(
        Act.BRAND_ADDED,
        lambda session: organisation.create_brand(session, slug=slug, name_zh=zh, name_en=en, now=now),
        on=f"brand {slug}",
    )
    click.echo(f"brand {slug} added")


@brands.command("list")
@json_option
@pass_cli
def list_brands(cli: Cli, /, *, as_json: bool) -> None:
    """Show the brands."""
    rows = [
        {"slug": brand.slug, "zh": brand.name_zh, "en": brand.name_en}
        for brand in cli.read(organisation_queries.brands)
    ]
    show(rows, as_json=as_json)


@click.group()
def apps() -> None:
    """Register mini-programs, service accounts, corps; see what the platform punishes; let friends help.

    \b
    Examples:
      SECRET=… saoma apps add wx1234567890abcdef --secret-env SECRET
      SECRET=… saoma apps add wxabcdef1234567890 --kind service --secret-env SECRET
      SECRET=… saoma apps add wwabcdef1234567890 --kind corp --agent 1000002 --secret-env SECRET
      TOKEN=… KEY=… saoma apps messages wx1234567890abcdef --token-env TOKEN --key-env KEY
      saoma apps penalties
      saoma apps resume wx1234567890abcdef --reason "page mended, case 4711 closed"
    """


@apps.command("add")
@click.argument("appid")
@click.option("--secret-env", required=True, help="Environment variable that holds the AppSecret.")
@click.option("--brand", help="The brand that it belongs to; without it every brand.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in AppKind]),
    default=AppKind.MINIPROGRAM.value,
    show_default=True,
    help="service: a verified service account (服务号), corp: a company's WeCom; both send red packets.",
)
@click.option("--agent", help="Number of the corp's application (AgentId) that the secret is of.")
@pass_cli
def add_app(
    cli: Cli, /, *, appid: str, secret_env: str, brand: str | None, kind: str, agent: str | None
) -> None:
    """Register the app APPID, or give it a new secret; of a corp, APPID is its corpid."""
    secret = secret_from(secret_env)
    now = cli.container.clock.now()

    def work(session: Session) -> int:
        return organisation.register_app(
            session,
            appid=appid,
            secret=secret,
            kind=AppKind(kind),
            agentid=agent,
            brand_id=brand_id(session, brand),
            now=now,
        )

    cli.act(Act.APP_SAVED, work, on=f"app {appid}", detail={"brand": brand, "kind": kind, "agent": agent})
    click.echo(f"app {appid} registered")


@apps.command()
@click.argument("appid")
@click.option("--token-env", required=True, help="Environment variable that holds the Token.")
@click.option("--key-env", required=True, help="Environment variable that holds the EncodingAESKey.")
@click.option("--at-once", is_flag=True, help="They have leaked: no former ones count from now on.")
@pass_cli
def messages(cli: Cli, /, *, appid: str, token_env: str, key_env: str, at_once: bool) -> None:
    """Take what the platform pushes about the mini-program APPID, such as its penalties.

    Set both in the platform's console, with the address that is printed, safe mode, JSON or XML. Exchange
    them here first: the former ones count for a day more.
    """
    token, key, now = secret_from(token_env), secret_from(key_env), cli.container.clock.now()

    def work(session: Session) -> datetime | None:
        return set_message_keys(session, appid=appid, token=token, encoding_key=key, now=now, at_once=at_once)

    said = {"messages": True, "at_once": at_once}
    until = cli.act(Act.APP_SAVED, work, on=f"app {appid}", detail=said)
    if until is not None:
        click.echo(f"the former ones count until {until.isoformat(timespec='minutes')}")
    click.echo(f"address: {cli.settings.public_url}/miniprogram/v1/callbacks/messages/{appid}")


@apps.command()
@json_option
@pass_cli
def penalties(cli: Cli, /, *, as_json: bool) -> None:
    """Show the platform's penalties, the newest first; those without `resumed` pause friends' help."""
    rows = [
        {
            "app": found.appid,
            "kind": found.kind.value,
            "reason": found.reason,
            "rule": found.rule,
            "mend by": found.rectify_by and found.rectify_by.isoformat(timespec="minutes"),
            "received": found.received_at.isoformat(timespec="seconds"),
            "resumed": found.resumed_at and found.resumed_at.isoformat(timespec="seconds"),
            "by": found.resumed_by,
            "why": found.resume_reason,
        }
        for found in cli.read(penalties_of.penalties)
    ]
    show(rows, as_json=as_json)


@apps.command()
@click.argument("appid")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def resume(cli: Cli, /, *, appid: str, reason: str) -> None:
    """Let friends help again in the mini-program APPID, once its penalties are dealt with."""
    now, actor = cli.container.clock.now(), cli.actor
    count = cli.act(
        Act.APP_RESUMED,
        lambda session: penalties_of.resume(session, appid=appid, reason=reason, now=now, actor=actor),
        on=f"app {appid}",
        detail=lambda settled: {"penalties": settled},
    )
    click.echo(f"{appid}: friends can help again; penalties settled: {count}")


@click.group()
def products() -> None:
    """Add and list products.

    \b
    Examples:
      saoma products add tea-house OOLONG-500 --line classic --zh 乌龙茶 --en "Oolong tea" --spec 500ml
      saoma products list tea-house
    """


@products.command("add")
@click.argument("brand")
@click.argument("sku")
@click.option("--line", required=True, help="Product line.")
@click.option("--zh", required=True, help="Chinese name.")
@click.option("--en", required=True, help="English name.")
@click.option("--category", help="Category.")
@click.option("--spec", help="Specification, such as 500ml.")
@click.option("--tag", "tags", multiple=True, help="Tag; may be given several times.")
@click.option("--origin", help="Place of origin.")
@pass_cli
def add_product(cli: Cli, /, *, brand: str, sku: str, line: str, zh: str, en: str, **more: object) -> None:
    """Add the product SKU to BRAND."""
    now = cli.container.clock.now()
    fields = {name: value for name, value in more.items() if value}

    def work(session: Session) -> int:
        owner = brand_id(session, brand)
        assert owner is not None
        return catalogue.create_product(
            session,
            brand_id=owner,
            sku=sku,
            line=line,
            name_zh=zh,
            name_en=en,
            now=now,
            **fields,  # type: ignore[arg-type]
        )

    cli.act(Act.PRODUCT_ADDED, work, on=f"product {brand}/{sku}")
    click.echo(f"product {sku} added")


@products.command("list")
@click.argument("brand")
@json_option
@pass_cli
def list_products(cli: Cli, /, *, brand: str, as_json: bool) -> None:
    """Show the products of BRAND."""

    def work(session: Session) -> list[dict[str, object]]:
        owner = brand_id(session, brand)
        assert owner is not None
        return [
            {"id": product.id, "sku": product.sku, "line": product.line, "zh": product.name_zh}
            for product in products_of.products(session, brand_id=owner)
        ]

    show(cli.read(work), as_json=as_json)


@click.group()
def dealers() -> None:
    """Add and list dealers with the regions that they sell in.

    \b
    Examples:
      saoma dealers save D-17 --name 华东商贸 --region 310000 --region 320500
      saoma dealers list
    """


@dealers.command("save")
@click.argument("code")
@click.option("--name", required=True, help="Name of the company.")
@click.option("--region", "regions", multiple=True, required=True, help="Six-digit region; may be repeated.")
@pass_cli
def save_dealer(cli: Cli, /, *, code: str, name: str, regions: tuple[str, ...]) -> None:
    """Add the dealer CODE, or change its name and regions."""
    now = cli.container.clock.now()
    cli.act(
        Act.DEALER_SAVED,
        lambda session: organisation.save_dealer(session, code=code, name=name, regions=regions, now=now),
        on=f"dealer {code}",
        detail={"regions": list[Json](regions)},
    )
    click.echo(f"dealer {code} saved")


@dealers.command("list")
@json_option
@pass_cli
def list_dealers(cli: Cli, /, *, as_json: bool) -> None:
    """Show the dealers."""
    rows = [
        {"code": dealer.code, "name": dealer.name, "regions": " ".join(dealer.regions)}
        for dealer in cli.read(organisation_queries.dealers)
    ]
    show(rows, as_json=as_json)


@click.group()
def stores() -> None:
    """Add and list stores.

    \b
    Examples:
      saoma stores save S-4 --name 南京路店 --dealer D-17 --region 310101
      saoma stores list
    """


@stores.command("save")
@click.argument("code")
@click.option("--name", required=True, help="Name of the store.")
@click.option("--dealer", required=True, help="Code of the dealer that supplies it.")
@click.option("--region", required=True, help="Six-digit region.")
@pass_cli
def save_store(cli: Cli, /, *, code: str, name: str, dealer: str, region: str) -> None:
    """Add the store CODE, or change its name and region."""
    now = cli.container.clock.now()
    cli.act(
        Act.STORE_SAVED,
        lambda session: organisation.save_store(
            session, code=code, name=name, dealer_code=dealer, region=region, now=now
        ),
        on=f"store {code}",
        detail={"dealer": dealer, "region": region},
    )
    click.echo(f"store {code} saved")


@stores.command("list")
@json_option
@pass_cli
def list_stores(cli: Cli, /, *, as_json: bool) -> None:
    """Show the stores."""
    rows = [
        {"code": store.code, "name": store.name, "dealer": store.dealer_code, "region": store.region}
        for store in cli.read(organisation_queries.stores)
    ]
    show(rows, as_json=as_json)


def brand_id(session: Session, slug: str | None) -> int | None:
    """Return the id of the brand with `slug`; None for None."""
    return None if slug is None else organisation_queries.brand_by_slug(session, slug=slug).id


def secret_from(variable: str) -> str:
    """Return the secret in environment variable `variable`: never on the command line, which others see."""
    secret = os.environ.get(variable, "")
    if not secret:
        raise click.ClickException(f"the environment variable {variable} is empty; put the secret into it")
    return secret
