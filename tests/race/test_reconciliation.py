"""Many close one day at once: it is closed once, and its differences are written once."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.reconciliation.models import ReconciledDay
from tests.factories.prizes import PrizeWorld
from tests.factories.statements import Ledgers
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

DAY = date(2026, 6, 1)
RUNNERS = 16


def _close_at_once(books: Ledgers, day: date, *, seed: int) -> RaceResult:
    books.told(day)
    # Each runner streams the book on one connection and looks numbers up on another.
    return race(books.world.db, [lambda: books.close(day)] * RUNNERS, seed=seed)


def _rows(books: Ledgers) -> int:
    counted = select(func.count()).select_from(ReconciledDay)
    return books.world.read(lambda session: int(session.scalar(counted) or 0))


def test_a_day_is_closed_once(wide_db: Database, clock: ManualClock, tmp_path: Path, race_seed: int) -> None:
    books = Ledgers(PrizeWorld.build(wide_db, clock), tmp_path)
    missing = books.paid(DAY)
    result = _close_at_once(books, DAY, seed=race_seed)
    assert result.errors == []
    assert sum(result.values) == 1
    assert result.lock_waits > 0
    assert _rows(books) == 1
    assert list(books.differences()) == [missing]


def test_without_the_key_a_day_is_closed_more_than_once(
    without_key: Callable[..., Database], clock: ManualClock, tmp_path: Path
) -> None:
    change = "ADD INDEX ix_payer (payer_id), DROP INDEX uq_reconciled_days_payer_id_day"
    books = Ledgers(PrizeWorld.build(without_key("reconciled_days", change), clock), tmp_path)
    for after in range(5):
        _close_at_once(books, DAY + timedelta(days=after), seed=after)
        if _rows(books) > after + 1:
            return
    pytest.fail("five days were closed once each without the key")
