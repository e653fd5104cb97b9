"""What `clean_db` promises the next test, also when one has forgotten a listener."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from app.db.engine import Database
from app.organisation.operations import create_brand
from tests.support import schema

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_only_who_forgets_a_listener_is_blamed(clean_db: Database, request: pytest.FixtureRequest) -> None:
    """And what its test has written is gone, listener or not."""
    tables: list[str] = request.getfixturevalue("_tables")
    heard: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        heard.append(statement)

    def brand() -> None:
        clean_db.transact(
            lambda session: create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=NOW)
        )

    event.listen(clean_db.engine, "before_cursor_execute", hear)
    try:
        with pytest.raises(AssertionError, match="still listens"), schema.emptied(clean_db, tables):
            brand()
        assert heard
        with clean_db.engine.connect() as connection:
            assert schema.filled(connection, tables) == []
        heard.clear()
        with schema.emptied(clean_db, tables):
            brand()
        assert heard == []
    finally:
        event.remove(clean_db.engine, "before_cursor_execute", hear)
        clean_db.engine._has_events = False
