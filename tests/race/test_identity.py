"""Sixty-four logins of an openid that nobody has seen before make one person."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity.models import Identifier, Person
from app.identity.operations import login
from app.organisation.operations import create_brand, register_app
from tests.support.racing import CONNECTIONS, RaceResult, race

pytestmark = pytest.mark.race(seeds=5)

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _log_in_all(db: Database, runners: int, seed: int) -> tuple[RaceResult, int]:
    """Let everybody log in at once; return the race and how many persons the openid has come to."""

    def prepare(session: Session) -> int:
        brand = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=NOW)
        return register_app(session, appid="wxrace0000000001", secret="s", now=NOW, brand_id=brand)

    app_id = db.transact(prepare)

    def enter() -> int:
        return db.transact(
            lambda session: login(
                session,
                app_id=app_id,
                openid="oRaceRaceRace",
                unionid=None,
                virtual=False,
                session_key="k",
                now=NOW,
            )
        ).root_id

    result = race(db, [enter] * runners, seed=seed)
    with db.read() as session:
        holders = session.execute(
            select(func.count(func.distinct(Person.one_id))).join(
                Identifier, Identifier.person_id == Person.id
            )
        ).scalar_one()
    return result, int(holders)


def test_sixty_four_logins_make_one_person(wide_db: Database, race_seed: int) -> None:
    result, holders = _log_in_all(wide_db, CONNECTIONS, race_seed)
    assert result.errors == []
    assert len(set(result.values)) == 1
    assert holders == 1
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def test_without_the_unique_key_there_are_several(without_key: Callable[..., Database]) -> None:
    db = without_key("identifiers", "DROP INDEX uq_identifiers_value_hash_kind_scope")
    result, holders = _log_in_all(db, 16, seed=0)
    assert len(set(result.values)) > 1
    assert holders > 1
