"""Many exchange an app's message keys at once: each pair that was replaced is kept, once."""

from unittest import mock

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.organisation import message_keys
from app.organisation.message_keys import former_message_keys, set_message_keys
from app.organisation.models import App, AppOldMessageKeys
from app.organisation.operations import register_app
from tests.conftest import NOON
from tests.race.conftest import FEWER
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

APPID = "wx1111111111111111"


def _set(session: Session, number: int) -> None:
    keys = {"token": f"tea{number}", "encoding_key": f"{number:043d}"}
    set_message_keys(session, appid=APPID, now=NOON, **keys)


def _exchange_all(db: Database, seed: int) -> RaceResult:
    runners = [
        lambda number=number: db.transact(lambda session: _set(session, number))
        for number in range(1, FEWER + 1)
    ]
    return race(db, runners, seed=seed)


def _kept(db: Database) -> list[str]:
    """The tokens that count: the former ones, and the present one last."""
    with db.read() as session:
        present = message_keys.message_keys(session, appid=APPID)
        former = former_message_keys(session, present, now=NOON)
    return [*(keys.token for keys in former), present.token]


def _make(session: Session) -> None:
    if not session.scalar(select(func.count()).select_from(App)):
        register_app(session, appid=APPID, secret="s", now=NOON)
    session.execute(delete(AppOldMessageKeys))
    set_message_keys(session, appid=APPID, token="tea0", encoding_key="0" * 43, now=NOON, at_once=True)


def test_every_pair_that_was_replaced_is_kept_once(wide_db: Database, race_seed: int) -> None:
    wide_db.transact(_make)
    result = _exchange_all(wide_db, race_seed)
    assert result.errors == []
    assert result.lock_waits > 0
    assert sorted(_kept(wide_db)) == sorted(f"tea{number}" for number in range(FEWER + 1))


def test_without_the_lock_some_are_lost(wide_db: Database) -> None:
    def unlocked(session: Session, appid: str) -> message_keys.MessageKeys:
        return message_keys.message_keys(session, appid=appid)

    wide_db.transact(_make)
    with mock.patch.object(message_keys, "_locked", unlocked):
        for seed in range(10):
            _exchange_all(wide_db, seed)
            if len(set(_kept(wide_db))) <= FEWER:
                return
            wide_db.transact(_make)
    raise AssertionError("the race does not show what the lock is for")
