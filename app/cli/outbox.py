"""`saoma outbox`: queues, parked messages, replay, draining by hand."""

import click

from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show
from app.outbox import operations, queries


@click.group()
def outbox() -> None:
    """Look at what waits, and replay what was parked.

    \b
    Examples:
      saoma outbox status
      saoma outbox parked
      saoma outbox replay 382663566481377280
    """


@outbox.command()
@json_option
@pass_cli
def status(cli: Cli, /, *, as_json: bool) -> None:
    """Show depth and age of every queue."""
    now = cli.container.clock.now()
    rows = [
        {
            "topic": depth.topic,
            "state": depth.state.value,
            "messages": depth.messages,
            "oldest_seconds": max(0, round((now - depth.oldest_due_at).total_seconds())),
        }
        for depth in cli.read(queries.depths)
    ]
    show(rows, as_json=as_json)


@outbox.command()
@json_option
@pass_cli
def parked(cli: Cli, /, *, as_json: bool) -> None:
    """Show parked messages with their reasons."""
    rows = [
        {"id": row.id, "topic": row.topic, "attempts": row.attempts, "reason": row.reason}
        for row in cli.read(queries.parked)
    ]
    show(rows, as_json=as_json)


@outbox.command()
@click.argument("message", type=int)
@pass_cli
def replay(cli: Cli, /, *, message: int) -> None:
    """Let parked MESSAGE run again. Mend the cause first: `saoma outbox parked` tells it."""
    now = cli.container.clock.now()
    by = cli.actor.label
    cli.act(
        Act.MESSAGE_REPLAYED,
        lambda session: operations.replay(session, message_id=message, by=by, now=now),
        on=f"message {message}",
    )
    click.echo("it will run with the next round")


@outbox.command()
@click.option("--seconds", default=60.0, show_default=True, help="Stop after this long.")
@pass_cli
def drain(cli: Cli, /, *, seconds: float) -> None:
    """Drain what is due now, without waiting for the scheduler."""
    report = cli.container.drainer.until_idle(seconds=seconds)
    for (topic, outcome), number in sorted(report.outcomes.items()):
        click.echo(f"{topic}: {number} {outcome}")
    click.echo(f"{report.handled} handled")
