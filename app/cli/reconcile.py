"""`saoma reconcile`: WeChat Pay's bills against our book, day by day."""

from datetime import date
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show
from app.kernel.fen import format_yuan
from app.payouts import queries as payouts
from app.reconciliation import balances, closing, operations, queries
from app.reconciliation.advice import advice
from app.reconciliation.asking import BALANCE_TOPIC, FETCH_TOPIC
from app.reconciliation.days import read_day
from app.reconciliation.export import (
    DAY_COLUMNS,
    DIFFERENCE_COLUMNS,
    Book,
    write_csv,
    write_xlsx,
)

_SHOWN = 1000
_FIGURES = ("lines", "paid", "balance", "at WeChat Pay", "unexplained", "differences", "open")


@click.group()
def reconcile() -> None:
    """Compare what WeChat Pay says that it paid with what we have booked.

    The scheduler does it every day from 10:05 Beijing time; these commands look, settle and export.

    \b
    Examples:
      saoma reconcile status
      saoma reconcile run --payer 1900000001 --day 2026-06-01
      saoma reconcile differences --payer 1900000001
      saoma reconcile payer 1900000001 --balance
      saoma reconcile resolve di_aaaaaaaaaaaaa --reason "refunded by WeChat Pay, ticket 4711"
      saoma reconcile export --payer 1900000001 --since 2026-06-01 --format xlsx --into june.xlsx
    """


@reconcile.command()
@click.option("--payer", "mchid", required=True, help="Merchant number.")
@click.option("--day", required=True, help="Beijing calendar day, such as 2026-06-01.")
@pass_cli
def run(cli: Cli, /, *, mchid: str, day: str) -> None:
    """Fetch the bills of a day and close it now; a day that is closed stays as it is."""
    wanted, now, actor = read_day(day), cli.container.clock.now(), cli.actor
    payer_id = _payer(cli, mchid)

    def ask(session: Session) -> list[tuple[str, int]]:
        bills = operations.ask(session, payer_id=payer_id, day=wanted, now=now)
        held = balances.ask_balances(session, payer_id=payer_id, day=wanted, now=now)
        return [(FETCH_TOPIC, one) for one in bills] + [(BALANCE_TOPIC, one) for one in held]

    for topic, message in cli.act(Act.STATEMENT_ASKED, ask, on=f"statement {mchid} {wanted}"):
        cli.container.drainer.deliver(topic, message)
    folder = cli.settings.statements
    new = closing.close_day(
        cli.container.db, payer_id=payer_id, day=wanted, folder=folder, now=now, actor=actor
    )
    closed = cli.read(lambda session: queries.closed_day(session, payer_id=payer_id, day=day))
    assert closed is not None
    click.echo(
        f"{day} {'is closed' if new else 'was closed before'}: {closed.lines} lines,"
        f" {closed.differences} differences, unexplained {format_yuan(closed.unexplained_fen)} yuan"
    )


@reconcile.command()
@click.option("--payer", "mchid", help="Merchant number; without it all.")
@click.option("--since", default="", help="First day shown.")
@json_option
@pass_cli
def status(cli: Cli, /, *, mchid: str | None, since: str, as_json: bool) -> None:
    """Show the days that are closed and the bills that have not come."""
    payer_id = _payer(cli, mchid) if mchid else None

    def look(session: Session) -> list[dict[str, Any]]:
        mchids = _mchids(session)
        rows: list[dict[str, Any]] = []
        for closed in queries.days(session, payer_id=payer_id, since=since):
            open_days = queries.open_days(session, payer_id=closed.payer_id)
            rows.append(
                {
                    "day": closed.day,
                    "payer": mchids[closed.payer_id],
                    "state": "closed",
                    "lines": closed.lines,
                    "paid": format_yuan(closed.paid_fen),
                    "balance": format_yuan(closed.bill_closing_fen),
                    "at WeChat Pay": _told(session, closed.payer_id, closed.day),
                    "unexplained": format_yuan(closed.unexplained_fen),
                    "differences": closed.differences,
                    "open": open_days.get(closed.day, 0),
                }
            )
        for statement in queries.waiting(session, payer_id=payer_id):
            waits = dict.fromkeys(_FIGURES)
            state = f"{statement.account.value} {statement.state.value}"
            rows.append({"day": statement.day, "payer": mchids[statement.payer_id], "state": state} | waits)
        return rows

    show(cli.read(look), as_json=as_json)


@reconcile.command()
@click.option("--payer", "mchid", help="Merchant number; without it all.")
@click.option("--day", help="Only this day.")
@click.option("--all", "everything", is_flag=True, help="Settled ones too.")
@click.option("--zh", is_flag=True, help="The proposed act in Chinese.")
@json_option
@pass_cli
def differences(
    cli: Cli, /, *, mchid: str | None, day: str | None, everything: bool, zh: bool, as_json: bool
) -> None:
    """Show what differs and what to do about it; `--all` with what is settled."""
    payer_id = _payer(cli, mchid) if mchid else None
    since, until = ("", "9999-12-31") if day is None else (read_day(day).isoformat(),) * 2

    def look(session: Session) -> list[dict[str, Any]]:
        mchids = _mchids(session)
        found = queries.differences(
            session,
            payer_id=payer_id,
            since=since,
            until=until,
            only_open=not everything,
            limit=_SHOWN,
        )
        return [
            {
                "id": cli.public("di", one.id),
                "day": one.day,
                "payer": mchids[one.payer_id],
                "kind": one.kind.value,
                "state": one.state.value,
                "number": one.number,
                "award": cli.public("aw", one.award_id) if one.award_id is not None else None,
                "expected": format_yuan(one.expected_fen),
                "out": format_yuan(one.out_fen),
                "in": format_yuan(one.in_fen),
                "do": advice(one.kind).zh if zh else advice(one.kind).en,
            }
            for one in found
        ]

    rows = cli.read(look)
    show(rows, as_json=as_json)
    if len(rows) == _SHOWN and not as_json:
        click.echo(f"the first {_SHOWN}; `saoma reconcile export` writes all")


