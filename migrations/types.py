"""Column types as migrations write them: frozen here, whatever the models become."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine


def bigint() -> TypeEngine[Any]:
    """64-bit whole number; SQLite numbers rows only through INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def moment() -> TypeEngine[Any]:
    """UTC with microseconds."""
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")


def exact(length: int) -> TypeEngine[Any]:
    """Text that compares byte by byte."""
    return sa.String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql")


def long_text() -> TypeEngine[Any]:
    """Text without a small limit."""
    return sa.String().with_variant(mysql.MEDIUMTEXT(), "mysql")


def blind() -> TypeEngine[Any]:
    """32-byte keyed hash."""
    return sa.types.BINARY(32).with_variant(sa.LargeBinary(32), "sqlite")
