"""The SQL of real requests, so that a bare program can send the very same.

Two scans and two draws are played through the real application while an event listener writes down each
statement with its parameters. What is equal in both is a constant. What differs is a number that the request
was made for (session, person, code, scan), an id that the request made, a moment, or a digest; each of them
becomes a slot that the bare program fills anew for every request.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import event

from app.db.engine import Database

COMMIT = "COMMIT"
NEW_ID, NOW, DIGEST, FORMAT = "new_id", "now", "digest", "format"

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """One statement as the driver got it; `many` rows go through `executemany`."""

    sql: str
    rows: tuple[Values, ...]
    many: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of the template: rows of constants, and which of them are slots (row, parameter, slot)."""

    sql: str
    rows: tuple[Values, ...]
    many: bool
    slots: tuple[tuple[int, str, str], ...]


@dataclass(slots=True)
class Template:
    """The statements of one kind of request, and how each slot that it makes itself is filled.

    A slot's making is a kind and, for FORMAT, the text to format with the other slots.
    """

    statements: list[Statement] = field(default_factory=list)
    made: dict[str, tuple[str, str]] = field(default_factory=dict)

    def slot_of(self, value: int) -> str:
        """Return the slot that held `value` in the first of the two requests."""
        for statement in self.statements:
            for row, parameter, name in statement.slots:
                if statement.rows[row][parameter] == value:
                    return name
        raise LookupError(f"no statement holds {value}")


@contextmanager
def listen(db: Database) -> Iterator[list[Sent]]:
    """Yield a list that grows by each statement and commit on `db`."""
    sent: list[Sent] = []

    def execute(_c: Any, _cursor: Any, sql: str, given: Any, _context: Any, many: bool) -> None:  # noqa: FBT001
        rows = given if many else [given]
        sent.append(Sent(sql, tuple(dict(row) for row in rows), many))

    def commit(_connection: Any) -> None:
        sent.append(Sent(COMMIT, ({},), many=False))

    event.listen(db.engine, "before_cursor_execute", execute)
    event.listen(db.engine, "commit", commit)
    try:
        yield sent
    finally:
        event.remove(db.engine, "before_cursor_execute", execute)
        event.remove(db.engine, "commit", commit)


def template(
    first: Sequence[Sent],
    second: Sequence[Sent],
    known: tuple[Mapping[int, str], Mapping[int, str]],
) -> Template:
    """Return the template of two requests of one kind; `known` names the numbers each was made for."""
    if [sent.sql for sent in first] != [sent.sql for sent in second]:
        raise ValueError("two requests of one kind sent different statements")
    return _Reader(known).read(first, second)


class _Reader:
    def __init__(self, known: tuple[Mapping[int, str], Mapping[int, str]]) -> None:
        self._names: dict[tuple[Any, Any], str] = {}
        for value, name in known[0].items():
            other = next(value for value, same in known[1].items() if same == name)
            self._names[value, other] = name
        self._template = Template()

    def read(self, first: Sequence[Sent], second: Sequence[Sent]) -> Template:
        for one, two in zip(first, second, strict=True):
            slots = []
            for row, (values, others) in enumerate(zip(one.rows, two.rows, strict=True)):
                for parameter, value in values.items():
                    name = self._slot(value, others[parameter])
                    if name is not None:
                        slots.append((row, parameter, name))
            self._template.statements.append(Statement(one.sql, one.rows, one.many, tuple(slots)))
        return self._template

    def _slot(self, value: Any, other: Any) -> str | None:
        if (value, other) in self._names:
            return self._names[value, other]
        if value == other:
            return None
        if isinstance(value, datetime):
            return self._make(value, other, NOW)
        if isinstance(value, int):
            return self._make(value, other, NEW_ID)
        if isinstance(value, bytes):
            return self._make(value, other, DIGEST)
        if isinstance(value, str):
            return self._text(value, other)
        raise ValueError(f"two requests differ in a {type(value).__name__}")

    def _make(self, value: Any, other: Any, kind: str, text: str = "") -> str:
        name = f"{kind}{len(self._template.made)}"
        self._names[value, other] = name
        self._template.made[name] = (kind, text)
        return name

    def _text(self, value: str, other: str) -> str | None:
        """Return a slot for a text that holds ids; None for one that differs otherwise: a constant will do.

        Such are JSON with public ids and seals: no unique key looks at them, and any has the same length.
        """
        text, filled = value, value
        for (one, two), name in self._names.items():
            if isinstance(one, int) and str(one) in text:
                text = text.replace(str(one), f"{{{name}}}")
                filled = filled.replace(str(one), str(two))
        return self._make(value, other, FORMAT, text) if filled == other and "{" not in value else None
