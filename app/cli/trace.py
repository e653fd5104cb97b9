"""`saoma trace`: what happened to codes on their way, from files and for eyes."""

import json
from itertools import islice
from pathlib import Path

import click

from app.access.roles import Act
from app.cli.context import Cli, json_option, pass_cli, show
from app.cli.diversions import diversions
from app.cli.life import as_page, life_of, title
from app.codes import files
from app.codes.queries import locate, print_pack
from app.kernel.errors import DomainError
from app.trace import documents, epcis, imports, operations, queries
from app.trace.events import Declaration, RangeRole, Step
from app.trace.queries import CodeRef

_TOLD_EVERY = 50


@click.group()
def trace() -> None:
    """Import events of production, warehouses and stores; follow a code through them.

    \b
    Examples:
      saoma trace import shipments-2026-06.csv
      saoma trace imports
      saoma trace faults 7451
      saoma trace wrong urn:uuid:6f1c… --reason "wrong dealer" --corrected-by urn:uuid:91b0…
      saoma trace life N9P4-JWSJ-FGD7-A6P0 --html life.html
      saoma trace export N9P4-JWSJ-FGD7-A6P0 --into life.json
    """


trace.add_command(diversions)


@trace.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_cli
def import_file(cli: Cli, /, *, file: Path) -> None:
    """Import FILE: events as CSV (.csv) or as an EPCIS 2.0 JSON document.

    A run that was stopped goes on when it is started again. Lines that are wrong are told and left out.
    """
    now, actor, book = cli.container.clock.now(), cli.actor, cli.container.code_book
    digest = files.sha256(file)
    # One entry in the trail for the whole file; its portions follow from it.
    found = cli.act(
        Act.EVENTS_IMPORTED,
        lambda session: imports.begin(session, file_sha256=digest, file_name=file.name, actor=actor, now=now),
        on=lambda begun: f"import {begun.id}",
        detail={"sha256": digest},
    )
    transact = cli.container.db.transact
    done = found.records
    records = documents.read(file)
    for _ in islice(records, done):
        pass
    portions = 0
    while portion := list(islice(records, imports.PORTION)):
        refused = transact(
            lambda session, portion=portion, done=done: imports.add_portion(  # type: ignore[misc]
                session,
                import_id=found.id,
                done=done,
                records=portion,
                book=book,
                actor=actor,
                now=cli.container.clock.now(),
            )
        )
        for item in refused:
            assert isinstance(item.said, DomainError)
            click.echo(f"line {item.line}: {item.said.detail} [{item.said.code}]", err=True)
        done += len(portion)
        portions += 1
        if portions % _TOLD_EVERY == 0:
            click.echo(f"{done:,} records", err=True)
    transact(lambda session: imports.end(session, import_id=found.id, now=cli.container.clock.now()))
    ended = transact(
        lambda session: imports.begin(session, file_sha256=digest, file_name=file.name, actor=actor, now=now)
    )
    click.echo(
        f"import {ended.id}: {ended.records:,} records, {ended.stored:,} stored, {ended.known:,} known,"
        f" {ended.faulty:,} refused"
    )
    if ended.faulty:
        raise click.ClickException(
            f"{ended.faulty:,} records were refused; `saoma trace faults {ended.id}` shows them"
        )


@trace.command("imports")
@json_option
@pass_cli
def list_imports(cli: Cli, /, *, as_json: bool) -> None:
    """Show the imports, the newest first."""
    rows = [
        {
            "import": found.id,
            "file": found.file_name,
            "records": found.records,
            "stored": found.stored,
            "known": found.known,
            "refused": found.faulty,
            "ended": found.ended_at.isoformat(timespec="seconds") if found.ended_at else None,
            "by": found.started_by,
        }
        for found in cli.read(queries.imports)
    ]
    show(rows, as_json=as_json)


@trace.command()
@click.argument("import_id", type=int)
@json_option
@pass_cli
def faults(cli: Cli, /, *, import_id: int, as_json: bool) -> None:
    """Show what was wrong with the lines of an import."""
    rows = cli.read(lambda session: queries.import_faults(session, import_id=import_id))
    show([row._asdict() for row in rows], as_json=as_json)


@trace.command()
@click.argument("event_id")
@click.option("--reason", required=True, help="Why; it is kept.")
@click.option("--corrected-by", multiple=True, help="Id of an event that says it right; may be repeated.")
@pass_cli
def wrong(cli: Cli, /, *, event_id: str, reason: str, corrected_by: tuple[str, ...]) -> None:
    """Declare an event wrong. It stays in the record; the right event is imported beside it."""
    now, actor = cli.container.clock.now(), cli.actor
    error = Declaration(reason, now, corrected_by)
    cli.act(
        Act.EVENT_DECLARED_WRONG,
        lambda session: operations.declare_error(
            session, event_id=event_id, error=error, actor=actor, now=now
        ),
        on=f"event {event_id}",
    )
    click.echo("declared wrong")


@trace.command()
@click.argument("code")
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="File; without it the screen.")
@pass_cli
def export(cli: Cli, /, *, code: str, into: Path | None) -> None:
    """Write the events of CODE as an EPCIS 2.0 document. It holds the code: treat it like money."""
    found = locate_code(cli, code)
    book, now = cli.container.code_book, cli.container.clock.now()
    cli.act(
        Act.CODES_EXPORTED,
        lambda _: None,
        on=f"batch {found.batch_id}",
        detail={"index": found.code_index},
    )
    with cli.container.db.read() as session:
        events = [
            (event, queries.event_ranges(session, event_id=event.id))
            for event in queries.events_of(session, batch_id=found.batch_id, index=found.code_index)
        ]
        parents = {
            event.id: queries.parent_in(ranges, found)
            for event, ranges in events
            if event.step is Step.PACKING and any(role is RangeRole.PARENT for role, _ in ranges)
        }
        refs = {found, *(ref for ref in parents.values() if ref is not None)}
        links = {
            ref: book.link.url(
                print_pack(session, book=book, batch_id=ref.batch_id, now=now).code(ref.code_index)
            )
            for ref in refs
        }
    written = epcis.document(events, code=found, parents=parents, link=links.__getitem__, now=now)
    text = json.dumps(written, ensure_ascii=False, indent=2) + "\n"
    if into is None:
        click.echo(text, nl=False)
        return
    files.replace(into, text.encode())
    click.echo(f"{into}: {len(events)} events")


@trace.command()
@click.argument("code")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@json_option
@pass_cli
def life(cli: Cli, /, *, code: str, page: Path | None, as_json: bool) -> None:
    """Show the whole life of CODE: batch, packaging, events, scans, award and payout. Nobody is named."""
    found = locate_code(cli, code)
    told = cli.read(lambda session: life_of(session, code=found))
    if page is not None:
        files.replace(page, as_page(told).encode())
        click.echo(str(page))
    elif as_json:
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        for section, rows in told.items():
            click.echo(f"\n{title(section)}")
            show([dict(row) for row in rows], as_json=False)


def locate_code(cli: Cli, text: str) -> CodeRef:
    """Return the code that `text` is; refuse what is none of ours."""
    book = cli.container.code_book
    located = cli.read(lambda session: locate(session, book=book, texts=[text]))
    if text not in located:
        raise click.ClickException("this is no code of ours; type its sixteen letters, or give its link")
    return CodeRef(*located[text])
