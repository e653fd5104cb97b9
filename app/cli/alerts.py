"""`saoma alerts`: what somebody must look at."""

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.alerts.operations import resolve_alert
from app.alerts.queries import open_alerts
from app.cli.context import Cli, json_option, pass_cli, show


@click.group()
def alerts() -> None:
    """List and settle alerts.

    \b
    Examples:
      saoma alerts list
      saoma alerts settle callback.strange SB3X7K2M9QWE4RT6
    """


@alerts.command("list")
@json_option
@pass_cli
def list_alerts(cli: Cli, /, *, as_json: bool) -> None:
    """Show the open alerts, the newest first."""
    rows = [
        {
            "kind": alert.kind,
            "subject": alert.subject,
            "severity": alert.severity.value,
            "times": alert.times,
            "last_at": alert.last_at.isoformat(timespec="seconds"),
            "detail": alert.detail,
        }
        for alert in cli.read(open_alerts)
    ]
    show(rows, as_json=as_json)


@alerts.command()
@click.argument("kind")
@click.argument("subject")
@pass_cli
def settle(cli: Cli, /, *, kind: str, subject: str) -> None:
    """Mark the open alert KIND of SUBJECT as settled."""
    now = cli.container.clock.now()
    by = cli.actor.label

    def work(session: Session) -> None:
        if not resolve_alert(session, kind=kind, subject=subject, by=by, now=now):
            raise click.ClickException("there is no such open alert; `saoma alerts list` shows them")

    cli.act(Act.ALERT_SETTLED, work, on=f"alert {kind} {subject}")
    click.echo("settled")
