"""The migrations make the schema that the models describe, one numbered, re-runnable step after another."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from alembic import util
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, text

from app.db import migrate
from app.db.base import Base
from app.db.engine import Database
from tests.support.mariadb import PrivateMariaDB
from tests.support.source import ROOT, import_all_of_app, imported, tree

import_all_of_app()
VERSIONS = sorted((ROOT / "migrations" / "versions").glob("*.py"))
SCRIPTS = ScriptDirectory(str(ROOT / "migrations"))
NUMBERS = [path.name.partition("_")[0] for path in VERSIONS]


def test_there_is_one_head_and_its_number_is_the_highest() -> None:
    assert SCRIPTS.get_heads() == [max(NUMBERS)] == [migrate.head()]


def test_the_numbers_have_no_gap_and_each_follows_the_one_before() -> None:
    assert [f"{number:04}" for number in range(1, len(NUMBERS) + 1)] == NUMBERS
    chain = [(script.revision, script.down_revision) for script in SCRIPTS.walk_revisions()]
    assert sorted(chain) == list(zip(NUMBERS, [None, *NUMBERS], strict=False))


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_imports_no_models(path: Path) -> None:
    allowed = {"alembic", "migrations", "sqlalchemy"} | sys.stdlib_module_names

    assert {name.partition(".")[0] for name in imported(tree(path))} <= allowed


@pytest.fixture(params=["mariadb", "sqlite"])
def migrated(request: pytest.FixtureRequest) -> Database:
    """Give a migrated database of each kind."""
    database: Database = request.getfixturevalue("db" if request.param == "mariadb" else "sqlite_db")
    return database


def test_the_migrations_make_what_the_models_describe(migrated: Database) -> None:
    with migrated.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, Base.metadata) == []


def test_every_check_is_in_the_database(db: Database) -> None:
    # Alembic's comparison does not see CHECKs.
    models = {
        constraint.name: str(constraint.sqltext)
        for table in Base.metadata.sorted_tables
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    with db.engine.connect() as connection:
        found = _checks(connection)

    assert set(found) == set(models)
    assert {name: clause for name, clause in models.items() if _gist(clause) != _gist(found[name])} == {}


def _checks(connection: Connection) -> dict[str, str]:
    rows = connection.execute(
        text(
            "SELECT constraint_name, check_clause FROM information_schema.check_constraints"
            " WHERE constraint_schema = DATABASE()"
        )
    )
    # The server adds a json_valid check of its own, named like the column, for each JSON column.
    return {name: clause for name, clause in rows if name.startswith("ck_")}


def _gist(clause: str) -> list[str]:
    """Return the words, numbers and literals of a clause, whatever the quoting and the case."""
    words = re.findall(r"'[^']*'|\w+|[<>=!]+", re.sub(r"[`()]", " ", clause).lower())
    # The server writes a choice of one as an equation.
    return sorted("in" if word == "=" else word for word in words)


@pytest.fixture
def empty_db(mariadb_server: PrivateMariaDB, worker_name: str) -> Iterator[Database]:
    """Give a MariaDB database in which nothing has been made yet."""
    name = f"saoma_{worker_name}_empty"
    database = Database(mariadb_server.create_database(name))
    yield database
    database.dispose()
    mariadb_server.drop_database(name)


def test_a_migration_that_died_half_way_can_be_run_again(
    empty_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each upgrade reads all the scripts anew; they stay the same, and only env.py does something when read.
    read, known = util.load_python_file, cache(util.load_python_file)
    monkeypatch.setattr(
        util, "load_python_file", lambda folder, name: (read if name == "env.py" else known)(folder, name)
    )
    # MySQL has no transactional DDL: a step that dies leaves what it had made, and runs from its start.
    for before, number in zip([None, *NUMBERS], NUMBERS, strict=False):
        migrate.upgrade(empty_db, to=number)
        with empty_db.engine.begin() as connection:
            if before is None:
                connection.execute(text("DELETE FROM alembic_version"))
            else:
                connection.execute(text("UPDATE alembic_version SET version_num = :n"), {"n": before})
        migrate.upgrade(empty_db, to=number)

        assert migrate.current(empty_db) == number
