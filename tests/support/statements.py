"""What is sent to the database, seen by a listener that leaves nothing behind.

While somebody listens to an engine, the product's short cut to the driver makes way for the listener, and
SQLAlchemy remembers that somebody once did. All tests of a run share an engine: whoever forgot to go would
have the rest of them test another way than the one that is taken in earnest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

_FRAMING = ("SAVEPOINT", "RELEASE", "ROLLBACK TO")


@contextmanager
def listening(bind: Engine | Connection, hear: Callable[[str, Any], None]) -> Iterator[None]:
    """Call `hear` with the text and the parameters of each statement of an engine or a connection."""

    def note(_connection: Any, _cursor: Any, text: str, parameters: Any, *_rest: Any) -> None:
        hear(text, parameters)

    before = bind._has_events
    event.listen(bind, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(bind, "before_cursor_execute", note)
        bind._has_events = before


@contextmanager
def statements(bind: Engine | Connection, *, framing: bool = True) -> Iterator[list[str]]:
    """Yield a list that grows by each statement; without `framing`, savepoints are left out."""
    seen: list[str] = []

    def hear(text: str, _parameters: Any) -> None:
        if framing or not text.startswith(_FRAMING):
            seen.append(text)

    with listening(bind, hear):
        yield seen
