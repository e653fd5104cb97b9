"""`saoma campaigns` and `saoma draws`: from the rules file to the verified draw."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from app import approving
from app.access.approvals import Proposal
from app.access.roles import Act
from app.campaigns import funding, operations, queries
from app.campaigns.errors import (
    DisclosureIncomplete,
    OverlapsCampaigns,
    PromiseNotBacked,
    RulesInvalid,
    RulesRefused,
)
from app.campaigns.models import Campaign, CampaignState
from app.cli.approvals import facts_of, told
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.places import brand_id
from app.kernel.fen import format_yuan, parse_yuan
from app.kernel.json import Json
from app.payouts.queries import closed_to_new, payer_of

_VERIFIED_AT_ONCE = 500
_WITH_FAULTS = (RulesInvalid, RulesRefused, DisclosureIncomplete, PromiseNotBacked, OverlapsCampaigns)


@click.group()
def campaigns() -> None:
    """Make, fund, publish, change, stop and end campaigns.

    A campaign is named BRAND/KEY. What a change may do once it runs, and what a second account must
    approve (`saoma approvals`), is told in docs/campaigns.md.

    \b
    Examples:
      saoma campaigns create tea-house/june --payer 1900000001
      saoma campaigns save tea-house/june rules.json
      saoma campaigns fund tea-house/june 20000 --reference PO-2026-17
      saoma campaigns stock tea-house/june big 100 --reference PO-2026-18
      saoma campaigns publish tea-house/june --reason "June plan"
      saoma campaigns show tea-house/june
      saoma campaigns change tea-house/june --reason "price of the prize"
      saoma campaigns stop tea-house/june --reason "pack stolen"
    """


def find_campaign(session: Session, name: str) -> int:
    """Return the id of the campaign BRAND/KEY."""
    slug, _, key = name.partition("/")
    owner = brand_id(session, slug)
    assert owner is not None
    return queries.campaign_by_key(session, brand_id=owner, key=key).id


def _act(cli: Cli, act: Act, name: str, work: Callable[[Session, int], Any], **detail: Json) -> Any:
    """Run `work` on the campaign `name`, as an act of whoever is signed in."""
    with _faults_told():
        return cli.act(
            act,
            lambda session: work(session, find_campaign(session, name)),
            on=f"campaign {name}",
            detail=detail,
        )


def _say_if_closed(cli: Cli, name: str) -> None:
    """Say so when the campaign's money goes by a product that new merchants are not given."""

    def closed(session: Session) -> bool:
        campaign = session.get_one(Campaign, find_campaign(session, name))
        return campaign.payer_id is not None and closed_to_new(session, payer_id=campaign.payer_id)

    if cli.read(closed):
        click.echo("  its money goes by red packets, closed to new merchants since 2026-06-18:")
        click.echo("  another merchant number must hold them already, or pay by transfer")


@contextmanager
def _faults_told() -> Iterator[None]:
    """Print every fault of a refusal before the line that ends it."""
    try:
        yield
    except _WITH_FAULTS as error:
        faults: Any = error.extra.get("errors", [])
        for fault in faults:
            click.echo("  " + "  ".join(str(part) for part in fault.values()), err=True)
        raise


def _with_reason(cli: Cli, act: Act, name: str, work: Callable[..., None], reason: str | None) -> None:
    now, actor = cli.container.clock.now(), cli.actor
    _act(
        cli,
        act,
        name,
        lambda session, campaign: work(session, campaign_id=campaign, reason=reason, now=now, actor=actor),
    )


@campaigns.command()
@click.argument("name")
@click.option("--payer", "mchid", help="Merchant number that pays money prizes.")
@pass_cli
def create(cli: Cli, /, *, name: str, mchid: str | None) -> None:
    """Create the empty campaign NAME (BRAND/KEY)."""
    now, actor = cli.container.clock.now(), cli.actor
    slug, _, key = name.partition("/")

    def work(session: Session) -> int:
        owner = brand_id(session, slug)
        assert owner is not None
        paying = payer_of(session, mchid).id if mchid else None
        return operations.create(session, brand_id=owner, key=key, payer_id=paying, now=now, actor=actor)

    cli.act(Act.CAMPAIGN_CREATED, work, on=f"campaign {name}", detail={"payer": mchid})
    click.echo(f"campaign {name} created; save its rules next")


