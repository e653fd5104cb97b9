"""`saoma batches import`: codes that somebody else printed."""

from itertools import islice
from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.access.roles import Act
from app.cli.codes import product_id
from app.cli.context import Cli, pass_cli
from app.codes import files, foreign
from app.codes.foreign_list import read_list
from app.codes.operations import create_batch
from app.codes.outcome import Placement
from app.kernel.json import Json

_TOLD_EVERY = 100


@click.command("import")
@click.argument("brand")
@click.argument("sku")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--lot", required=True, help="Production lot.")
@click.option("--under-cap/--outside", default=False, help="Where the code is printed.")
@click.option("--guessable-because", "reason", help="Why codes are taken that can be guessed; it is kept.")
@pass_cli
def import_list(
    cli: Cli, /, *, brand: str, sku: str, file: Path, lot: str, under_cap: bool, reason: str | None
) -> None:
    """Take the codes of FILE, one a line, printed by somebody else, as a batch of SKU of BRAND.

    A run that was stopped goes on when it is started again. Nothing works before `activate`.

    \b
    Example:
      saoma batches import tea-house OOLONG-500 old-codes.txt --lot L2025-03 --under-cap
    """
    container, actor = cli.container, cli.actor
    digest = files.sha256(file)
    found = cli.read(lambda session: foreign.list_of_file(session, file_sha256=digest))
    if found is None:
        strength = foreign.measure(read_list(file), book=container.code_book)
        foreign.require_strong(strength, reason=reason)
        now = container.clock.now()

        def begin(session: Session) -> foreign.ListView:
            batch_id = create_batch(
                session,
                product_id=product_id(session, brand, sku),
                lot=lot,
                size=strength.codes,
                placement=Placement.UNDER_CAP if under_cap else Placement.OUTSIDE,
                actor=actor,
                now=now,
            )
            return foreign.begin(
                session,
                batch_id=batch_id,
                file_sha256=digest,
                file_name=file.name,
                strength=strength,
                guessable_reason=reason,
                actor=actor,
                now=now,
            )

        facts: dict[str, Json] = {"brand": brand, "sku": sku, "sha256": digest, "guessable_because": reason}
        found = cli.act(Act.BATCH_CREATED, begin, on=lambda begun: f"batch {begun.batch_id}", detail=facts)
    batch_id, done, known = found.batch_id, found.done, found.known
    texts = islice(read_list(file), done, None)
    portions = 0
    while portion := list(islice(texts, foreign.PORTION)):
        known += container.db.transact(
            lambda session, done=done, portion=portion: foreign.add_portion(  # type: ignore[misc]
                session, batch_id=batch_id, done=done, texts=portion, now=container.clock.now()
            )
        )
        done += len(portion)
        portions += 1
        if portions % _TOLD_EVERY == 0:
            click.echo(f"{done:,} of {found.codes:,} codes", err=True)
    click.echo(f"batch {batch_id}: {done:,} codes read, {known:,} known before")
