"""People on MariaDB; everything is rolled back."""

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.factories.people import People
from tests.support.statements import statements as sent


@pytest.fixture
def people(session: Session, clock: ManualClock) -> People:
    return People.build(session, clock)


@pytest.fixture
def statements(sqlite_db: Database) -> Iterator[list[str]]:
    """What SQLite is asked to do."""
    with sent(sqlite_db.engine) as seen:
        yield seen
