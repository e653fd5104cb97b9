"""Bringing a database with rows in it to the present schema."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from app.db import migrate
from app.db.engine import Database

BEFORE = "0038"
ROWS = (
    "INSERT INTO apps VALUES (1, NULL, 'miniprogram', 'wx1', 'main', x'00', '2026-01-01', NULL, NULL)",
    "INSERT INTO persons VALUES (2, 2, 0, '2026-01-01')",
    "INSERT INTO login_sessions VALUES (3, 2, 1, NULL, 0, NULL, '2026-01-01', '2026-01-02', NULL)",
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A SQLite file of the release before, in which a session refers to its app."""
    database = Database(f"sqlite:///{tmp_path}/saoma.db")
    migrate.upgrade(database, to=BEFORE)
    with database.engine.begin() as connection:
        for row in ROWS:
            connection.execute(text(row))
    return database


def test_a_table_that_others_refer_to_is_changed_with_its_rows(database: Database) -> None:
    migrate.upgrade(database)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE apps SET kind = 'service'"))
        assert connection.execute(text("SELECT app_id FROM login_sessions")).scalar() == 1
        (made,) = connection.execute(
            text("SELECT sql FROM sqlite_master WHERE name = 'login_sessions'")
        ).one()
        assert "REFERENCES apps (id)" in made
    # The foreign keys are asked for again, on every connection.
    for _ in range(3):
        with pytest.raises(IntegrityError), database.engine.begin() as connection:
            connection.execute(text("DELETE FROM apps"))
    database.dispose()


def test_a_reference_that_was_broken_before_is_not_passed_over(database: Database) -> None:
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA foreign_keys=OFF")
        driver.execute("DELETE FROM apps")
    database.dispose()
    with pytest.raises(IntegrityError, match="login_sessions"):
        migrate.upgrade(database)
    assert migrate.current(database) == BEFORE, "nothing was changed"
    database.dispose()


def test_an_account_that_orders_codes_keeps_its_secret_and_its_orders(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/saoma.db")
    migrate.upgrade(database, to="0047")
    app = (
        "INSERT INTO apps (id, kind, appid, open_platform, secret, created_at)"
        " VALUES (1, 'miniprogram', 'wx1', 'main', x'00', '2026-01-01')"
    )
    account = (
        "INSERT INTO market_accounts (id, app_id, appid, secret, file_key, created_at)"
        " VALUES (2, 1, 'wxservice', x'0102', x'03', '2026-01-01')"
    )
    with database.engine.begin() as connection:
        connection.execute(text(app))
        connection.execute(text(account))
    migrate.upgrade(database)
    with database.engine.begin() as connection:
        assert connection.execute(text("SELECT secret FROM market_accounts")).scalar() == b"\x01\x02"
        connection.execute(text("UPDATE market_accounts SET secret = NULL"))
        (made,) = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'market_orders'")).one()
        assert "REFERENCES market_accounts (id)" in made
    database.dispose()


@pytest.mark.parametrize("fast", [True, False])
def test_a_statement_that_copies_a_large_table_is_waited_for(
    mariadb_url: str, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    """Whoever gives up and starts it again gives up at the same statement, for ever."""
    database = Database(mariadb_url, pool_size=1, fast=fast)
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver._read_timeout = 0.3
    slow = text("SELECT SLEEP(0.8)")

    def copy_it(config: Config, to: str) -> None:
        assert to == "head"
        config.attributes["connection"].execute(slow)

    monkeypatch.setattr(command, "upgrade", copy_it)
    migrate.upgrade(database)
    with database.engine.connect() as connection, pytest.raises(OperationalError, match="Lost connection"):
        connection.execute(slow)
    database.dispose()