@campaigns.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_cli
def save(cli: Cli, /, *, name: str, file: Path) -> None:
    """Save the rules in FILE (JSON) as the next version; nothing changes for shoppers yet."""
    now, actor = cli.container.clock.now(), cli.actor
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.ClickException(f"{file.name} is not JSON: {error}") from None
    saved = _act(
        cli,
        Act.CAMPAIGN_SAVED,
        name,
        lambda session, campaign: operations.save_version(
            session, campaign_id=campaign, document=document, now=now, actor=actor
        ),
    )
    click.echo(f"version {saved.version} saved, sha256 {saved.sha256}")
    _say_if_closed(cli, name)
    for fault in saved.missing:
        click.echo(f"  missing before it can be published: {fault.path}: {fault.detail}")
    for change in saved.changed:
        side = "for" if change.favours_shoppers else "against"
        click.echo(f"  changes {change.path}: {side} shoppers")


@campaigns.command()
@click.argument("name")
@click.argument("mchid")
@pass_cli
def payer(cli: Cli, /, *, name: str, mchid: str) -> None:
    """Let the payer MCHID pay what is won from now on."""
    now, actor = cli.container.clock.now(), cli.actor
    _act(
        cli,
        Act.CAMPAIGN_PAYER,
        name,
        lambda session, campaign: operations.choose_payer(
            session, campaign_id=campaign, payer_id=payer_of(session, mchid).id, now=now, actor=actor
        ),
        payer=mchid,
    )
    click.echo(f"{mchid} pays from now on")
    _say_if_closed(cli, name)


@campaigns.command()
@click.argument("name")
@click.argument("yuan")
@click.option("--reference", required=True, help="Purchase order or the like; used once.")
@click.option("--pool", help="Move it from the campaign's budget to that of this pool instead.")
@click.option("--out", "outwards", is_flag=True, help="Take it out instead; what is promised must stay.")
@click.option("--reason", help="Why; needed once the rules are published.")
@pass_cli
def fund(cli: Cli, /, *, name: str, yuan: str, reference: str, pool: str | None, **more: Any) -> None:
    """Add YUAN to the budget. Once the rules are published, another account approves whatever moves."""
    now, actor = cli.container.clock.now(), cli.actor
    amount_fen, outwards = _fen(yuan), bool(more["outwards"])
    signed_fen = -amount_fen if outwards else amount_fen
    subject = f"campaign {name}"
    common: dict[str, Any] = {"reference": reference, "now": now, "actor": actor}
    asked: dict[str, Any] = {**common, "subject": subject, "reason": more["reason"]}

    def work(session: Session) -> Proposal | None:
        campaign = find_campaign(session, name)
        if pool is not None or outwards:
            amount = signed_fen if pool is not None else amount_fen
            return approving.propose_outflow(
                session, campaign_id=campaign, amount_fen=amount, pool=pool, **asked
            )
        if operations.take(session, campaign).state is not CampaignState.DRAFT:
            return approving.propose_funds(session, campaign_id=campaign, amount_fen=amount_fen, **asked)
        funding.fund(session, campaign_id=campaign, amount_fen=amount_fen, **common)
        return None

    facts: dict[str, Json] = {"amount_fen": signed_fen, "pool": pool, "reference": reference}
    with _faults_told():
        proposal = cli.act(
            Act.BUDGET_MOVED, work, on=subject, detail=lambda done: facts | facts_of(cli, done)
        )
    if proposal is None:
        click.echo(f"{format_yuan(amount_fen)} yuan {'taken out' if outwards else 'added'}")
    else:
        click.echo(told(cli, proposal))


