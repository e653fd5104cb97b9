"""`saoma awards`: what members are owed, and what is given to them by hand."""

from collections.abc import Callable

import click
from sqlalchemy.orm import Session

from app import approving
from app.access.approvals import Proposal
from app.access.roles import Act
from app.campaigns.granting import Grant, grants
from app.cli.approvals import facts_of, told
from app.cli.campaigns import find_campaign
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.places import brand_id
from app.kernel.fen import format_yuan, parse_yuan
from app.rewards import operations as rewards
from app.rewards import queries as awards_of


@click.group()
def awards() -> None:
    """Review held awards; give something outside of a draw.

    \b
    Examples:
      saoma awards grant tea-house/june pe_3x7… --yuan 5 --reference CASE-17 --reason "parcel lost"
      saoma awards granted tea-house/june
      saoma awards held tea-house
      saoma awards release aw_3x7… --reason "identity checked"
      saoma awards refuse aw_3x7… --reason "employee"
    """


@awards.command()
@click.argument("brand")
@json_option
@pass_cli
def held(cli: Cli, /, *, brand: str, as_json: bool) -> None:
    """Show the awards of BRAND that wait for a review, the oldest first."""

    def work(session: Session) -> list[dict[str, object]]:
        owner = brand_id(session, brand)
        assert owner is not None
        return [
            {
                "award": cli.public("aw", award.id),
                "yuan": format_yuan(award.amount_fen),
                "points": award.points,
                "reason": award.reason,
            }
            for award in awards_of.held(session, brand_id=owner)
        ]

    show(cli.read(work), as_json=as_json)


@awards.command()
@click.argument("award")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def release(cli: Cli, /, *, award: str, reason: str) -> None:
    """Let a held award go to its winner."""
    _decide(cli, Act.AWARD_RELEASED, rewards.release, award, reason)


@awards.command()
@click.argument("award")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def refuse(cli: Cli, /, *, award: str, reason: str) -> None:
    """Refuse for good a held award, or one that could not be paid; budget and stock return."""
    _decide(cli, Act.AWARD_REFUSED, rewards.refuse, award, reason)


def _decide(cli: Cli, act: Act, work: Callable[..., awards_of.AwardView], award: str, reason: str) -> None:
    number = cli.id("aw", award)
    now, actor = cli.container.clock.now(), cli.actor
    decided = cli.act(
        act,
        lambda session: work(session, award_id=number, reason=reason, now=now, actor=actor),
        on=f"award {award}",
    )
    click.echo(decided.state.value)


@awards.command()
@click.argument("name")
@click.argument("person")
@click.option("--yuan", default="0", help="Money, out of the campaign's budget.")
@click.option("--points", type=click.IntRange(0), default=0, help="Points instead.")
@click.option("--prize", default="", help="A piece of this voucher or goods instead, out of the reserve.")
@click.option("--days", type=click.IntRange(1, 365), default=30, help="How long it can be collected.")
@click.option("--reference", required=True, help="Number of the complaint or the like; used once.")
@click.option("--reason", required=True, help="Why; it is kept, and the second account reads it.")
@pass_cli
def grant(
    cli: Cli,
    /,
    *,
    name: str,
    person: str,
    yuan: str,
    points: int,
    prize: str,
    days: int,
    reference: str,
    reason: str,
) -> None:
    """Propose that PERSON gets something outside of a draw, at the cost of the campaign NAME (BRAND/KEY).

    Another account's approval grants it. It may be a campaign that has ended: add money to it first.
    """
    now, actor, person_id = cli.container.clock.now(), cli.actor, cli.id("pe", person)
    try:
        amount_fen = parse_yuan(yuan)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    subject = f"campaign {name} {reference} for {person}"

    def work(session: Session) -> Proposal:
        wanted = Grant(
            campaign_id=find_campaign(session, name),
            person_id=person_id,
            reference=reference.strip(),
            amount_fen=amount_fen,
            points=points,
            prize=prize,
            days=days,
        )
        return approving.propose_grant(
            session, grant=wanted, subject=subject, reason=reason, now=now, actor=actor
        )

    proposal = cli.act(
        Act.AWARD_PROPOSED,
        work,
        on=subject,
        detail=lambda done: {
            "amount_fen": amount_fen,
            "points": points,
            "prize": prize,
            **facts_of(cli, done),
        },
    )
    click.echo(told(cli, proposal))


@awards.command()
@click.argument("name")
@json_option
@pass_cli
def granted(cli: Cli, /, *, name: str, as_json: bool) -> None:
    """Show what was given by hand at the cost of the campaign NAME, the newest first."""
    rows = [
        {
            "reference": view.reference,
            "award": cli.public("aw", view.award_id),
            "person": cli.public("pe", view.person_id),
            "what": view.name_en,
            "yuan": format_yuan(view.amount_fen),
            "points": view.points,
            "state": view.state.value,
            "at": view.granted_at.isoformat(timespec="seconds"),
            "by": f"{view.proposed_by}, {view.approved_by}",
            "reason": view.reason,
        }
        for view in cli.read(lambda session: grants(session, campaign_id=find_campaign(session, name)))
    ]
    show(rows, as_json=as_json)
