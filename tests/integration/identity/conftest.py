"""People on MariaDB; everything is rolled back."""

from collections.abc import Iterator

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.factories.people import People


@pytest.fixture
def people(session: Session, clock: ManualClock) -> People:
    return People.build(session, clock)


@pytest.fixture
def statements(sqlite_db: Database) -> Iterator[list[str]]:
    """What SQLite is asked to do."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(sqlite_db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(sqlite_db.engine, "before_cursor_execute", note)
