"""`saoma approvals`: what waits for a second account."""

from collections.abc import Callable
from typing import Any

import click

from app import approving
from app.access import approvals as waiting
from app.access.approvals import Proposal
from app.access.roles import APPROVING, Act
from app.cli.context import Cli, json_option, pass_cli, show


@click.group()
def approvals() -> None:
    """See, approve, refuse and take back what takes two accounts; docs/access.md lists what does.

    \b
    Examples:
      saoma approvals list
      saoma approvals approve ap_3x7… 9f86d081…
      saoma approvals refuse ap_3x7… --reason "too much"
      saoma approvals withdraw ap_3x7… --reason "wrong amount"
    """


@approvals.command("list")
@json_option
@pass_cli
def list_approvals(cli: Cli, /, *, as_json: bool) -> None:
    """Show what waits, the oldest first; `sha256` stands for all that `payload` says."""
    now = cli.container.clock.now()
    rows = [
        {
            "approval": cli.public("ap", found.id),
            "kind": found.kind.value,
            "on": found.subject,
            "by": found.proposed_label,
            "until": found.expires_at.isoformat(timespec="minutes"),
            "reason": found.reason,
            "payload": found.payload,
            "sha256": found.sha256,
        }
        for found in cli.read(lambda session: waiting.pending(session, now=now))
    ]
    show(rows, as_json=as_json)


@approvals.command()
@click.argument("approval")
@click.argument("sha256")
@pass_cli
def approve(cli: Cli, /, *, approval: str, sha256: str) -> None:
    """Approve APPROVAL, whose payload has SHA256, as another account; it is done at once."""
    number = cli.id("ap", approval)
    now, actor, registry = cli.container.clock.now(), cli.actor, cli.container.registry
    found = cli.read(lambda session: waiting.proposal(session, approval_id=number))
    cli.act(
        APPROVING[found.kind],
        lambda session: approving.approve(
            session, registry, approval_id=number, sha256=sha256, now=now, actor=actor
        ),
        on=found.subject,
        detail={"approval": approval, "kind": found.kind.value, "sha256": sha256},
    )
    click.echo(f"{found.subject}: done")


@approvals.command()
@click.argument("approval")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def refuse(cli: Cli, /, *, approval: str, reason: str) -> None:
    """Turn APPROVAL down, as another account; it takes the same role as approving it."""
    number = cli.id("ap", approval)
    found = cli.read(lambda session: waiting.proposal(session, approval_id=number))
    cli.caller.require(APPROVING[found.kind])
    _end(cli, Act.PROPOSAL_REFUSED, approving.refuse, approval, reason)
    click.echo("refused")


@approvals.command()
@click.argument("approval")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def withdraw(cli: Cli, /, *, approval: str, reason: str) -> None:
    """Take back APPROVAL, which you proposed yourself."""
    _end(cli, Act.PROPOSAL_WITHDRAWN, approving.withdraw, approval, reason)
    click.echo("withdrawn")


def _end(cli: Cli, act: Act, work: Callable[..., Proposal], approval: str, reason: str) -> None:
    number = cli.id("ap", approval)
    now, actor = cli.container.clock.now(), cli.actor
    cli.act(
        act,
        lambda session: work(session, approval_id=number, reason=reason, now=now, actor=actor),
        on=lambda found: found.subject,
        detail={"approval": approval},
    )


def told(cli: Cli, found: Proposal) -> str:
    """Return the line that says how a second account approves."""
    command = f"saoma approvals approve {cli.public('ap', found.id)} {found.sha256}"
    return f"proposed; another account approves it: {command}"


def facts_of(cli: Cli, found: Proposal | None) -> dict[str, Any]:
    """Return what the trail keeps of an act that may have become a proposal."""
    return {"approval": None if found is None else cli.public("ap", found.id)}
