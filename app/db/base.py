"""The declarative base and the column types that all tables are made of.

Every column carries the class of its data, so that a test can refuse a column nobody thought about, and
so that a data protection officer can list what is stored where (architecture section 4).
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, MappedColumn, mapped_column
from sqlalchemy.types import BINARY, DateTime, TypeDecorator, TypeEngine

from app.db import secrets

E = TypeVar("E", bound=StrEnum)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class DataClass(StrEnum):
    """What a column's content is, in the sense of PIPL (platform contracts 14.2)."""

    PUBLIC = "public"
    OPERATIONAL = "operational"
    PSEUDONYM = "pseudonym"
    PERSONAL = "personal"
    SECRET = "secret"  # noqa: S105 - the name of a class of data


class Base(DeclarativeBase):
    """What every table derives from."""

    metadata = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware in Python, UTC with microseconds in the database."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Keep microseconds on MySQL, which drops them unless told."""
        if dialect.name == "mysql":
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive moment: nobody knows which one it is."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware moment."""
        return None if value is None else value.replace(tzinfo=UTC)


class Encrypted(TypeDecorator[str]):
    """Text that is readable only with the key ring; `context` ties it to its column."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, context: str) -> None:
        super().__init__()
        self.context = context

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Seal on the way in."""
        return None if value is None else secrets.ring().seal(self.context, value.encode())

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Open on the way out."""
        return None if value is None else secrets.ring().open(self.context, value).decode()


# SQLite numbers rows only through INTEGER, and stores 64 bits in it.
BigInt = BigInteger().with_variant(Integer, "sqlite")
# Identifiers compare byte by byte: the default collation would call "a" and "A" the same.
_EXACT = "utf8mb4_bin"


def exact_string(length: int) -> TypeEngine[Any]:
    """Return a string type that compares byte by byte on every database."""
    return String(length).with_variant(mysql.VARCHAR(length, collation=_EXACT), "mysql")


def _info(data_class: DataClass) -> dict[str, object]:
    return {"data_class": data_class}


def id_column() -> MappedColumn[int]:
    """Return the primary key of a table whose ids the application makes."""
    return mapped_column(BigInt, primary_key=True, autoincrement=False, info=_info(DataClass.OPERATIONAL))


def ref(target: str | None = None, *, nullable: bool = False, **options: Any) -> MappedColumn[Any]:
    """Return a column that holds another row's id.

    `target` ("brands.id") makes a foreign key; leave it out where the other row belongs to an upper room.
    """
    arguments = [ForeignKey(target)] if target else []
    return mapped_column(
        BigInt,
        *arguments,
        nullable=nullable,
        autoincrement=False,
        info=_info(DataClass.OPERATIONAL),
        **options,
    )


def big_int(*, nullable: bool = False, **options: Any) -> MappedColumn[Any]:
    """Return a 64-bit whole number: fen, points, counts. The name carries the unit."""
    return mapped_column(
        BigInt, nullable=nullable, autoincrement=False, info=_info(DataClass.OPERATIONAL), **options
    )


def small_int(*, nullable: bool = False, **options: Any) -> MappedColumn[Any]:
    """Return a 32-bit whole number: versions, attempts, basis points."""
    return mapped_column(
        Integer, nullable=nullable, autoincrement=False, info=_info(DataClass.OPERATIONAL), **options
    )


def flag(**options: Any) -> MappedColumn[bool]:
    """Return a yes or no."""
    return mapped_column(Boolean, nullable=False, info=_info(DataClass.OPERATIONAL), **options)


def moment(*, nullable: bool = False, **options: Any) -> MappedColumn[Any]:
    """Return a moment in UTC."""
    return mapped_column(UtcDateTime, nullable=nullable, info=_info(DataClass.OPERATIONAL), **options)


def text_column(
    length: int,
    *,
    data_class: DataClass = DataClass.OPERATIONAL,
    exact: bool = False,
    nullable: bool = False,
    **options: Any,
) -> MappedColumn[Any]:
    """Return a text of at most `length` characters; `exact` for identifiers."""
    if data_class is DataClass.PERSONAL:
        raise ValueError("personal data is stored encrypted or blind, never as text")
    kind = exact_string(length) if exact else String(length)
    return mapped_column(kind, nullable=nullable, info=_info(data_class), **options)


def long_text(
    *, data_class: DataClass = DataClass.OPERATIONAL, nullable: bool = False, **options: Any
) -> MappedColumn[Any]:
    """Return a text without a small limit (up to 16 MB on MySQL)."""
    kind = String().with_variant(mysql.MEDIUMTEXT(), "mysql")
    return mapped_column(kind, nullable=nullable, info=_info(data_class), **options)


def json_column(
    *, data_class: DataClass = DataClass.OPERATIONAL, nullable: bool = False, **options: Any
) -> MappedColumn[Any]:
    """Return a JSON document; personal data has no place in it."""
    return mapped_column(JSON, nullable=nullable, info=_info(data_class), **options)


def encrypted(
    context: str,
    *,
    data_class: DataClass = DataClass.PERSONAL,
    nullable: bool = False,
    **options: Any,
) -> MappedColumn[Any]:
    """Return a column readable only with the key ring; `context` is "table.column" (at most 64 kB)."""
    return mapped_column(Encrypted(context), nullable=nullable, info=_info(data_class), **options)


def blind_index(*, nullable: bool = False, **options: Any) -> MappedColumn[Any]:
    """Return the 32-byte keyed hash by which an encrypted value is found."""
    return mapped_column(
        BINARY(32).with_variant(LargeBinary(32), "sqlite"),
        nullable=nullable,
        info=_info(DataClass.PSEUDONYM),
        **options,
    )


def enum_column(kind: type[E], **options: Any) -> MappedColumn[E]:
    """Return a column for one of the values of `kind`; add `enum_check` to the table arguments."""
    length = max(24, *(len(member.value) for member in kind))
    return mapped_column(
        _EnumText(kind, length),
        nullable=options.pop("nullable", False),
        info=_info(DataClass.OPERATIONAL),
        **options,
    )


class _EnumText(TypeDecorator[StrEnum]):
    """A StrEnum stored by value."""

    impl = String
    cache_ok = True

    def __init__(self, kind: type[StrEnum], length: int) -> None:
        super().__init__(length)
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        """Store the value; refuse what is not a member."""
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """Give back the member."""
        return None if value is None else self.kind(value)


def enum_check(column: str, kind: type[StrEnum]) -> CheckConstraint:
    """Return the CHECK that holds `column` to the values of `kind`."""
    values = ", ".join(f"'{member.value}'" for member in kind)
    return CheckConstraint(f"{column} IN ({values})", name=column)
