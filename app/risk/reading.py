"""What a draw's measures are made of, read in one statement whatever else there is.

One UNION of three look-ups by key: the counters of the code's neighbourhood and of the shopper's network (six
rows at most), the person's latest scans, the phones they have shown. Nothing in it grows with the campaign,
the batch or the other shoppers.

Scans of cases and pallets are left out, with the person's scans and with their phone's: store staff who take
in a delivery scan neighbouring codes by the dozen, seconds apart. A draw with a case is judged by what
its scanner has done with items, like any other.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Integer, LargeBinary, bindparam, func, literal, select
from sqlalchemy import type_coerce as typed
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql import null

from app.codes.models import Scan
from app.codes.outcome import ScanOutcome
from app.db import secrets
from app.db.base import BigInt, UtcDateTime
from app.db.prepared import Asked, Prepared
from app.identity.models import Identifier, Person, Sighting
from app.identity.values import IdentifierKind
from app.risk.models import RiskCounter
from app.risk.signals import (
    RECENT_SCANS,
    Circumstances,
    Count,
    Phone,
    Places,
    Seen,
    buckets_read,
    places_of,
)

_COUNTS, _SCANS, _PHONES = range(3)
_PERSONS: Any = bindparam("persons", expanding=True)
_SEALED = "identifiers.value"


@dataclass(frozen=True, slots=True)
class Readings:
    """The raw material of a draw's measures; `places` are those that `counts` were asked for."""

    places: Places
    counts: tuple[Count, ...]
    scans: tuple[Seen, ...]
    phones: tuple[Phone, ...]


def _part(number: int, **columns: Any) -> list[Any]:
    kinds: dict[str, Any] = {
        "number1": BigInt,
        "number2": BigInt,
        "number3": BigInt,
        "moment": UtcDateTime,
        "content": LargeBinary,
    }
    found = [typed(columns.get(name, null()), kind).label(name) for name, kind in kinds.items()]
    return [literal(number, Integer, literal_execute=True).label("part"), *found]


def _statement() -> Any:
    latest = (
        select(Scan.batch_id, Scan.code_index, Scan.at)
        .where(Scan.person_id.in_(_PERSONS), Scan.batch_id.is_not(None), Scan.outcome != ScanOutcome.PACKAGE)
        .order_by(Scan.id.desc())
        .limit(RECENT_SCANS)
        .subquery()
    )
    other, others_scan = aliased(Sighting), aliased(Scan)
    sharers = (
        select(func.count(Person.one_id.distinct()))
        .join_from(other, Person, Person.id == other.person_id)
        .where(other.identifier_id == Identifier.id)
        .scalar_subquery()
    )
    scanned = (
        select(func.count())
        .select_from(other)
        .join(others_scan, others_scan.person_id == other.person_id)
        .where(
            other.identifier_id == Identifier.id,
            others_scan.at >= bindparam("day"),
            others_scan.outcome != ScanOutcome.PACKAGE,
        )
        .scalar_subquery()
    )
    counts = _part(
        _COUNTS,
        number1=RiskCounter.bucket,
        number2=RiskCounter.events,
        number3=RiskCounter.persons,
        content=RiskCounter.subject,
    )
    phones = _part(
        _PHONES, number1=sharers, number2=scanned, moment=Sighting.last_seen_at, content=Identifier.value
    )
    return (
        select(*counts)
        .where(
            RiskCounter.bucket.in_(bindparam("buckets", expanding=True)),
            RiskCounter.subject.in_(bindparam("subjects", expanding=True)),
        )
        .union_all(
            select(
                *_part(_SCANS, number1=latest.c.batch_id, number2=latest.c.code_index, moment=latest.c.at)
            ),
            select(*phones)
            .join_from(Sighting, Identifier, Identifier.id == Sighting.identifier_id)
            .where(Sighting.person_id.in_(_PERSONS), Identifier.kind == IdentifierKind.PHONE),
        )
    )


_READ = Prepared(_statement())


def ask_signals(
    session: Session,
    *,
    about: Circumstances,
    person_ids: Collection[int],
    day: datetime,
    now: datetime,
) -> Asked[Readings]:
    """Ask for what is known about a draw at `now`: one statement; `day` is when the market's day began."""
    places = places_of(about)
    parameters = {
        "persons": list(person_ids),
        "buckets": buckets_read(now),
        "subjects": [place for place in places if place is not None],
        "day": day,
    }
    return _READ.ask(session, parameters, partial(_readings, places))


def _readings(places: Places, rows: list[Any]) -> Readings:
    counts, scans, phones = [], [], []
    for row in rows:
        if row.part == _COUNTS:
            counts.append(Count(row.number1, row.content, row.number2, row.number3))
        elif row.part == _SCANS:
            scans.append(Seen(row.number1, row.number2, row.moment))
        else:
            number = secrets.ring().open(_SEALED, row.content).decode()
            phones.append(Phone(number, row.number1, row.number2, row.moment))
    return Readings(places, tuple(counts), tuple(scans), tuple(phones))
