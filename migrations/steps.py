"""Re-runnable steps: MySQL commits each DDL statement, so a step that died half-way is simply run again."""

from typing import Any

import sqlalchemy as sa
from alembic import op

_TABLE_OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def create_table(name: str, *parts: Any) -> None:
    """Create a table unless it is there."""
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *parts, **_TABLE_OPTIONS)


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column unless it is there; nullable, since the previous release still writes its rows."""
    present = {known["name"] for known in sa.inspect(op.get_bind()).get_columns(table)}
    if column.name not in present:
        op.add_column(table, column)


def create_index(name: str, table: str, columns: list[str]) -> None:
    """Create an index unless it is there."""
    present = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
    if name not in present:
        op.create_index(name, table, columns)
