"""Re-runnable steps: MySQL commits each DDL statement, so a step that died half-way is simply run again."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

_TABLE_OPTIONS = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def create_table(name: str, *parts: Any) -> None:
    """Create a table unless it is there."""
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *parts, **_TABLE_OPTIONS)


def drop_table(name: str) -> None:
    """Drop a table that no release reads any more, unless it is gone."""
    if sa.inspect(op.get_bind()).has_table(name):
        op.drop_table(name)


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column unless it is there; nullable or with a default: the previous release writes its rows."""
    present = {known["name"] for known in sa.inspect(op.get_bind()).get_columns(table)}
    if column.name not in present:
        op.add_column(table, column)


def add_choice(table: str, column: str, name: str, choices: tuple[str, ...]) -> None:
    """Add a column that holds one of `choices`, the first unless told, with CHECK `name`."""
    clause = f"{column} IN ({', '.join(repr(choice) for choice in choices)})"
    declared = f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR(24) DEFAULT '{choices[0]}' NOT NULL"
    inspector = sa.inspect(op.get_bind())
    present = column in {known["name"] for known in inspector.get_columns(table)}
    if op.get_bind().dialect.name == "sqlite":
        if not present:
            op.execute(f"{declared} CONSTRAINT {name} CHECK ({clause})")
        return
    if not present:
        op.execute(declared)
    set_check(table, name, clause)


def set_check(table: str, name: str, clause: str) -> None:
    """Make CHECK `name` of a table say `clause`, whatever it said before.

    SQLite cannot change a CHECK: the table is copied.
    """
    present = {check["name"] for check in sa.inspect(op.get_bind()).get_check_constraints(table)}
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table(table, recreate="always") as batch:
            if name in present:
                batch.drop_constraint(op.f(name), type_="check")
            batch.create_check_constraint(op.f(name), clause)
        return
    if name in present:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({clause})")


def let_be_empty(table: str, column: str, kind: TypeEngine[Any]) -> None:
    """Let a column of type `kind` be NULL; SQLite copies the table."""
    known = {column["name"]: column for column in sa.inspect(op.get_bind()).get_columns(table)}
    if known[column]["nullable"]:
        return
    with op.batch_alter_table(table, recreate="auto") as batch:
        batch.alter_column(column, existing_type=kind, existing_autoincrement=False, nullable=True)


def create_index(name: str, table: str, columns: list[str]) -> None:
    """Create an index unless it is there."""
    present = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
    if name not in present:
        op.create_index(name, table, columns)


def drop_index(name: str, table: str) -> None:
    """Drop an index that nothing needs any more, unless it is gone."""
    if name in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.drop_index(name, table)
