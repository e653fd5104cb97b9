"""Sealing what is stored under the newest key, while everything runs.

Every sealed value carries the version of its key, so old and new lie side by side and any process that has
both keys reads either. A value is exchanged only if it is still the very bytes that were read: whoever wrote
meanwhile has sealed it anew anyway. Rows are taken in the order of their primary keys, a few hundred in a
transaction; what is done already costs a reading, so an interrupted run is simply started again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, LargeBinary, Row, Select, Table, func, select, tuple_, type_coerce, update
from sqlalchemy.orm import Session

from app.db.base import Base, Encrypted
from app.db.engine import Database
from app.db.secrets import KeyRing, SealBroken

_COUNTED_AT_ONCE = 5000
_SEALED_AT_ONCE = 200
_VERSION_BYTES = 2

Progress = Callable[[str, int], None]
"""Told the name of a table and how many of its rows have been looked at."""


@dataclass(slots=True)
class Resealed:
    """What a run did: values sealed anew; values that changed meanwhile; names of rows that do not open."""

    sealed: int = 0
    overtaken: int = 0
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One value: where it is, the bytes that were read there, and those that shall be."""

    column: Column[Any]
    keys: tuple[Any, ...]
    old: bytes
    new: bytes


def sealed_columns() -> Mapping[Table, Sequence[Column[Any]]]:
    """Return every sealed column by its table. All models have to be imported, as the factory does."""
    found = {
        table: [column for column in table.columns if isinstance(column.type, Encrypted)]
        for table in Base.metadata.sorted_tables
    }
    return {table: columns for table, columns in found.items() if columns}


def versions_in_use(db: Database, *, progress: Progress) -> dict[str, Counter[int]]:
    """Return for each sealed column how many values each version seals, read page by page."""
    found: dict[str, Counter[int]] = {}
    for table, columns in sealed_columns().items():
        counts = {column: found.setdefault(str(column), Counter()) for column in columns}
        heads = [func.substr(_raw(column), 1, _VERSION_BYTES, type_=LargeBinary()) for column in columns]
        for rows in _pages(db, table, heads, _COUNTED_AT_ONCE, progress):
            for row in rows:
                for counter, head in zip(counts.values(), row[-len(columns) :], strict=True):
                    if head is not None:
                        counter[int.from_bytes(head)] += 1
    return found


def reseal(db: Database, ring: KeyRing, *, progress: Progress) -> Resealed:
    """Seal every value that an older key seals with the ring's sealing key; see the head of this module.

    Safe at any time, beside writers and beside a second run. Source: SEC-03.
    """
    done = Resealed()
    for table, columns in sealed_columns().items():
        for rows in _pages(db, table, [_raw(column) for column in columns], _SEALED_AT_ONCE, progress):
            changes = [
                (column, row, row[len(table.primary_key) + place])
                for row in rows
                for place, column in enumerate(columns)
                if _is_older(row[len(table.primary_key) + place], ring)
            ]
            if changes:
                _exchange(db, ring, table, changes, done)
    return done


def _is_older(sealed: bytes | None, ring: KeyRing) -> bool:
    return sealed is not None and int.from_bytes(sealed[:_VERSION_BYTES]) != ring.sealing


def _exchange(
    db: Database,
    ring: KeyRing,
    table: Table,
    changes: Sequence[tuple[Column[Any], Row[Any], bytes]],
    done: Resealed,
) -> None:
    fresh = []
    for column, row, old in changes:
        assert isinstance(column.type, Encrypted)
        keys = tuple(row[: len(table.primary_key)])
        try:
            new = ring.seal(column.type.context, ring.open(column.type.context, old))
        except SealBroken as broken:
            done.broken.append(f"{column} of {', '.join(map(str, keys))}: {broken}")
            continue
        fresh.append(_Exchange(column, keys, old, new))

    def work(session: Session) -> int:
        return sum(_exchange_one(session, table, exchange) for exchange in fresh)

    sealed = db.transact(work) if fresh else 0
    done.sealed += sealed
    done.overtaken += len(fresh) - sealed


def _exchange_one(session: Session, table: Table, exchange: _Exchange) -> int:
    statement = (
        update(table)
        .where(*(part == value for part, value in zip(table.primary_key, exchange.keys, strict=True)))
        # What is no longer what was read has been written meanwhile, and must stay.
        .where(_raw(exchange.column) == exchange.old)
        .values({exchange.column: type_coerce(exchange.new, LargeBinary())})
    )
    return session.connection().execute(statement).rowcount


def _pages(
    db: Database, table: Table, wanted: Sequence[Any], size: int, progress: Progress
) -> Iterator[Sequence[Row[Any]]]:
    """Yield primary key and `wanted` of all rows of `table`, a page at a time, each read on its own."""
    keys = list(table.primary_key)
    page: Select[Any] = select(*keys, *wanted).order_by(*keys).limit(size)
    seen, after = 0, None
    while True:
        asked = page if after is None else page.where(_beyond(keys, after))
        with db.read() as session:
            rows = session.connection().execute(asked).all()
        if not rows:
            return
        yield rows
        seen += len(rows)
        progress(table.name, seen)
        after = tuple(rows[-1][: len(keys)])


def _beyond(keys: Sequence[Column[Any]], after: tuple[Any, ...]) -> Any:
    return keys[0] > after[0] if len(keys) == 1 else tuple_(*keys) > after


def _raw(column: Column[Any]) -> Any:
    """Return a sealed column as the bytes that are stored."""
    return type_coerce(column, LargeBinary())
