"""`saoma payouts`: bills that get no further, and the way out for their awards."""

import click
from sqlalchemy.orm import Session

from app import approving
from app.access.roles import Act
from app.cli.approvals import facts_of, told
from app.cli.context import Cli, json_option, pass_cli, show
from app.identity import queries as identity
from app.kernel.fen import format_yuan
from app.payouts import closing
from app.payouts.stuck import StuckBill, stuck_bills


@click.group()
def payouts() -> None:
    """Look at bills that get no further, close them, and free their awards.

    A closed bill's award can be collected again; `saoma awards refuse` takes it away for good.

    \b
    Examples:
      saoma payouts stuck
      saoma payouts close SB3X7K2M9QWE4RT01 --reason "account cannot take money"
      saoma payouts conclude SB3X7K2M9QWE4RT01 --unpaid --evidence "not in their list, ticket 4711"
    """


@payouts.command()
@json_option
@pass_cli
def stuck(cli: Cli, /, *, as_json: bool) -> None:
    """Show bills that were refused, lost, are overdue or being closed, with what to do; phones are masked."""

    def work(session: Session) -> list[dict[str, object]]:
        return [_row(cli, session, bill) for bill in stuck_bills(session)]

    show(cli.read(work), as_json=as_json)


def _row(cli: Cli, session: Session, bill: StuckBill) -> dict[str, object]:
    cluster = identity.cluster(session, person_id=bill.person_id)
    phone = identity.phone_masked(session, person_ids=cluster.person_ids)
    return {
        "bill": bill.bill_no,
        "award": cli.public("aw", bill.award_id),
        "person": " ".join(filter(None, [cli.public("pe", bill.person_id), phone])),
        "yuan": format_yuan(bill.amount_fen),
        "state": bill.state.value,
        "since": bill.since.isoformat(timespec="seconds"),
        "why": bill.why,
        "what to do": bill.advice,
    }


@payouts.command()
@click.argument("bill")
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def close(cli: Cli, /, *, bill: str, reason: str) -> None:
    """Close BILL: WeChat Pay is asked, and cancels what it may still pay.

    Its award comes free when WeChat Pay says that nothing was paid. A bill that it never knew is asked about
    again ten minutes later; the scheduler does that.
    """
    now, actor = cli.container.clock.now(), cli.actor
    message = cli.act(
        Act.BILL_CLOSED,
        lambda session: closing.close_bill(session, bill_no=bill, reason=reason, now=now, actor=actor),
        on=f"bill {bill}",
    )
    cli.container.drainer.deliver(closing.CLOSE_TOPIC, message)
    state = cli.read(lambda session: closing.progress(session, bill_no=bill))
    click.echo(f"{bill}: {state}")


@payouts.command()
@click.argument("bill")
@click.option("--paid/--unpaid", required=True, help="How it ended, by the merchant platform.")
@click.option(
    "--evidence", required=True, help="Where that is written; it is kept, and the second account reads it."
)
@pass_cli
def conclude(cli: Cli, /, *, bill: str, paid: bool, evidence: str) -> None:
    """Propose that BILL ends by your word, once WeChat Pay cannot tell any more; `close` must have asked it.

    Another account's approval ends it; its award follows with the next round.
    """
    now, actor, registry = cli.container.clock.now(), cli.actor, cli.container.registry
    subject = f"bill {bill}"
    proposal = cli.act(
        Act.CONCLUSION_PROPOSED,
        lambda session: approving.propose_conclusion(
            session,
            registry,
            bill_no=bill,
            paid=paid,
            subject=subject,
            evidence=evidence,
            now=now,
            actor=actor,
        ),
        on=subject,
        detail=lambda done: {"paid": paid, **facts_of(cli, done)},
    )
    click.echo(told(cli, proposal))
