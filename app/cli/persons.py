"""`saoma persons`: who is who, merges and their undoing, conflicts, tiers."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show
from app.identity import operations, queries, trust
from app.identity.errors import DemotionRefused, MergeRefused
from app.identity.interfaces import Witness
from app.identity.operations import Decision
from app.identity.queries import IdentifierView
from app.identity.rules import LIMIT_NAMES, NAMES
from app.identity.values import Claimed, IdentifierKind, normalise_phone, openid_claim
from app.kernel.fen import format_yuan
from app.kernel.json import Json
from app.members import operations as members
from app.members import queries as members_of
from app.organisation import queries as organisation
from app.payouts import queries as bills

T = TypeVar("T")

_BATCH = 500
_WITNESSES: Sequence[Witness] = (members_of.two_members,)


@click.group()
def persons() -> None:
    """Find persons, merge them and take it back, decide conflicts, set tiers.

    \b
    Examples:
      saoma persons find --member-no 8675309420
      saoma persons show pe_3x7…
      saoma persons merge pe_3x7… pe_9k2… --reason "same card"
      saoma persons unmerge mg_5c1… --reason "family phone"
      saoma persons conflicts
      saoma persons decide co_8d0… keep_apart
      saoma persons decide co_8d0… merge
      saoma persons demote in_4w8… --reason "the shop's own number"
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
        merges: list[dict[str, object]] = [
            {
                "what": "merge",
                "within": None,
                "id": cli.public("mg", merge.id),
                "of": f"{cli.public('pe', merge.person_a)} {cli.public('pe', merge.person_b)}",
                "state": "forced" if merge.forced else "by rule",
                "since": merge.merged_at.isoformat(timespec="seconds"),
            }
            for merge in queries.merges(session, person_ids=cluster.person_ids)
        ]
        return [*_known_by(cli, session, cluster.person_ids), *merges]

    show(cli.act(Act.PERSON_SHOWN, work, on=f"person {person}"), as_json=as_json)


def _known_by(cli: Cli, session: Session, person_ids: Sequence[int]) -> list[dict[str, object]]:
    """Return a row for each identifier of a cluster, masked, and for each membership."""
    rows: list[dict[str, object]] = [
        {
            "what": f"{found.kind.value} {found.shown}",
            "within": _scope(session, found),
            "id": cli.public("in", found.id),
            "of": cli.public("pe", found.person_id),
            "state": found.state.value,
            "since": found.first_seen_at.isoformat(timespec="seconds"),
        }
        for found in queries.identifiers(session, person_ids=person_ids)
    ]
    rows += [
        {
            "what": f"member {member.member_no}",
            "within": None,
            "id": cli.public("me", member.member_id),
            "of": cli.public("pe", member.person_id),
            "state": member.tier or "no tier",
            "since": member.joined_at.isoformat(timespec="seconds"),
        }
        for member in members_of.memberships(session, person_ids=person_ids)
    ]
    return rows


def _scope(session: Session, found: IdentifierView) -> str:
    """Return within what an identifier is unique, in the operator's words: an app by its appid."""
    if found.kind is IdentifierKind.OPENID:
        return organisation.app(session, app_id=int(found.scope)).appid
    return found.scope


