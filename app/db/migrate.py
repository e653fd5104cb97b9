"""Bringing a database to the present schema, and telling whether it is there.

Only the first of the two needs Alembic and the migrations themselves; a web worker that starts does neither,
and is ready a tenth sooner.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError

from app.db.engine import Database
from app.db.mysql import patient

_LONGEST_STATEMENT_SECONDS = 24 * 3600.0
_FOLDER = Path(__file__).resolve().parents[2] / "migrations"


@cache
def head() -> str:
    """Return the number of the newest migration; they are one line, and each file begins with its number."""
    return max(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.py"))


def current(db: Database) -> str | None:
    """Return the number of the migration that `db` stands at; None for an empty database."""
    with db.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        number: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return number


def upgrade(db: Database, *, to: str = "head") -> None:
    """Run the migrations that `db` lacks; each is one re-runnable step.

    SQLite changes a CHECK by copying the table, which must not be refused for the rows that refer to it: its
    foreign keys rest meanwhile. They are asked before: a broken one raises IntegrityError and nothing is
    changed. And they are asked afterwards, when what broke one is committed and a backup has to be restored.
    """
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    with db.engine.connect() as connection, _patience(connection), _resting_references(connection):
        config.attributes["connection"] = connection
        _require_references(connection)
        connection.rollback()
        command.upgrade(config, to)
        _require_references(connection)
        connection.commit()


def _patience(connection: Connection) -> AbstractContextManager[None]:
    """Wait for each statement as long as a large table takes to be copied.

    To give up would not stop it: the server goes on, and a second run begins with the same statement and
    comes no further.
    """
    if connection.dialect.name == "sqlite":
        return nullcontext()
    return patient(connection.connection.driver_connection, seconds=_LONGEST_STATEMENT_SECONDS)


@contextmanager
def _resting_references(connection: Connection) -> Iterator[None]:
    """Let SQLite not ask for foreign keys; it takes that only between transactions, hence from the driver."""
    driver = connection.connection.driver_connection
    sqlite = connection.dialect.name == "sqlite"
    assert driver is not None
    if sqlite:
        driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        if sqlite:
            connection.rollback()
            driver.execute("PRAGMA foreign_keys=ON")


def _require_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and (
        broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    ):
        raise IntegrityError(f"a row of {broken[0]} refers to nothing", None, ValueError(str(broken[2])))
