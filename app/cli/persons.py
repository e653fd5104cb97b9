"""`saoma persons`: who is who, merges and their undoing, conflicts, tiers."""

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show
from app.identity import operations, queries
from app.identity.operations import Decision
from app.identity.values import Claimed, IdentifierKind, normalise_phone
from app.kernel.json import Json
from app.members import operations as members
from app.members import queries as members_of

_BATCH = 500


@click.group()
def persons() -> None:
    """Find persons, take merges back, decide conflicts, set tiers.

    \b
    Examples:
      saoma persons find --member-no 8675309420
      saoma persons show pe_3x7…
      saoma persons merge pe_3x7… pe_9k2… --reason "same card"
      saoma persons unmerge mg_5c1… --reason "family phone"
      saoma persons conflicts
      saoma persons decide co_8d0… keep_apart
      saoma persons tier pe_3x7… diamond
    """


@persons.command()
@click.option("--phone", help="Phone number; it is looked up blind and not kept.")
@click.option("--member-no", help="Member number.")
@pass_cli
def find(cli: Cli, /, *, phone: str | None, member_no: str | None) -> None:
    """Find a person by phone or member number."""

    def work(session: Session) -> int | None:
        if member_no is not None:
            return members_of.person_by_member_no(session, member_no=member_no)
        number = normalise_phone(phone or "")
        if number is None:
            raise click.ClickException("give --member-no, or --phone such as 13800138000")
        return queries.person_by_identifier(session, claim=Claimed(IdentifierKind.PHONE, "", number))

    def told(found: int | None) -> str:
        return "nobody" if found is None else f"person {cli.public('pe', found)}"

    by: dict[str, Json] = {"by": "member_no" if member_no is not None else "phone"}
    found = cli.act(Act.PERSON_FOUND, work, on=told, detail=by)
    if found is None:
        raise click.ClickException("nobody is known by this")
    click.echo(cli.public("pe", found))


@persons.command("show")
@click.argument("person")
@json_option
@pass_cli
def show_person(cli: Cli, /, *, person: str, as_json: bool) -> None:
    """Show everybody whom PERSON is, by what they are known, their merges and their membership."""
    person_id = cli.id("pe", person)

    def work(session: Session) -> list[dict[str, object]]:
        cluster = queries.cluster(session, person_id=person_id)
        member = members_of.membership(session, person_ids=cluster.person_ids)
        rows: list[dict[str, object]] = [
            {
                "what": f"{found.kind.value} {found.shown or ''}".strip(),
                "id": cli.public("pe", found.person_id),
                "state": found.state.value,
                "since": found.first_seen_at.isoformat(timespec="seconds"),
            }
            for found in queries.identifiers(session, person_ids=cluster.person_ids)
        ]
        rows += [
            {
                "what": "merge",
                "id": cli.public("mg", merge.id),
                "state": "forced" if merge.forced else "by rule",
                "since": merge.merged_at.isoformat(timespec="seconds"),
            }
            for merge in queries.merges(session, person_ids=cluster.person_ids)
        ]
        if member is not None:
            rows.append(
                {
                    "what": f"member {member.member_no}",
                    "id": cli.public("me", member.member_id),
                    "state": member.tier or "no tier",
                    "since": member.joined_at.isoformat(timespec="seconds"),
                }
            )
        return rows

    show(cli.act(Act.PERSON_SHOWN, work, on=f"person {person}"), as_json=as_json)


@persons.command()
@click.argument("person")
@click.argument("other")
@click.option("--reason", required=True, help="Why; it is kept.")
@click.option("--force", is_flag=True, help="Overrule what the rules object to.")
@pass_cli
def merge(cli: Cli, /, *, person: str, other: str, reason: str, force: bool) -> None:
    """Make PERSON and OTHER one; it can be taken back."""
    pair = cli.id("pe", person), cli.id("pe", other)
    now, actor = cli.container.clock.now(), cli.actor
    merge_id = cli.act(
        Act.PERSONS_MERGED,
        lambda session: operations.merge(
            session, person_id=pair[0], other_id=pair[1], reason=reason, now=now, actor=actor, force=force
        ),
        on=lambda made: f"merge {cli.public('mg', made)}",
        detail={"person": person, "other": other, "force": force},
    )
    click.echo(f"merged; `saoma persons unmerge {cli.public('mg', merge_id)}` takes it back")