def _although_option(names: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return `--although`: what speaks against something, acknowledged one by one by its name."""
    told = "Acknowledge what speaks against it, by its name; repeat it for each. It is kept."
    return click.option("--although", multiple=True, type=click.Choice(names), metavar="NAME", help=told)


def _merge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a refused merge asks for: the names of what speaks against it, and what was shown of both."""
    told = "What was shown of both, as the refusal gave it: --although holds for that alone."
    seen = click.option("--seen", default="", metavar="DIGEST", help=told)
    return _although_option([*NAMES, members_of.TWO_MEMBERS])(seen(command))


def _merging(cli: Cli, pair: tuple[int, int], work: Callable[[], T]) -> T:
    """Do what may merge `pair`; where that is refused, show first what it would join, and on which side."""
    try:
        return work()
    except MergeRefused:

        def both(session: Session) -> list[dict[str, object]]:
            return [
                {"side": side, **row}
                for side, person_id in enumerate(pair, 1)
                for row in _known_by(cli, session, queries.cluster(session, person_id=person_id).person_ids)
            ]

        named = " and ".join(cli.public("pe", person_id) for person_id in pair)
        show(cli.act(Act.PERSON_SHOWN, both, on=f"persons {named}"), as_json=False)
        raise


@persons.command()
@click.argument("person")
@click.argument("other")
@click.option("--reason", required=True, help="Why; it is kept.")
@_merge_options
@pass_cli
def merge(cli: Cli, /, *, person: str, other: str, reason: str, although: tuple[str, ...], seen: str) -> None:
    """Make PERSON and OTHER one; it can be taken back.

    What speaks against it is shown with both sides and has to be acknowledged: a rule
    (unique_disagrees:openid), that they were kept apart (kept_apart), that each has joined (two_members).
    Anything that comes to either side meanwhile is to be looked at first.

    \b
    Examples:
      saoma persons merge pe_3x7… pe_9k2… --reason "new phone"
      saoma persons merge pe_3x7… pe_9k2… --reason "new phone" --although two_members --seen 3f9a1c07d25e
    """
    pair = cli.id("pe", person), cli.id("pe", other)
    now, actor = cli.container.clock.now(), cli.actor

    def work(session: Session) -> int:
        return operations.merge(
            session,
            person_id=pair[0],
            other_id=pair[1],
            reason=reason,
            now=now,
            actor=actor,
            although=although,
            seen=seen,
            witnesses=_WITNESSES,
        )

    merge_id = _merging(
        cli,
        pair,
        lambda: cli.act(
            Act.PERSONS_MERGED,
            work,
            on=lambda made: f"merge {cli.public('mg', made)}",
            detail={"person": person, "other": other, "although": list(although), "seen": seen},
        ),
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
@_merge_options
@pass_cli
def decide(cli: Cli, /, *, conflict: str, decision: str, although: tuple[str, ...], seen: str) -> None:
    """Decide an open conflict: merge, keep_apart, or move the identifier to the claimant.

    A merge joins two accounts with all that each has. What speaks against it is shown and has to be
    acknowledged, as for `saoma persons merge`; link_alone says that one tap on a link is all that ties them.

    \b
    Examples:
      saoma persons decide co_8d0… keep_apart
      saoma persons decide co_8d0… merge
      saoma persons decide co_8d0… merge --although link_alone --although two_members --seen 3f9a1c07d25e
    """
    number, chosen = cli.id("co", conflict), Decision(decision)
    if (although or seen) and chosen is not Decision.MERGE:
        raise click.ClickException("--although and --seen belong to a merge")
    now, actor = cli.container.clock.now(), cli.actor
    asked = cli.read(lambda session: queries.conflict(session, conflict_id=number))

    def work(session: Session) -> str:
        return operations.resolve_conflict(
            session,
            conflict_id=number,
            decision=chosen,
            now=now,
            actor=actor,
            although=although,
            seen=seen,
            witnesses=_WITNESSES,
        ).value

    state = _merging(
        cli,
        (asked.person_a, asked.person_b),
        lambda: cli.act(
            Act.CONFLICT_DECIDED,
            work,
            on=f"conflict {conflict}",
            detail={"decision": decision, "although": list(although), "seen": seen},
        ),
    )
    click.echo(state)


@persons.command()
@click.argument("identifier")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def demote(cli: Cli, /, *, identifier: str, reason: str) -> None:
    """Take IDENTIFIER its say in who is who: it was noted wrongly, or is not one person's.

    It joins nobody, holds nobody apart any more and raises no question. The open questions about it lapse;
    one that rests on two values of its kind has to be decided first. Merges that it caused stay: `saoma
    persons show` lists them, `saoma persons unmerge` takes one back. No new bill pays to it; those that are
    open still do, and are listed: `saoma payouts close` stops one.

    \b
    Example:
      saoma persons demote in_4w8… --reason "the shop's own number"
    """
    number = cli.id("in", identifier)
    now, actor = cli.container.clock.now(), cli.actor
    try:
        cli.act(
            Act.IDENTIFIER_DEMOTED,
            lambda session: trust.demote(session, identifier_id=number, reason=reason, now=now, actor=actor),
            on=f"identifier {identifier}",
        )
    except DemotionRefused as refused:
        ids: Any = refused.extra["conflicts"]
        asked = " and ".join(f"`saoma persons decide {cli.public('co', each)} …`" for each in ids)
        raise DemotionRefused(f"{refused.detail}: {asked}") from None
    click.echo(f"demoted; `saoma persons reinstate {identifier}` gives it its say back")
    paying = cli.read(lambda session: _paying(session, number))
    if paying:
        click.echo("bills that still pay to it; `saoma payouts close BILL --reason …` stops one:")
        show(paying, as_json=False)


def _paying(session: Session, identifier_id: int) -> list[dict[str, object]]:
    """Return a row for each open bill to an openid: what a bill says was frozen when it was opened."""
    found = queries.identifier(session, identifier_id=identifier_id)
    if found.kind is not IdentifierKind.OPENID:
        return []
    app_id = int(found.scope)
    cluster = queries.cluster(session, person_id=found.person_id)
    return [
        {
            "bill": bill.bill_no,
            "yuan": format_yuan(bill.amount_fen),
            "state": bill.state.value,
            "since": bill.opened_at.isoformat(timespec="seconds"),
        }
        for bill in bills.open_bills(session, person_ids=cluster.person_ids, app_id=app_id)
        if queries.is_named(session, identifier_id=found.id, claim=openid_claim(app_id, bill.openid))
    ]


@persons.command()
@click.argument("identifier")
@_although_option(LIMIT_NAMES)
@pass_cli
def reinstate(cli: Cli, /, *, identifier: str, although: tuple[str, ...]) -> None:
    """Give a demoted IDENTIFIER its say back: the next record that shows it joins or asks again.

    Where its owner has as many of its kind as the rules believe (a merge by hand may have made them so), that
    has to be acknowledged. One that too many persons show stays demoted.

    \b
    Examples:
      saoma persons reinstate in_4w8…
      saoma persons reinstate in_4w8… --although unique_disagrees:openid
    """
    number = cli.id("in", identifier)
    now, actor = cli.container.clock.now(), cli.actor
    cli.act(
        Act.IDENTIFIER_REINSTATED,
        lambda session: trust.reinstate(
            session, identifier_id=number, now=now, actor=actor, although=although
        ),
        on=f"identifier {identifier}",
        detail={"although": list(although)},
    )
    click.echo("active")


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