@campaigns.command()
@click.argument("name")
@json_option
@pass_cli
def outflows(cli: Cli, /, *, name: str, as_json: bool) -> None:
    """Show the money that waits for approval to leave a budget; `back`: it returns from that pool."""
    rows = [
        {
            "reference": view.reference,
            "to": f"pool {view.pool}" if view.pool else "outside",
            "yuan": format_yuan(abs(view.amount_fen)),
            "back": view.amount_fen < 0,
            "reason": view.reason,
            "by": view.proposed_by,
            "at": view.proposed_at.isoformat(timespec="seconds"),
        }
        for view in cli.read(
            lambda session: queries.outflows(session, campaign_id=find_campaign(session, name))
        )
    ]
    show(rows, as_json=as_json)


def _fen(yuan: str) -> int:
    try:
        return parse_yuan(yuan)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


@campaigns.command()
@click.argument("name")
@click.argument("prize")
@click.argument("pieces", type=click.IntRange(1))
@click.option("--reference", required=True, help="Purchase order or the like; used once.")
@click.option("--out", "outwards", is_flag=True, help="Take pieces out instead.")
@pass_cli
def stock(cli: Cli, /, *, name: str, prize: str, pieces: int, reference: str, outwards: bool) -> None:
    """Add PIECES of a limited PRIZE."""
    now, actor = cli.container.clock.now(), cli.actor
    move = funding.stock_out if outwards else funding.stock_in
    _act(
        cli,
        Act.STOCK_MOVED,
        name,
        lambda session, campaign: move(
            session,
            campaign_id=campaign,
            prize=prize,
            pieces=pieces,
            reference=reference,
            now=now,
            actor=actor,
        ),
        prize=prize,
        pieces=-pieces if outwards else pieces,
        reference=reference,
    )
    click.echo(f"{pieces:,} {'taken out' if outwards else 'added'}")


@campaigns.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; it is kept, and the second account reads it.")
@pass_cli
def publish(cli: Cli, /, *, name: str, reason: str) -> None:
    """Propose that NAME starts with its saved rules: another account's approval publishes it.

    Then the rules are frozen and hashed, with a seed that is committed to.
    """
    _publish(cli, Act.CAMPAIGN_PROPOSED, approving.propose_start, name, reason)


@campaigns.command()
@click.argument("name")
@click.option("--reason", help="Why; needed where the change does not favour shoppers.")
@pass_cli
def change(cli: Cli, /, *, name: str, reason: str | None) -> None:
    """Publish the saved version of a running campaign, or propose it to a second account."""
    _publish(cli, Act.CAMPAIGN_CHANGED, approving.propose_change, name, reason)


def _publish(
    cli: Cli,
    act: Act,
    propose: Callable[..., tuple[operations.InForce, Proposal | None]],
    name: str,
    reason: str | None,
) -> None:
    now, actor = cli.container.clock.now(), cli.actor
    subject = f"campaign {name}"

    def work(session: Session) -> tuple[operations.InForce, Proposal | None]:
        campaign = find_campaign(session, name)
        return propose(session, campaign_id=campaign, subject=subject, reason=reason, now=now, actor=actor)

    with _faults_told():
        done, proposal = cli.act(
            act,
            work,
            on=subject,
            detail=lambda made: {"sha256": made[0].sha256} | facts_of(cli, made[1]),
        )
    if proposal is None:
        click.echo(f"version {done.version} is in force")
        return
    for item in done.changed:
        if not item.favours_shoppers:
            click.echo(f"  needs approval: {item.path}")
    click.echo(told(cli, proposal))


@campaigns.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def stop(cli: Cli, /, *, name: str, reason: str) -> None:
    """Stop a campaign at once: the emergency act. What was won stays won."""
    _with_reason(cli, Act.CAMPAIGN_STOPPED, name, operations.stop, reason)
    click.echo("stopped")


