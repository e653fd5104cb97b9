"""Where backups come from and where they are restored to, on each kind of database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.db.engine import Database
from tests.support.mariadb import PrivateMariaDB

Empty = Callable[[], Database]


@pytest.fixture(params=["mariadb", "sqlite"])
def source(request: pytest.FixtureRequest) -> Database:
    """The database that is backed up."""
    found: Database = request.getfixturevalue("clean_db" if request.param == "mariadb" else "sqlite_db")
    return found


@pytest.fixture
def empty(
    source: Database, mariadb_server: PrivateMariaDB, worker_name: str, tmp_path: Path
) -> Iterator[Empty]:
    """Makes an empty database of the same kind."""
    with ExitStack() as stack:

        def make() -> Database:
            if source.is_sqlite:
                made = Database(f"sqlite:///{tmp_path / 'restored.db'}")
            else:
                name = f"saoma_restored_{worker_name}"
                mariadb_server.drop_database(name)
                made = Database(mariadb_server.create_database(name))
                stack.callback(mariadb_server.drop_database, name)
            stack.callback(made.dispose)
            return made

        yield make
