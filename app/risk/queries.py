"""Reading lists and judging by them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, or_, select
from sqlalchemy.orm import Session

from app.db.prepared import Prepared
from app.identity.models import Identifier, Sighting
from app.identity.queries import Cluster
from app.identity.values import IdentifierKind
from app.risk import subjects
from app.risk.lists import Entry, Level, ListKind, Subject, SubjectKind, Verdict, judge
from app.risk.models import ListEntry


@dataclass(frozen=True, slots=True)
class EntryView:
    """A line of a list as an operator sees it; `subject` is in clear, so show it to the authorised only."""

    id: int
    list: ListKind
    subject_kind: SubjectKind
    subject: str
    effect: Level
    reason: str
    expires_at: datetime | None
    changed_at: datetime
    changed_by: str


_ENTRY_COLUMNS = (
    ListEntry.list,
    ListEntry.subject_kind,
    ListEntry.subject_hash,
    ListEntry.effect,
    ListEntry.expires_at,
)

_BY_HASH: Select[*tuple[Any, ...]] = select(*_ENTRY_COLUMNS).where(
    ListEntry.subject_hash.in_(bindparam("hashes", expanding=True))
)

_BY_PHONE: Select[*tuple[Any, ...]] = (
    select(*_ENTRY_COLUMNS)
    .join_from(Sighting, Identifier, Identifier.id == Sighting.identifier_id)
    .join(ListEntry, ListEntry.subject_hash == Identifier.value_hash)
    .where(
        Sighting.person_id.in_(bindparam("persons", expanding=True)),
        Identifier.kind == IdentifierKind.PHONE,
        ListEntry.subject_kind == SubjectKind.PHONE,
    )
)

LISTED = _BY_HASH.exists() | _BY_PHONE.exists()
"""Whether anything is on a list; parameters `hashes` and `persons`."""

_ENTRIES = Prepared(_BY_HASH.union_all(_BY_PHONE))


def subjects_of(
    *, person_ids: Collection[int], batch_id: int | None = None, address: str | None = None
) -> list[Subject]:
    """Return what a visit can be judged by without asking the database."""
    found = [subjects.person(person_id) for person_id in person_ids]
    if batch_id is not None:
        found.append(subjects.batch(batch_id))
    places = () if address is None else (subjects.address(address), subjects.network(address))
    return [*found, *[place for place in places if place is not None]]


def verdict(
    session: Session,
    *,
    cluster: Cluster,
    now: datetime,
    batch_id: int | None = None,
    address: str | None = None,
) -> Verdict:
    """Return what the lists say of a person, their phones, a batch and a network address, in one statement.

    Source: RISK-03. The whole cluster counts: who is on a list stays on it under each of their identities.
    """
    known = subjects_of(person_ids=cluster.person_ids, batch_id=batch_id, address=address)
    return judge_subjects(session, known, person_ids=cluster.person_ids, now=now)


def judge_subjects(
    session: Session, known: Collection[Subject], *, person_ids: Collection[int], now: datetime
) -> Verdict:
    """Return what the lists say of `known` subjects and of the phones of a cluster, in one statement."""
    parameters = {"hashes": [subject.digest for subject in known], "persons": list(person_ids)}
    rows = _ENTRIES.all(session, parameters)
    entries = [Entry(row[0], Subject(row[1], row[2]), row[3], row[4]) for row in rows]
    phones = [entry.subject for entry in entries if entry.subject.kind is SubjectKind.PHONE]
    return judge(entries, [*known, *phones], now)


def entries(
    session: Session,
    *,
    now: datetime,
    kind: ListKind | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[EntryView]:
    """Return the living entries, newest first, with an id below `before`."""
    wanted = (
        select(
            ListEntry.id,
            ListEntry.list,
            ListEntry.subject_kind,
            ListEntry.subject,
            ListEntry.effect,
            ListEntry.reason,
            ListEntry.expires_at,
            ListEntry.changed_at,
            ListEntry.changed_by,
        )
        .where(or_(ListEntry.expires_at.is_(None), ListEntry.expires_at > now))
        .order_by(ListEntry.id.desc())
        .limit(limit)
    )
    if kind is not None:
        wanted = wanted.where(ListEntry.list == kind)
    if before is not None:
        wanted = wanted.where(ListEntry.id < before)
    return [EntryView(*row) for row in session.connection().execute(wanted)]
