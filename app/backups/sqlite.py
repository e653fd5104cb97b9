"""Copying a SQLite database while it is in use, by SQLite's online backup."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.backups.errors import BackupFailed, BadBackup

_PAGES = 4096
_WAIT_SECONDS = 10


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise BackupFailed(f"SQLite says: {error}") from None


def copy_out(source: Path, into: Path) -> None:
    """Copy the database at `source` as of one moment into the new file `into`, its owner's alone.

    Writers go on meanwhile: a read transaction holds the moment, without which each write from another
    connection would start the copy anew.
    """
    os.close(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with _failing(), closing(_connect(source)) as old, closing(_connect(into)) as new:
        old.execute("BEGIN")
        old.execute("SELECT count(*) FROM sqlite_master").fetchone()
        old.backup(new, pages=_PAGES)
        old.execute("ROLLBACK")
        # The copy is one file, without a log beside it.
        new.execute("PRAGMA journal_mode=DELETE")


def copy_in(source: Path, into: Path) -> None:
    """Put the database `source` in the place of the one at `into`, in one transaction."""
    with _failing(), closing(_connect(source)) as new, closing(_connect(into)) as old:
        new.backup(old)


def require_whole(path: Path) -> None:
    """Raise BadBackup unless SQLite finds the file at `path` in order."""
    with _failing(), closing(_connect(path)) as connection:
        (told,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if told != "ok":
        raise BadBackup("SQLite finds the restored file broken")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=_WAIT_SECONDS)
