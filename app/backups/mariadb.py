"""Dumping a MariaDB or MySQL database with `mariadb-dump`, and playing a dump into an empty one.

The program reads in one transaction, so writers go on. It writes one row on a line, which makes a dump
countable; playing it joins the rows again. Its password travels in a file that only we can read: an argument
or a variable would show in the list of processes.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymysql import MySQLError
from sqlalchemy import Engine, inspect
from sqlalchemy.engine import URL

from app.backups.errors import BackupFailed

PROGRAM = "mariadb-dump"
_OPTIONS = (
    "--single-transaction",
    "--skip-lock-tables",
    "--skip-add-locks",
    "--skip-disable-keys",
    "--skip-extended-insert",
    "--order-by-primary",
    "--quick",
    "--hex-blob",
    "--no-tablespaces",
    "--skip-triggers",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
)
_INSERT = b"INSERT INTO `"
_VALUES = b" VALUES "
_JOINED_BYTES = 1 << 19
_COMMIT_EVERY = 50
# What the engine's URL may say about the way to the server, and how the program calls it.
_WAYS = {
    "unix_socket": "socket",
    "ssl_ca": "ssl-ca",
    "ssl_cert": "ssl-cert",
    "ssl_key": "ssl-key",
    "ssl_verify_cert": "ssl-verify-server-cert",
    "ssl_disabled": "skip-ssl",
}


@contextmanager
def dumped(url: URL) -> Iterator[Iterable[bytes]]:
    """Yield the lines of a dump of the database at `url`, as of one moment; each row is one line.

    Raises BackupFailed when the program is not there, fails or breaks off.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise BackupFailed(
            f"the program {PROGRAM} is not there; install the package mariadb-client (Debian, Ubuntu)"
            " or mariadb (Fedora)"
        )
    with _options(url) as options, tempfile.TemporaryFile() as complaints:
        command = [program, f"--defaults-file={options}", *_OPTIONS, str(url.database)]
        process = subprocess.Popen(  # noqa: S603 - a program of the system, arguments of ours
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints
        )
        assert process.stdout is not None
        try:
            with process.stdout as lines:
                yield lines
            if process.wait() != 0:
                complaints.seek(0)
                said = complaints.read(500).decode(errors="replace")
                raise BackupFailed(f"{PROGRAM} says: {' '.join(said.split())}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


@contextmanager
def _options(url: URL) -> Iterator[Path]:
    """Yield a file with the way to the server and the password, readable by us alone, for a moment."""
    said = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
    for name, value in url.query.items():
        if name in _WAYS:
            said[_WAYS[name]] = str(value)
    number, name = tempfile.mkstemp(prefix="saoma-", suffix=".cnf")  # mode 0600
    path = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write("[client]\n")
            file.writelines(f"{key}={_quoted(str(value))}\n" for key, value in said.items() if value)
        yield path
    finally:
        path.unlink()


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def drop_tables(engine: Engine) -> None:
    """Drop every table of the database."""
    with engine.connect() as connection:
        connection.exec_driver_sql("SET foreign_key_checks = 0")
        for name in inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE `{name}`")
        connection.exec_driver_sql("SET foreign_key_checks = 1")


def play(engine: Engine, lines: Iterable[bytes]) -> None:
    """Play the lines of a dump into an empty database. Raises BackupFailed with what the server says."""
    connection: Any = engine.raw_connection()
    try:
        for number, statement in enumerate(_statements(lines), 1):
            connection.driver_connection.query(statement)
            if number % _COMMIT_EVERY == 0:
                connection.commit()
        connection.commit()
    except MySQLError as error:
        raise BackupFailed(f"the database says: {error}; empty it and try again") from None
    finally:
        # It carries the dump's session settings, which nobody else should work with.
        connection.invalidate()


def _statements(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the statements of a dump, the rows that follow one another in one table joined."""
    head, rows, size = b"", list[bytes](), 0
    begun = list[bytes]()
    for line in lines:
        start, values, row = line.rstrip(b"\n").removesuffix(b";").partition(_VALUES)
        is_row = not begun and values and start.startswith(_INSERT)
        if rows and (not is_row or start != head or size > _JOINED_BYTES):
            yield head + _VALUES + b",".join(rows)
            rows, size = [], 0
        if is_row:
            head = start
            rows.append(row)
            size += len(row)
        elif begun or not (line.isspace() or line.startswith(b"--")):
            begun.append(line)
            if line.endswith(b";\n"):
                yield b"".join(begun)
                begun = []