@campaigns.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def resume(cli: Cli, /, *, name: str, reason: str) -> None:
    """Let a stopped campaign go on."""
    _with_reason(cli, Act.CAMPAIGN_RESUMED, name, operations.resume, reason)
    click.echo("running")


@campaigns.command()
@click.argument("name")
@click.option("--reason", help="Why; needed before the published end.")
@pass_cli
def end(cli: Cli, /, *, name: str, reason: str | None) -> None:
    """End a campaign for good; its seed is public from now on."""
    _with_reason(cli, Act.CAMPAIGN_ENDED, name, operations.end, reason)
    click.echo("ended; the seed is published")


@campaigns.command("list")
@json_option
@pass_cli
def list_campaigns(cli: Cli, /, *, as_json: bool) -> None:
    """Show the newest campaigns."""
    rows = [
        {
            "campaign": cli.public("ca", view.id),
            "key": view.key,
            "state": view.state.value,
            "version": view.version,
            "starts_at": view.starts_at.isoformat(timespec="minutes") if view.starts_at else None,
            "ends_at": view.ends_at.isoformat(timespec="minutes") if view.ends_at else None,
        }
        for view in cli.read(queries.campaigns)
    ]
    show(rows, as_json=as_json)


@campaigns.command("show")
@click.argument("name")
@json_option
@pass_cli
def show_campaign(cli: Cli, /, *, name: str, as_json: bool) -> None:
    """Show what is left of budget and stock, and how much of a budget is kept for limited prizes."""
    rows = [
        {"what": left.purpose.value, "of": left.key, "left": left.amount, "kept": left.kept}
        for left in cli.read(lambda session: queries.left(session, campaign_id=find_campaign(session, name)))
    ]
    show(rows, as_json=as_json)


@campaigns.command()
@click.argument("name")
@json_option
@pass_cli
def history(cli: Cli, /, *, name: str, as_json: bool) -> None:
    """Show who did what and why, the newest first."""
    rows = [
        {
            "at": event.at.isoformat(timespec="seconds"),
            "by": event.by,
            "action": event.action.value,
            "version": event.version,
            "reason": event.reason,
        }
        for event in cli.read(
            lambda session: queries.history(session, campaign_id=find_campaign(session, name))
        )
    ]
    show(rows, as_json=as_json)


@click.group()
def draws() -> None:
    """Verify draws against the published rules and the committed seed.

    \b
    Examples:
      saoma draws verify dr_3x7…
      saoma draws verify --campaign tea-house/june
    """


@draws.command()
@click.argument("draw", required=False)
@click.option("--campaign", help="Verify every draw of this campaign (BRAND/KEY).")
@pass_cli
def verify(cli: Cli, /, *, draw: str | None, campaign: str | None) -> None:
    """Decide again what was drawn, from its record, and compare. Exit code 2 when anything differs."""
    if (draw is None) == (campaign is None):
        raise click.ClickException("name one draw, or --campaign")
    checked = wrong = 0
    for result in _verifications(cli, draw, campaign):
        checked += 1
        for mismatch in result.mismatches:
            wrong += 1
            click.echo(
                f"{cli.public('dr', result.draw_id)} {mismatch.field}:"
                f" should be {mismatch.expected}, is {mismatch.found}"
            )
    click.echo(f"{checked:,} draws checked, {wrong} differences")
    if wrong:
        raise click.ClickException("the record does not agree with what was promised")


def _verifications(cli: Cli, draw: str | None, campaign: str | None) -> Any:
    if draw is not None:
        number = cli.id("dr", draw)
        yield cli.read(lambda session: queries.verify_draw(session, draw_id=number))
        return
    found = cli.read(lambda session: find_campaign(session, campaign or ""))
    after: int | None = None
    while True:
        page = cli.read(
            lambda session, after=after: queries.verify_draws(  # type: ignore[misc]
                session, campaign_id=found, after=after, limit=_VERIFIED_AT_ONCE
            )
        )
        yield from page
        if len(page) < _VERIFIED_AT_ONCE:
            return
        after = page[-1].draw_id
