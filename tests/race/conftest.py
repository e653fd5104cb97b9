"""What every race needs: a connection for each runner."""

from collections.abc import Iterator

import pytest

from app.db.engine import Database
from tests.support.racing import racing_database


@pytest.fixture(scope="session")
def _racing_engine(mariadb_url: str) -> Iterator[Database]:
    database = racing_database(mariadb_url)
    yield database
    database.dispose()


@pytest.fixture
def wide_db(clean_db: Database, _racing_engine: Database) -> Database:
    """The database with a connection for every runner; emptied afterwards."""
    return _racing_engine
