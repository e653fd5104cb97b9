"""Codes under 64 connections: one code, one winner; ranges never overlap; batch numbers never twice."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Session

from app.catalogue.operations import create_product
from app.codes import operations
from app.codes.errors import CodeAlreadyDrawn
from app.codes.models import CodeBatch, CodeClaim, CodeRange, RangeAspect
from app.codes.outcome import Placement
from app.db.engine import Database
from app.kernel.actor import SYSTEM
from app.organisation.operations import create_brand
from tests.race.conftest import FEWER
from tests.support.racing import CONNECTIONS, RaceResult, race

pytestmark = pytest.mark.race(seeds=5)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RUNNERS = range(CONNECTIONS)
SHIPMENTS = 24


def _product(session: Session) -> int:
    brand_id = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=NOW)
    return create_product(
        session, brand_id=brand_id, sku="T", line="tea", name_zh="茶", name_en="Tea", now=NOW
    )


def _batch(session: Session, product_id: int) -> int:
    return operations.create_batch(
        session,
        product_id=product_id,
        lot="L",
        size=1000,
        placement=Placement.UNDER_CAP,
        actor=SYSTEM,
        now=NOW,
    )


def _claim_all(db: Database, seed: int) -> RaceResult:
    """Let 64 draws claim one code, each as slow as a draw is."""

    def claim(draw_id: int) -> int:
        def work(session: Session) -> int:
            operations.claim(session, batch_id=1, code_index=5, draw_id=draw_id, person_id=draw_id, now=NOW)
            session.execute(text("SELECT SLEEP(0.01)"))
            return draw_id

        return db.transact(work)

    result = race(db, [lambda number=number: claim(number + 1) for number in RUNNERS], seed=seed)
    assert all(isinstance(error, CodeAlreadyDrawn) for error in result.errors), result.errors
    return result


def test_one_code_has_one_winner(wide_db: Database, race_seed: int) -> None:
    result = _claim_all(wide_db, race_seed)
    assert len(result.values) == 1
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    with wide_db.read() as session:
        assert session.scalars(select(CodeClaim.draw_id)).all() == result.values


class _LookThenWrite:
    """The guard taken out: look whether the code is free, then write."""

    @staticmethod
    def write_later(session: Session, row: dict[str, object], *, lost: Callable[[], Exception]) -> None:
        taken = select(CodeClaim.draw_id).where(CodeClaim.batch_id == row["batch_id"])
        if session.execute(taken).first() is not None:
            raise lost()
        write = mysql.insert(CodeClaim).values(row).on_duplicate_key_update(draw_id=row["draw_id"])
        session.execute(write)


def test_without_the_guard_one_code_has_several_winners(
    wide_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_INSERT_CLAIM", _LookThenWrite)
    assert len(_claim_all(wide_db, seed=0).values) > 1


def _ship_all(db: Database, seed: int) -> tuple[RaceResult, list[tuple[int, int]]]:
    """Let overlapping ranges of one batch be shipped at once; return what is stored afterwards."""
    batch_id = db.transact(lambda session: _batch(session, _product(session)))

    def ship(number: int) -> None:
        def work(session: Session) -> None:
            first = number * 10
            operations.ship(
                session,
                batch_id=batch_id,
                region="310000",
                actor=SYSTEM,
                now=NOW,
                first_index=first,
                last_index=first + 99,
            )

        db.transact(work)

    result = race(db, [lambda number=number: ship(number) for number in range(SHIPMENTS)], seed=seed)
    stored = select(CodeRange.first_index, CodeRange.last_index).where(
        CodeRange.batch_id == batch_id, CodeRange.aspect == RangeAspect.SHIPPED
    )
    with db.read() as session:
        return result, [
            (first, last) for first, last in session.execute(stored.order_by(CodeRange.first_index))
        ]


def test_ranges_shipped_at_once_never_overlap(wide_db: Database, race_seed: int) -> None:
    result, stored = _ship_all(wide_db, race_seed)
    assert result.errors == []
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert (stored[0][0], stored[-1][1]) == (0, (SHIPMENTS - 1) * 10 + 99)
    assert all(left[1] + 1 == right[0] for left, right in pairwise(stored))


def test_without_the_lock_ranges_overlap(wide_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(session: Session, batch_id: int) -> int:
        size: int = session.execute(select(CodeBatch.size).where(CodeBatch.id == batch_id)).scalar_one()
        session.execute(text("SELECT SLEEP(0.01)"))
        return size

    monkeypatch.setattr(operations, "_lock_batch", look)
    result, stored = _ship_all(wide_db, seed=0)
    overlapping = any(left[1] >= right[0] for left, right in pairwise(stored))
    assert overlapping or result.errors


def test_batches_made_at_once_have_different_numbers(wide_db: Database, race_seed: int) -> None:
    product_id = wide_db.transact(_product)
    runners = [lambda: wide_db.transact(lambda session: _batch(session, product_id))] * FEWER
    result = race(wide_db, runners, seed=race_seed)
    assert result.errors == []
    assert sorted(result.values) == list(range(1, FEWER + 1))
