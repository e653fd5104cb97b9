"""A private, durable MariaDB for a benchmark, and what its settings are."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from app.db import migrate, secrets
from app.db.engine import Database
from app.db.nodes import claim_node
from app.db.secrets import KeyRing
from tests.support.mariadb import PrivateMariaDB

_PRINTED = (
    "version",
    "innodb_flush_log_at_trx_commit",
    "innodb_doublewrite",
    "innodb_buffer_pool_size",
    "sync_binlog",
)


@contextmanager
def bench_database() -> Iterator[tuple[Database, str]]:
    """Yield a migrated database on a server of its own that waits for the disk, and its URL."""
    secrets.bind(KeyRing({1: bytes(range(32))}))
    with PrivateMariaDB(durable=True) as server:
        url = server.create_database("bench")
        db = Database(url, pool_size=40)
        migrate.upgrade(db)
        claim_node(db)
        try:
            yield db, url
        finally:
            db.dispose()


def settings_of(db: Database) -> dict[str, str]:
    """Return the server's settings that the figures depend on."""
    with db.read() as session:
        rows = session.execute(text(f"SHOW VARIABLES WHERE Variable_name IN {_PRINTED}"))
        return {str(name): str(value) for name, value in rows}