@persons.command()
@click.argument("merge_id")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def unmerge(cli: Cli, /, *, merge_id: str, reason: str) -> None:
    """Take a merge back: each side has its own again."""
    number = cli.id("mg", merge_id)
    now, actor = cli.container.clock.now(), cli.actor
    roots = cli.act(
        Act.PERSONS_UNMERGED,
        lambda session: operations.unmerge(session, merge_id=number, reason=reason, now=now, actor=actor),
        on=f"merge {merge_id}",
    )
    click.echo("apart again: " + " and ".join(cli.public("pe", root) for root in roots))


@persons.command()
@json_option
@pass_cli
def conflicts(cli: Cli, /, *, as_json: bool) -> None:
    """Show the open conflicts: records that name two persons whom the rules keep apart."""
    rows = [
        {
            "conflict": cli.public("co", conflict.id),
            "reason": conflict.reason.value,
            "person": cli.public("pe", conflict.person_a),
            "other": cli.public("pe", conflict.person_b),
            "since": conflict.opened_at.isoformat(timespec="seconds"),
        }
        for conflict in cli.read(queries.open_conflicts)
    ]
    show(rows, as_json=as_json)


@persons.command()
@click.argument("conflict")
@click.argument("decision", type=click.Choice([decision.value for decision in Decision]))
@pass_cli
def decide(cli: Cli, /, *, conflict: str, decision: str) -> None:
    """Decide an open conflict: merge, keep_apart, or move the identifier to the claimant."""
    number = cli.id("co", conflict)
    now, actor = cli.container.clock.now(), cli.actor
    state = cli.act(
        Act.CONFLICT_DECIDED,
        lambda session: operations.resolve_conflict(
            session, conflict_id=number, decision=Decision(decision), now=now, actor=actor
        ),
        on=f"conflict {conflict}",
        detail={"decision": decision},
    )
    click.echo(state.value)


@persons.command()
@click.argument("person")
@click.argument("tier")
@pass_cli
def tier(cli: Cli, /, *, person: str, tier: str) -> None:
    """Set the tier of a member, such as diamond; `none` clears it."""
    number = cli.id("pe", person)
    now, actor = cli.container.clock.now(), cli.actor
    wanted = None if tier == "none" else tier
    cli.act(
        Act.TIER_SET,
        lambda session: members.set_tier(session, person_id=number, tier=wanted, now=now, actor=actor),
        on=f"person {person}",
        detail={"tier": wanted},
    )
    click.echo(f"tier: {tier}")


@persons.command()
@pass_cli
def reconcile(cli: Cli, /) -> None:
    """Recompute who is one over all identifiers: what a changed rule would now join."""
    after: int | None = 0
    examined = merged = asked = 0
    # One entry for the whole run; its steps act by rule, as the system.
    cli.act(Act.IDENTITIES_RECONCILED, lambda _: None, on="all identifiers")
    while after is not None:
        start, now = after, cli.container.clock.now()
        step = cli.container.db.transact(
            lambda session, start=start, now=now: operations.reconcile_batch(  # type: ignore[misc]
                session, after_id=start, limit=_BATCH, now=now
            )
        )
        after = step.next_after_id
        examined, merged, asked = examined + step.examined, merged + step.merged, asked + step.conflicts
        click.echo(f"\r{examined:,} identifiers", nl=False, err=True)
    click.echo(err=True)
    click.echo(f"{examined:,} looked at, {merged} merged, {asked} conflicts opened")
