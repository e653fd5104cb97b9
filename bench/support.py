"""What all benchmarks share: one private, durable MariaDB, the scale of the run, progress."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import pymysql
from pymysql.connections import Connection

from app.db import migrate, secrets
from app.db.engine import Database
from app.db.nodes import claim_node
from app.db.secrets import KeyRing
from tests.support.mariadb import PrivateMariaDB

# Large enough for the large database, so that what is measured is the work and not the disk.
_BUFFER_POOL_BYTES = 2 << 30
_FLUSHED_WITHIN_SECONDS = 120
_PRINTED = (
    "innodb_buffer_pool_size",
    "innodb_doublewrite",
    "innodb_flush_log_at_trx_commit",
    "innodb_flush_method",
    "innodb_log_file_size",
    "log_bin",
    "version",
)


def say(line: str) -> None:
    """Tell how far the run is."""
    print(f"  {line}", flush=True)


@dataclass
class Bench:
    """One run; `quick` only shows that everything works, its figures mean nothing."""

    quick: bool
    server: PrivateMariaDB

    def of(self, full: int, quick: int) -> int:
        """Return the size that fits this run."""
        return quick if self.quick else full

    @contextmanager
    def database(self, name: str) -> Iterator[tuple[Database, str]]:
        """Yield a migrated database and its URL."""
        secrets.bind(KeyRing({1: bytes(range(32))}))
        url = self.server.create_database(name)
        db = Database(url, pool_size=40)
        migrate.upgrade(db)
        claim_node(db)
        try:
            yield db, url
        finally:
            db.dispose()

    @contextmanager
    def relaxed(self) -> Iterator[None]:
        """Let the server not wait for the disk while a database is filled, then let it catch up."""
        self.set("innodb_flush_log_at_trx_commit", 0)
        try:
            yield
        finally:
            self.set("innodb_flush_log_at_trx_commit", 1)
            self.set("innodb_max_dirty_pages_pct", 0)
            deadline = time.monotonic() + _FLUSHED_WITHIN_SECONDS
            while self._dirty_pages() > 100 and time.monotonic() < deadline:
                time.sleep(0.2)
            self.set("innodb_max_dirty_pages_pct", 90)

    def settings(self) -> dict[str, str]:
        """Return the server's settings that the figures depend on."""
        return dict(self._ask(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN {_PRINTED}"))

    def _dirty_pages(self) -> int:
        ((_name, pages),) = self._ask("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")
        return int(pages)

    def set(self, name: str, value: int) -> None:
        """Set a variable of the server while it runs."""
        self._ask(f"SET GLOBAL {name} = {value}")

    def _ask(self, statement: str) -> list[tuple[str, str]]:
        with self._operator.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    @cached_property
    def _operator(self) -> "Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(host="127.0.0.1", port=self.server.port, user="root")


@contextmanager
def benchmark(*, quick: bool) -> Iterator[Bench]:
    """Yield a run with a server of its own that waits for the disk at every commit."""
    with PrivateMariaDB(durable=True) as server:
        bench = Bench(quick, server)
        bench.set("innodb_buffer_pool_size", 256 << 20 if quick else _BUFFER_POOL_BYTES)
        yield bench
