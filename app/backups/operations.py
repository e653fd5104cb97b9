"""Making a backup and restoring one.

Both reach past sessions and transactions: a copy is of one moment of the whole database, and a restore has
no database to write into before it is done. Neither needs anybody to be signed in, because whoever holds
the settings holds everything anyway, and a backup must run at night.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from app.backups import archive, mariadb, sqlite
from app.backups.archive import MYSQL, SQLITE, Manifest, Progress, Reader, Writer
from app.backups.errors import BackupFailed, BadBackup, DatabaseNotEmpty, NothingToBackUp, RestoredWrong
from app.backups.figures import LEDGER, Figures, Tally, figures
from app.db import migrate
from app.db.engine import Database
from app.db.secrets import KeyRing
from app.ledger.queries import audit

_PIECE_BYTES = 1 << 20
_DUMP_END = re.compile(rb"-- Dump completed[^\n]*\n\s*")


def _quiet(_done: int) -> None:
    """Tell nobody."""


def make(db: Database, *, ring: KeyRing, into: Path, now: datetime, progress: Progress = _quiet) -> Manifest:
    """Back `db` up into the new file `into`, as of one moment, while it is in use; return its manifest.

    `progress` is told the bytes of the database so far. Raises NothingToBackUp, FileExists, BackupFailed.
    Source: SEC-03.
    """
    schema = migrate.current(db)
    if schema is None:
        raise NothingToBackUp("the database has no schema; is SAOMA_DATABASE_URL right?")
    fill = _fill_from_sqlite if db.is_sqlite else _fill_from_mysql
    into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def filled(writer: Writer) -> Manifest:
        taken = fill(db, writer, into)
        return Manifest(
            database=SQLITE if db.is_sqlite else MYSQL,
            schema=schema,
            made_at=now.isoformat(timespec="seconds"),
            key_versions=ring.versions,
            size_bytes=writer.size_bytes,
            sha256=writer.sha256,
            figures=taken,
        )

    return archive.write(into, SQLITE if db.is_sqlite else MYSQL, ring, filled, progress=progress)


def _fill_from_sqlite(db: Database, writer: Writer, into: Path) -> Figures:
    with _beside(into) as copy:
        sqlite.copy_out(_file_of(db), copy)
        with _plain(copy) as engine, engine.connect() as connection:
            taken = figures(connection)
        with copy.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                writer.write(piece)
    return taken


def _fill_from_mysql(db: Database, writer: Writer, _into: Path) -> Figures:
    with db.engine.connect() as connection:
        seen = inspect(connection)
        columns = [column["name"] for column in seen.get_columns(LEDGER)]
        tally = Tally(seen.get_table_names(), columns)
    last = b""
    with mariadb.dumped(db.engine.url) as lines:
        for line in lines:
            writer.write(line)
            tally.see(line)
            last = line
    if not _DUMP_END.fullmatch(last):
        raise BackupFailed(f"{mariadb.PROGRAM} broke off")
    return tally.figures()


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored; `newest_schema` tells whether `saoma db upgrade` has to follow."""

    manifest: Manifest
    newest_schema: str


def restore(
    db: Database, *, ring: KeyRing, path: Path, replace: bool = False, progress: Progress = _quiet
) -> Restored:
    """Put the backup at `path` into `db`, which has to be empty unless `replace`; check what came out.

    The whole file is verified before anything is touched; afterwards row counts and ledger are compared
    with the manifest and the ledger is audited. Nothing else may use the database meanwhile. Raises
    BadBackup, DatabaseNotEmpty, BackupFailed, RestoredWrong (do not use the database then).
    """
    with archive.opened(path, ring) as reader:
        _require_usable(db, ring, reader.manifest)
        with db.engine.connect() as connection:
            if inspect(connection).get_table_names() and not replace:
                raise DatabaseNotEmpty(
                    "the database holds tables; name an empty one in SAOMA_DATABASE_URL, or say --replace to"
                    " lose what it holds"
                )
        if db.is_sqlite:
            _restore_sqlite(db, reader, progress)
        else:
            _restore_mysql(db, reader, progress)
        return Restored(reader.manifest, migrate.head())


def _require_usable(db: Database, ring: KeyRing, manifest: Manifest) -> None:
    if manifest.database != (SQLITE if db.is_sqlite else MYSQL):
        raise BadBackup(f"the backup is of {manifest.database}; SAOMA_DATABASE_URL names another kind")
    if manifest.schema > migrate.head():
        raise BadBackup(
            f"the backup has schema {manifest.schema}, which this release does not know; restore with a newer"
        )
    missing = sorted(set(manifest.key_versions) - set(ring.versions))
    if missing:
        raise BadBackup(
            f"the backup needs master key version {', '.join(map(str, missing))}; add it to SAOMA_MASTER_KEYS"
        )


def _restore_sqlite(db: Database, reader: Reader, progress: Progress) -> None:
    target = _file_of(db)
    db.dispose()
    with _beside(target) as copy:
        with copy.open("xb") as file:
            copy.chmod(0o600)
            reader.copy(file, progress)
        sqlite.require_whole(copy)
        with _plain(copy) as engine:
            _require_right(engine, reader.manifest)
        sqlite.copy_in(copy, target)


def _restore_mysql(db: Database, reader: Reader, progress: Progress) -> None:
    reader.verify(progress)
    mariadb.drop_tables(db.engine)
    with reader.content() as lines:
        mariadb.play(db.engine, lines)
    _require_right(db.engine, reader.manifest)


def _require_right(engine: Engine, manifest: Manifest) -> None:
    with engine.connect() as connection, Session(connection) as session:
        faults = manifest.figures.differences(figures(connection)) + audit(session)
    if faults:
        raise RestoredWrong("do not use this database: " + "; ".join(faults[:10]))


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield the name of a file that does not exist yet, in the folder of `path`; it is gone afterwards."""
    copy = path.with_name(f".{path.name}.{secrets.token_hex(4)}.copy")
    try:
        yield copy
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)


@contextmanager
def _plain(path: Path) -> Iterator[Engine]:
    """Yield an engine on a SQLite file that nobody else uses."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, hide_parameters=True)
    try:
        yield engine
    finally:
        engine.dispose()


def _file_of(db: Database) -> Path:
    return Path(str(db.engine.url.database))
