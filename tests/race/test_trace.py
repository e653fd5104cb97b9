"""Packing under many connections: a code lies in one package."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.catalogue.operations import create_product
from app.codes import operations as codes
from app.codes.models import CodeBatch
from app.codes.outcome import CodeLevel, Placement
from app.db.engine import Database
from app.kernel.actor import SYSTEM
from app.organisation.operations import create_brand
from app.trace import packaging
from app.trace.errors import AlreadyPacked
from app.trace.events import Run
from app.trace.models import PackagingRange
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PACKERS = 24


def _batches(session: Session) -> tuple[int, int]:
    brand_id = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=NOW)
    product_id = create_product(
        session, brand_id=brand_id, sku="T", line="tea", name_zh="茶", name_en="Tea", now=NOW
    )

    def make(level: CodeLevel) -> int:
        return codes.create_batch(
            session,
            product_id=product_id,
            lot="L",
            size=1000,
            placement=Placement.OUTSIDE,
            level=level,
            actor=SYSTEM,
            now=NOW,
        )

    return make(CodeLevel.ITEM), make(CodeLevel.CASE)


def _pack_all(db: Database, seed: int) -> tuple[RaceResult, Counter[int]]:
    """Let ranges that share codes be packed at once; return how often each code lies in a package."""
    items, cases = db.transact(_batches)

    def pack(number: int) -> None:
        db.transact(
            lambda session: packaging.pack(
                session,
                parent=Run(cases, number, number),
                child=Run(items, number * 5, number * 5 + 9),
            )
        )

    result = race(db, [lambda number=number: pack(number) for number in range(PACKERS)], seed=seed)
    with db.read() as session:
        rows = session.execute(select(PackagingRange.child_first, PackagingRange.child_last)).all()
    return result, Counter(index for first, last in rows for index in range(first, last + 1))


def test_a_code_lies_in_one_package(wide_db: Database, race_seed: int) -> None:
    result, held = _pack_all(wide_db, race_seed)
    assert all(isinstance(error, AlreadyPacked) for error in result.errors), result.errors
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert set(held.values()) == {1}


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def look(session: Session, *, batch_ids: object) -> dict[int, CodeLevel]:
        found = session.execute(select(CodeBatch.id, CodeBatch.level)).all()
        session.execute(text("SELECT SLEEP(0.01)"))
        return {row.id: row.level for row in found}

    monkeypatch.setattr(packaging, "lock_batches", look)
    return


@pytest.mark.usefixtures("unlocked")
def test_without_the_lock_a_code_lies_in_two(wide_db: Database) -> None:
    _, held = _pack_all(wide_db, seed=0)
    assert max(held.values()) > 1
