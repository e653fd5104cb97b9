"""What every race needs: a connection for each runner."""

import os
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.conftest import NOON
from tests.race.crowd import Crowd
from tests.support.mariadb import PrivateMariaDB
from tests.support.racing import racing_database
from tests.support.schema import create_migrated

FEWER = 16
"""How many race where more would show no more: what a missing guard lets through, these show as well."""


@pytest.fixture(scope="session")
def _racing_engine(mariadb_url: str) -> Iterator[Database]:
    database = racing_database(mariadb_url)
    yield database
    database.dispose()


@pytest.fixture
def wide_db(clean_db: Database, _racing_engine: Database) -> Database:
    """The database with a connection for every runner; emptied afterwards."""
    return _racing_engine


@pytest.fixture
def without_key(mariadb_server: PrivateMariaDB) -> Iterator[Callable[..., Database]]:
    """Makes a database of its own from which one unique key is gone: to see what it was good for."""
    made: list[tuple[str, Database]] = []

    def make(table: str, *statements: str) -> Database:
        name = f"unguarded_{table}_{os.getpid()}_{len(made)}"
        database = racing_database(create_migrated(mariadb_server, name), FEWER)
        with database.engine.connect() as connection:
            for statement in statements:
                connection.execute(text(f"ALTER TABLE {table} {statement}"))
            connection.commit()
        made.append((name, database))
        return database

    yield make
    for name, database in made:
        database.dispose()
        mariadb_server.drop_database(name)


@pytest.fixture(scope="session")
def _crowd(mariadb_server: PrivateMariaDB, worker_name: str) -> Iterator[Crowd]:
    name = f"crowd_{worker_name}"
    database = racing_database(create_migrated(mariadb_server, name))
    yield Crowd.gather(database, ManualClock(NOON))
    database.dispose()
    mariadb_server.drop_database(name)


@pytest.fixture
def crowd(_crowd: Crowd) -> Iterator[Crowd]:
    """Sixty-four members in a database of their own, which is never emptied: making them takes a while."""
    yield _crowd
    _crowd.stop()
