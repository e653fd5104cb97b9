"""Putting on and taking off lists (RISK-03, RISK-09)."""

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.risk.errors import InvalidEntry, UnknownEntry
from app.risk.lists import Level, ListKind, SubjectKind
from app.risk.models import ListEntry
from app.risk.subjects import read

_MAX_REASON = 200


def put_on_list(
    session: Session,
    *,
    kind: ListKind,
    subject_kind: SubjectKind,
    subject: str,
    reason: str,
    now: datetime,
    actor: Actor,
    effect: Level = Level.ABNORMAL,
    expires_at: datetime | None = None,
) -> int:
    """Put a subject on a list, or change its entry; return the entry's id.

    Args: subject is a person's or batch's number, a phone number or a network address; effect is what a
    black entry leads to (white entries exempt). Raises InvalidEntry.
    """
    if not 1 <= len(reason.strip()) <= _MAX_REASON:
        raise InvalidEntry(f"a reason has 1 to {_MAX_REASON} characters")
    if expires_at is not None and expires_at <= now:
        raise InvalidEntry("an entry ends in the future, or never")
    if kind is ListKind.BLACK and effect not in {Level.ABNORMAL, Level.REFUSE}:
        raise InvalidEntry("a black entry leads to the abnormal strategy or to a refusal")
    found, spelling = read(subject_kind, subject)
    said = {
        "subject": spelling,
        "effect": Level.PASS if kind is ListKind.WHITE else effect,
        "reason": reason.strip(),
        "expires_at": expires_at,
        "changed_at": now,
        "changed_by": actor.label[:64],
    }
    key = {"list": kind, "subject_kind": subject_kind, "subject_hash": found.digest}
    entry_id = new_id()
    if insert_once(session, insert(ListEntry), {"id": entry_id, **key, **said}):
        return entry_id
    this = (
        ListEntry.list == kind,
        ListEntry.subject_kind == subject_kind,
        ListEntry.subject_hash == found.digest,
    )
    session.connection().execute(update(ListEntry).where(*this).values(said))
    return int(session.connection().execute(select(ListEntry.id).where(*this)).scalar_one())


def take_off_list(session: Session, *, entry_id: int, now: datetime, actor: Actor) -> None:
    """End an entry now; raise UnknownEntry. The row stays, to explain verdicts of the past."""
    ended = (
        update(ListEntry)
        .where(ListEntry.id == entry_id)
        .values(expires_at=now, changed_at=now, changed_by=actor.label[:64])
    )
    if not session.connection().execute(ended).rowcount:
        raise UnknownEntry("there is no such entry on a list")
