"""Every column says what it holds, and holds it in the way that its kind demands."""

import subprocess
import sys

from sqlalchemy import BigInteger, Column, DateTime, Float, LargeBinary, Numeric
from sqlalchemy.types import BINARY, TypeEngine

from app.db.base import Base, DataClass, Encrypted, UtcDateTime
from tests.support.source import import_all_of_app

import_all_of_app()
COLUMNS = [column for table in Base.metadata.sorted_tables for column in table.columns]


def _told(columns: list[Column[object]]) -> list[str]:
    return [str(column) for column in columns]


def _impl(column: Column[object]) -> TypeEngine[object]:
    kind = column.type
    return getattr(kind, "impl_instance", kind)


def test_there_are_tables() -> None:
    assert len(COLUMNS) > 50


def test_every_column_has_a_data_class() -> None:
    assert _told([c for c in COLUMNS if not isinstance(c.info.get("data_class"), DataClass)]) == []


def test_personal_data_and_secrets_are_never_stored_in_clear() -> None:
    closed = {DataClass.PERSONAL, DataClass.SECRET}
    sealed = (Encrypted, LargeBinary, BINARY)

    private = [c for c in COLUMNS if c.info["data_class"] in closed]

    assert _told([c for c in private if not isinstance(c.type, sealed)]) == []


def test_every_moment_is_utc() -> None:
    assert _told([c for c in COLUMNS if isinstance(c.type, DateTime)]) == []
    assert [c for c in COLUMNS if isinstance(c.type, UtcDateTime)]


def test_money_and_points_are_whole_numbers() -> None:
    assert _told([c for c in COLUMNS if isinstance(_impl(c), Float | Numeric) and not _whole(c)]) == []
    assert _told([c for c in COLUMNS if c.name.endswith("_fen") and not isinstance(c.type, BigInteger)]) == []


def _whole(column: Column[object]) -> bool:
    return column.type.python_type is int


def test_the_command_knows_every_sealed_column() -> None:
    """`saoma keys` exchanges and counts what it knows; a room it does not import would be left out."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import app.cli.main; from app.db.rotation import sealed_columns;"
            + "print(*sorted(str(column) for columns in sealed_columns().values() for column in columns))",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert told == sorted(_told([column for column in COLUMNS if isinstance(column.type, Encrypted)]))
