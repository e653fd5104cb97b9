"""Migrated MariaDB databases for tests, copied from one that was migrated step by step.

Forty migrations take seconds, the statements that the server gives for the result take a third of one. A run
needs a database for each worker and for each guard that a test takes out.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from app.db import migrate
from app.db.engine import Database
from tests.support.mariadb import PrivateMariaDB

_TEMPLATE = "saoma_template"


def create_migrated(server: PrivateMariaDB, name: str) -> str:
    """Create the database `name`, migrated; return its URL. Any number of processes may ask at once."""
    with (server.folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        template = Database(server.create_database(_TEMPLATE))
        if migrate.current(template) != migrate.head():
            migrate.upgrade(template)
    url = server.create_database(name)
    made = Database(url)
    try:
        with template.engine.connect() as source, made.engine.connect() as target:
            _copy(source, target)
    finally:
        template.dispose()
        made.dispose()
    return url


def filled(connection: Connection, tables: list[str]) -> list[str]:
    """Return those of `tables` that hold anything."""
    asked = " UNION ALL ".join(f"(SELECT '{name}' FROM `{name}` LIMIT 1)" for name in tables)
    return [name for (name,) in connection.execute(text(asked))]


@contextmanager
def emptied(database: Database, names: list[str]) -> Iterator[None]:
    """Empty the tables `names` afterwards, and then find fault with who has forgotten a listener.

    In this order, and what was forgotten is heard no more: so only the test that did it is blamed.
    """
    yield
    engine = database.engine
    listened, engine._has_events = engine._has_events, False
    with engine.connect() as connection:
        # DELETE on the few tables that hold a few rows is many times faster than TRUNCATE on all of them.
        connection.execute(text("SET foreign_key_checks = 0"))
        for name in filled(connection, names):
            connection.execute(text(f"DELETE FROM `{name}`"))
        connection.commit()
        connection.execute(text("SET foreign_key_checks = 1"))
    assert not listened, "somebody still listens: see tests/support/statements.py"


def tables(connection: Connection) -> list[str]:
    """Return the names of all tables of the database."""
    rows = connection.execute(
        text(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
        )
    )
    return [name for (name,) in rows]


def _copy(source: Connection, target: Connection) -> None:
    # Tables come in the order of their names, which is not that of their references.
    target.exec_driver_sql("SET foreign_key_checks = 0")
    names = tables(source)
    for name in names:
        _, statement = source.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").one()
        target.exec_driver_sql(statement.replace("%", "%%"))
    for name in filled(source, names):
        target.exec_driver_sql(f"INSERT INTO `{name}` SELECT * FROM `{_TEMPLATE}`.`{name}`")
    target.commit()
    target.exec_driver_sql("SET foreign_key_checks = 1")
