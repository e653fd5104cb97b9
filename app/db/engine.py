"""The engine and the three ways to use it: read, unit of work, transact.

One request or one batch is one transaction, and only the edge commits. MySQL and MariaDB run at READ
COMMITTED; a deadlock or a lock time-out rolls everything back and `transact` plays the whole function
again, which is safe because nothing outside the database has happened yet. SQLite has one writer: a lock
of this process queues the writers fairly, where SQLite itself would let one starve.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction

from app.db.mysql import FastConnection
from app.db.prepared import CONNECTION, WAITING, Prepared, send_waiting

T = TypeVar("T")

_LOCK_WAIT_SECONDS = 10
_REPLAYS = 8
# 1213 deadlock, 1205 lock wait time-out, 1020 record changed since last read (Galera, MariaDB). A deadlock
# inside a savepoint takes the savepoint with it, and shows as 1305 when the savepoint is to be rolled back.
_REPLAYABLE_MYSQL = {1213, 1205, 1020, 1305}


class Replay(Exception):
    """Raised inside `transact` by code that lost a race: roll back and play again with fresh facts."""


class Database:
    """One database, by URL: `sqlite:///path` or `mysql+pymysql://…`; `fast` with `FastConnection`."""

    def __init__(self, url: str, *, pool_size: int = 10, fast: bool = True) -> None:
        self.engine = make_engine(url, pool_size, fast=fast)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._writer = threading.Lock() if self.is_sqlite else None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session for reading; whatever it wrote is rolled back."""
        with self.engine.connect() as connection, connection.begin() as transaction:
            with _session(connection) as session:
                try:
                    yield session
                finally:
                    # What was read stays readable; a rollback would empty the objects.
                    session.expunge_all()
            transaction.rollback()

    @contextmanager
    def unit_of_work(self) -> Iterator[Session]:
        """Yield a session for writing; commit at the end, roll back on any exception."""
        with self._writer or nullcontext(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.execution_options(saoma_write=True)
            with connection.begin(), _session(connection) as session:
                session.info[_LAST] = last = list[Callable[[], None]]()
                session.info[WAITING] = []
                yield session
                if session.in_transaction():
                    session.commit()  # what the session holds is flushed; the connection commits
                for act in last:
                    act()
                send_waiting(session)

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run `work` in one transaction and commit; play it again after a deadlock or a lost race.

        `work` may run several times, so it must touch nothing but the session.
        """
        for attempt in range(_REPLAYS):
            try:
                with self.unit_of_work() as session:
                    return work(session)
            except (Replay, DBAPIError) as error:
                if attempt == _REPLAYS - 1 or not self.replayable(error):
                    raise
                time.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    @staticmethod
    def replayable(error: Exception) -> bool:
        """Tell whether `error` undid the whole transaction in a way that a second try can cure."""
        if isinstance(error, Replay):
            return True
        original = getattr(error, "orig", None)
        if original is None or not original.args:
            return False
        return original.args[0] in _REPLAYABLE_MYSQL or "database is locked" in str(original)

    def dispose(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


_LAST = "saoma.last"


def at_the_end(session: Session, act: Callable[[], None]) -> None:
    """Do `act` right before the commit: for the rows that everybody wants, so that they are held shortest.

    A session that no unit of work commits does it at once.
    """
    last: list[Callable[[], None]] | None = session.info.get(_LAST)
    if last is None:
        act()
    else:
        last.append(act)


class _Session(Session):
    """A session that sends the writes that are waiting before anything else reaches the database."""

    def connection(self, *arguments: Any, **options: Any) -> Connection:
        send_waiting(self)
        return super().connection(*arguments, **options)

    def execute(self, *arguments: Any, **options: Any) -> Any:
        send_waiting(self)
        return super().execute(*arguments, **options)

    def scalar(self, *arguments: Any, **options: Any) -> Any:
        send_waiting(self)
        return super().scalar(*arguments, **options)

    def scalars(self, *arguments: Any, **options: Any) -> Any:
        send_waiting(self)
        return super().scalars(*arguments, **options)

    def begin_nested(self) -> SessionTransaction:
        # What was written before a savepoint does not belong to it.
        send_waiting(self)
        return super().begin_nested()

    def close(self) -> None:
        # Where only prepared statements were sent there is nothing to be let go of.
        if self.in_transaction() or self.identity_map:
            super().close()

    def flush(self, *arguments: Any, **options: Any) -> None:
        send_waiting(self)
        super().flush(*arguments, **options)


def _session(connection: Connection) -> Session:
    """Return a session inside the transaction of `connection`, which prepared statements use directly."""
    session = _Session(connection, expire_on_commit=False, join_transaction_mode="rollback_only")
    session.info[CONNECTION] = connection
    return session


def _connect_mysql(_dialect: object, _record: object, arguments: Any, options: Any) -> FastConnection:
    return FastConnection(*arguments, **options)


def make_engine(url: str, pool_size: int, *, fast: bool) -> Engine:
    """Return an engine with our settings of the driver: see Database."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": _LOCK_WAIT_SECONDS})
        _prepare_sqlite(engine)
        return engine
    engine = create_engine(
        parsed.update_query_dict({"charset": "utf8mb4"}),
        # Parameters hold what people typed; they must not reach a log inside an error.
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_recycle=1800,
        pool_pre_ping=False,
        # Every transaction here ends with its own commit or rollback before the connection goes back
        # to the pool; another rollback there would be a round trip for nothing.
        pool_reset_on_return=None,
        connect_args={
            "init_command": "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
            f" innodb_lock_wait_timeout={_LOCK_WAIT_SECONDS}, time_zone='+00:00'",
            "connect_timeout": 10,
            "read_timeout": 60,
            "write_timeout": 60,
        },
    )
    if fast:
        event.listen(engine, "do_connect", _connect_mysql)
    return engine


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        # The driver's own transaction handling breaks savepoints; we say BEGIN ourselves.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # A transaction that will write says so at once: an upgrade from read to write can only fail.
        write = connection.get_execution_options().get("saoma_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def db_now(session: Session) -> datetime:
    """Return the database's own time in UTC: what leases are measured by."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)  # the database is this process
    (value,) = _NOW.first(session, {})
    assert isinstance(value, datetime)
    return value.replace(tzinfo=UTC)


_NOW = Prepared(select(func.utc_timestamp(6)))
