"""Counting scans by neighbourhood and network: one narrow upsert a scan, looked up by key at a draw.

A counter is a row that neighbours share, so it is written last: whoever waits for it, waits for a commit. A
scan of a batch touches only its own neighbourhood of 4,096 codes and its own network, whatever else is
counted; there is no counter for a whole batch, which every shopper would wait for. Batches are marked from
hits (app.risk.watch).
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Session

from app.db.engine import Replay
from app.db.prepared import Prepared
from app.risk.models import RiskCounter
from app.risk.signals import address_subject, day_bucket, hour_bucket, person_bit, range_subject

KEEP = timedelta(days=3)
_TABLE: Any = RiskCounter.__table__


def _upsert(dialect: str, rows: int) -> Prepared:
    values = [
        {
            "bucket": bindparam(f"bucket_{row}"),
            "subject": bindparam(f"subject_{row}"),
            "events": 1,
            "persons": bindparam(f"persons_{row}"),
        }
        for row in range(rows)
    ]
    more = _TABLE.c.events + 1
    if dialect == "sqlite":
        wanted = sqlite.insert(_TABLE).values(values)
        return Prepared(
            wanted.on_conflict_do_update(
                index_elements=["bucket", "subject"],
                set_={
                    "events": more,
                    "persons": _TABLE.c.persons.bitwise_or(wanted.excluded.persons),
                },
            )
        )
    there = mysql.insert(_TABLE).values(values)
    return Prepared(
        there.on_duplicate_key_update(
            events=more, persons=_TABLE.c.persons.bitwise_or(there.inserted.persons)
        )
    )


# With a network, and without: what a private address says is nothing.
_UPSERTS = {(dialect, rows): _upsert(dialect, rows) for dialect in ("sqlite", "mysql") for rows in (2, 4)}


def count_scan(
    session: Session, *, batch_id: int, code_index: int, person_id: int, address: str | None, now: datetime
) -> None:
    """Count a scan of a code that could be drawn; one statement, to be sent last in its transaction."""
    subjects = [range_subject(batch_id, code_index)]
    network = address_subject(address)
    if network is not None:
        subjects.append(network)
    # In the order of the key, so that two scans never wait for each other.
    keys = sorted((bucket, subject) for bucket in (hour_bucket(now), day_bucket(now)) for subject in subjects)
    bit = person_bit(person_id)
    values: dict[str, Any] = {}
    for row, (bucket, subject) in enumerate(keys):
        values |= {f"bucket_{row}": bucket, f"subject_{row}": subject, f"persons_{row}": bit}
    dialect = session.get_bind().dialect.name
    upsert = _UPSERTS["sqlite" if dialect == "sqlite" else "mysql", len(keys)]
    upsert.write_later(session, values, rows=None, lost=Replay)


def purge_counters(session: Session, *, now: datetime) -> int:
    """Remove the oldest hour or day of counters that no draw looks at any more; return how many they were."""
    oldest = session.connection().execute(select(func.min(RiskCounter.bucket))).scalar()
    if oldest is None or oldest >= hour_bucket(now - KEEP):
        return 0
    return session.connection().execute(delete(RiskCounter).where(RiskCounter.bucket == oldest)).rowcount