@reconcile.command()
@click.argument("difference")
@click.option("--reason", required=True, help="Why it is settled; it is kept.")
@pass_cli
def resolve(cli: Cli, /, *, difference: str, reason: str) -> None:
    """Settle DIFFERENCE; the figures of its day stand."""
    now, number, actor = cli.container.clock.now(), cli.id("di", difference), cli.actor
    cli.act(
        Act.DIFFERENCE_RESOLVED,
        lambda session: operations.resolve(
            session, difference_id=number, reason=reason, now=now, actor=actor
        ),
        on=f"difference {difference}",
    )
    click.echo("settled")


@reconcile.command()
@click.option("--payer", "mchid", required=True, help="Merchant number.")
@click.option("--day", required=True, help="A closed day.")
@pass_cli
def verify(cli: Cli, /, *, mchid: str, day: str) -> None:
    """Read the bills of a closed day anew and compare them with its digest."""
    payer_id, wanted = _payer(cli, mchid), read_day(day)
    fault = cli.read(lambda session: queries.verify_day(session, payer_id=payer_id, day=wanted))
    if fault is not None:
        raise click.ClickException(
            f"the bills of {day} are not what they were when it was closed: digest {fault.found[:12]}…,"
            f" then {fault.expected[:12]}…; compare a backup of that time"
        )
    click.echo("nothing has changed since it was closed")


@reconcile.command()
@click.argument("mchid")
@click.option(
    "--shared/--own", default=None, help="Whether other systems move money on this merchant number too."
)
@click.option(
    "--balance/--no-balance",
    default=None,
    help="Whether WeChat Pay is asked for the balance at each day's end; few merchant numbers may ask.",
)
@pass_cli
def payer(cli: Cli, /, *, mchid: str, shared: bool | None, balance: bool | None) -> None:
    """Say how payer MCHID is reconciled.

    On a shared number, payments that are not ours are added up and not listed one by one. A balance that is
    not what the bills come to is a difference of its own.
    """
    if shared is None and balance is None:
        raise click.UsageError("say --shared or --own, --balance or --no-balance")
    now, payer_id, actor = cli.container.clock.now(), _payer(cli, mchid), cli.actor

    def work(session: Session) -> None:
        if shared is not None:
            operations.set_payer(session, payer_id=payer_id, shared=shared, now=now, actor=actor)
        if balance is not None:
            balances.set_balance(session, payer_id=payer_id, asks=balance, now=now, actor=actor)

    said = {name: value for name, value in (("shared", shared), ("balance", balance)) if value is not None}
    cli.act(Act.STATEMENT_PAYER, work, on=f"payer {mchid}", detail=said)
    click.echo("from the next day that is closed")


@reconcile.command()
@click.option("--payer", "mchid", help="Merchant number; without it all.")
@click.option("--since", default="0001-01-01", help="First day.")
@click.option("--until", default="9999-12-31", help="Last day.")
@click.option("--format", "kind", type=click.Choice(["xlsx", "csv"]), default="xlsx", show_default=True)
@click.option("--into", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File.")
@pass_cli
def export(cli: Cli, /, *, mchid: str | None, since: str, until: str, kind: str, into: Path) -> None:
    """Write closed days and differences for finance.

    xlsx is one file with two sheets; CSV is two files, NAME-days.csv and NAME-differences.csv.
    """
    payer_id = _payer(cli, mchid) if mchid else None
    scope: tuple[date, date] = (read_day(since), read_day(until))

    def write(session: Session) -> int:
        book = Book(
            session,
            mchids=_mchids(session),
            award=lambda number: cli.public("aw", number),
            payer_id=payer_id,
            since=scope[0].isoformat(),
            until=scope[1].isoformat(),
        )
        if kind == "xlsx":
            sheets = {
                "days": (DAY_COLUMNS, book.days()),
                "differences": (DIFFERENCE_COLUMNS, book.differences()),
            }
            return write_xlsx(into, sheets)
        days, differing = (into.with_name(f"{into.stem}-{part}.csv") for part in ("days", "differences"))
        return write_csv(days, DAY_COLUMNS, book.days()) + write_csv(
            differing, DIFFERENCE_COLUMNS, book.differences()
        )

    click.echo(f"{cli.read(write)} rows written")


def _told(session: Session, payer_id: int, day: str) -> str | None:
    """Return what the platform says that a payer held at a day's end, in yuan, where it was asked."""
    told = queries.balances(session, payer_id=payer_id, day=day)
    return None if told is None else format_yuan(told[0])


def _payer(cli: Cli, mchid: str) -> int:
    return cli.read(lambda session: payouts.payer_of(session, mchid).id)


def _mchids(session: Session) -> dict[int, str]:
    return {payer.id: payer.mchid for payer in payouts.payers(session)}
