"""Importing a file of events: portion by portion, each a transaction that also notes how far it came.

A run that was stopped goes on where it was when the same bytes are given again. Records that are wrong are
noted by line and left out; mend them and import the mended file: events that are stored already are
recognised by their ids.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from app.codes.book import CodeBook
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.errors import DomainError
from app.kernel.ids import new_id
from app.trace.documents import Record
from app.trace.errors import ImportBusy
from app.trace.events import Event
from app.trace.models import TraceImport, TraceImportFault
from app.trace.operations import Recorded, read_codes, record
from app.trace.queries import ImportView

PORTION = 200
"""Records a transaction."""

KEPT_FAULTS = 1000
"""Faults kept for one import; further ones are only counted."""


def begin(session: Session, *, file_sha256: str, file_name: str, actor: Actor, now: datetime) -> ImportView:
    """Return the import of the file with this digest, begun now or at some time before."""
    row = {
        "id": new_id(),
        "file_sha256": file_sha256,
        "file_name": file_name[:128],
        "records": 0,
        "stored": 0,
        "known": 0,
        "faulty": 0,
        "started_at": now,
        "ended_at": None,
        "started_by": actor.label,
    }
    insert_once(session, insert(TraceImport), row)
    wanted = select(*(getattr(TraceImport, name) for name in ImportView._fields))
    return ImportView(*session.execute(wanted.where(TraceImport.file_sha256 == file_sha256)).one())


def add_portion(
    session: Session,
    *,
    import_id: int,
    done: int,
    records: Sequence[Record],
    book: CodeBook,
    actor: Actor,
    now: datetime,
) -> list[Record]:
    """Record a portion after `done` records of the file; return the records that were refused, with why.

    Raise ImportBusy when the import does not stand at `done`: somebody else goes on with it.
    """
    refused = [item for item in records if isinstance(item.said, DomainError)]
    told = [(item.line, item.said) for item in records if isinstance(item.said, Event)]
    stored = known = 0
    read = read_codes(session, book=book, events=[event for _, event in told])
    for (line, _), event in zip(told, read, strict=True):
        if not isinstance(event, Event):
            refused.append(Record(line, event))
            continue
        try:
            with session.begin_nested():
                if record(session, event=event, actor=actor, now=now) is Recorded.STORED:
                    stored += 1
                else:
                    known += 1
        except DomainError as refusal:
            refused.append(Record(line, refusal))
    refused.sort(key=lambda item: item.line)
    moved = (
        update(TraceImport)
        .where(TraceImport.id == import_id, TraceImport.records == done)
        .values(
            records=done + len(records),
            stored=TraceImport.stored + stored,
            known=TraceImport.known + known,
            faulty=TraceImport.faulty + len(refused),
        )
    )
    if session.connection().execute(moved).rowcount != 1:
        raise ImportBusy("another process is importing this file; wait for it")
    _keep_faults(session, import_id, refused)
    return refused


def end(session: Session, *, import_id: int, now: datetime) -> None:
    """Note that a file was read to its end."""
    session.execute(
        update(TraceImport)
        .where(TraceImport.id == import_id, TraceImport.ended_at.is_(None))
        .values(ended_at=now)
    )


def _keep_faults(session: Session, import_id: int, refused: Sequence[Record]) -> None:
    count = select(func.count()).where(TraceImportFault.import_id == import_id)
    room = KEPT_FAULTS - session.execute(count).scalar_one()
    rows = [
        {
            "id": new_id(),
            "import_id": import_id,
            "line": item.line,
            "code": item.said.code,
            "detail": item.said.detail[:300],
        }
        for item in refused[: max(room, 0)]
        if isinstance(item.said, DomainError)
    ]
    if rows:
        session.execute(insert(TraceImportFault), rows)
