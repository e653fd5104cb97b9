"""Insert-once and upsert, in the SQL that SQLite, MySQL 8 and MariaDB share."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from app.db.duplicates import is_duplicate
from app.db.prepared import Prepared


def insert_once(
    session: Session, statement: Insert | Prepared, values: Mapping[str, Any] | None = None
) -> bool:
    """Insert one row; return False when a unique key says that it is there already.

    Only the statement fails, not the transaction: both databases undo a single failed statement.
    """
    try:
        if isinstance(statement, Prepared):
            statement.run(session, values or {})
        else:
            session.connection().execute(statement, values)
    except IntegrityError as error:
        if is_duplicate(error):
            return False
        raise
    return True


def add_or_insert(
    session: Session, table: Table, values: Mapping[str, Any], *, add: Mapping[str, ColumnElement[Any] | Any]
) -> None:
    """Insert `values`, or apply `add` to the row that has the same key."""
    session.connection().execute(upsert_statement(session.get_bind().dialect.name, table, values, add=add))


def upsert_statement(
    dialect: str, table: Table, values: Mapping[str, Any], *, add: Mapping[str, ColumnElement[Any] | Any]
) -> Insert:
    """Return the statement behind `add_or_insert`, for hot paths that prepare theirs."""
    if dialect == "sqlite":
        keys = [column.name for column in table.primary_key]
        return sqlite.insert(table).values(values).on_conflict_do_update(index_elements=keys, set_=dict(add))
    return mysql.insert(table).values(values).on_duplicate_key_update(dict(add))
