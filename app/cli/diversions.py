"""`saoma trace diversions`: goods that turn up where they were not shipped to."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show
from app.codes import files
from app.kernel.ids import id_before
from app.organisation import regions
from app.trace import detection, queries
from app.trace.diversion import DiversionRules, DiversionState
from app.trace.queries import DiversionView, EvidenceView

_PAGE = 1000


@click.group()
def diversions() -> None:
    """List cases of diversion with their evidence; confirm or dismiss them.

    \b
    Examples:
      saoma trace diversions list --state open
      saoma trace diversions show 7451
      saoma trace diversions export 7451 --into case-7451.csv
      saoma trace diversions confirm 7451 --reason "dealer admits it"
    """


@diversions.command()
@pass_cli
def find(cli: Cli, /) -> None:
    """Look through the new scans now; the scheduler does it every minute."""
    rules, upto = DiversionRules(*cli.settings.diversion), id_before(detection.SETTLED_SECONDS)
    total = 0
    while (
        found := cli.container.db.transact(
            lambda session: detection.detect(
                session, upto_id=upto, rules=rules, now=cli.container.clock.now()
            )
        )
    ) is not None:
        total += found
    click.echo(f"{total:,} scans were elsewhere")


@diversions.command("list")
@click.option("--state", type=click.Choice([state.value for state in DiversionState]), help="Only these.")
@json_option
@pass_cli
def list_diversions(cli: Cli, /, *, state: str | None, as_json: bool) -> None:
    """Show the cases, the newest first."""
    wanted = DiversionState(state) if state else None
    found = cli.read(lambda session: queries.diversions(session, state=wanted))
    show([_row(case) for case in found], as_json=as_json)


@diversions.command("show")
@click.argument("diversion", type=int)
@json_option
@pass_cli
def show_diversion(cli: Cli, /, *, diversion: int, as_json: bool) -> None:
    """Show a case and its evidence. Persons are numbered, not named."""
    case = cli.read(lambda session: queries.diversion(session, diversion_id=diversion))
    if not as_json:
        for name, value in {**_row(case), "reason": case.reason, "decided by": case.decided_by}.items():
            if value is not None:
                click.echo(f"{name:<12} {value}")
        click.echo()
    show(list(_told(_evidence(cli, case))), as_json=as_json)


@diversions.command()
@click.argument("diversion", type=int)
@click.option("--into", required=True, type=click.Path(dir_okay=False, path_type=Path), help="CSV file.")
@pass_cli
def export(cli: Cli, /, *, diversion: int, into: Path) -> None:
    """Write the evidence of a case as CSV: scans by time, place and index; persons by number."""
    case = cli.read(lambda session: queries.diversion(session, diversion_id=diversion))
    text = io.StringIO()
    names = ["scan", "at", "batch", "index", "shipped_region", "found_region", "dealer", "person"]
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    count = 0
    for told in _told(_evidence(cli, case)):
        about = {"batch": case.batch_id, "shipped_region": case.shipped_region, "dealer": case.dealer}
        writer.writerow({**about, **told})
        count += 1
    files.replace(into, text.getvalue().encode("utf-8-sig"))
    click.echo(f"{into}: {count:,} scans")


@diversions.command()
@click.argument("diversion", type=int)
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def confirm(cli: Cli, /, *, diversion: int, reason: str) -> None:
    """Say that it is diversion."""
    _decide(cli, diversion, DiversionState.CONFIRMED, reason)


@diversions.command()
@click.argument("diversion", type=int)
@click.option("--reason", required=True, help="Why; it is kept.")
@pass_cli
def dismiss(cli: Cli, /, *, diversion: int, reason: str) -> None:
    """Say that it is none; what is scanned from now on may open another case."""
    _decide(cli, diversion, DiversionState.DISMISSED, reason)


def _decide(cli: Cli, diversion: int, state: DiversionState, reason: str) -> None:
    now, actor = cli.container.clock.now(), cli.actor
    cli.act(
        Act.DIVERSION_DECIDED,
        lambda session: detection.decide(
            session, diversion_id=diversion, state=state, reason=reason, actor=actor, now=now
        ),
        on=f"diversion {diversion}",
        detail={"state": state.value},
    )
    click.echo(state.value)


def _row(case: DiversionView) -> dict[str, Any]:
    return {
        "case": case.id,
        "state": case.state.value,
        "batch": case.batch_id,
        "indexes": f"{case.first_index}-{case.last_index}",
        "dealer": case.dealer,
        "shipped to": f"{case.shipped_region} {regions.name(case.shipped_region)}",
        "found in": f"{case.found_region} {regions.name(case.found_region)}",
        "persons": case.persons,
        "codes": case.codes,
        "scans": case.scans,
        "last": case.last_at.isoformat(timespec="seconds"),
    }


def _evidence(cli: Cli, case: DiversionView) -> Iterator[EvidenceView]:
    after: EvidenceView | None = None
    while page := cli.read(
        lambda session, after=after: queries.evidence(  # type: ignore[misc]
            session, case=case, after=after, limit=_PAGE
        )
    ):
        yield from page
        after = page[-1]


def _told(sightings: Iterator[EvidenceView]) -> Iterator[dict[str, Any]]:
    """Yield what may be told of scans: persons are numbered as they appear, never named."""
    numbers: dict[int, int] = {}
    for sighting in sightings:
        yield {
            "scan": sighting.scan_id,
            "at": sighting.at.isoformat(timespec="seconds"),
            "index": sighting.code_index,
            "found_region": sighting.found_region,
            "person": numbers.setdefault(sighting.person_id, len(numbers) + 1),
        }
