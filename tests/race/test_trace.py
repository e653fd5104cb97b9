"""Packing and looking for diversion under many connections: one package, one case."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from app.catalogue.operations import create_product
from app.codes import operations as codes
from app.codes.models import CodeBatch, Scan
from app.codes.outcome import CodeLevel, Placement, ScanOutcome
from app.db.engine import Database
from app.kernel.actor import SYSTEM
from app.organisation.operations import create_brand
from app.trace import detection, packaging
from app.trace.diversion import DiversionRules
from app.trace.errors import AlreadyPacked
from app.trace.events import Run
from app.trace.models import Diversion, DiversionEvidence, PackagingRange, TraceWatermark
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


DETECTORS = 16
SIGHTINGS = 60


def _scan_elsewhere(session: Session) -> None:
    items, _ = _batches(session)
    codes.ship(session, batch_id=items, region="310000", actor=SYSTEM, now=NOW)
    row = {"batch_id": items, "outcome": ScanOutcome.OK, "region": "440305", "at": NOW, "counted_scans": 1}
    shipped = {"shipped_first": 0, "shipped_region": "310000"}
    session.execute(
        insert(Scan),
        [{"id": n, "person_id": n, "code_index": n, **row, **shipped} for n in range(1, SIGHTINGS + 1)],
    )


def _detect_all(db: Database, seed: int) -> tuple[RaceResult, int, int]:
    """Let jobs look at the same scans at once; return the evidence and the cases."""
    db.transact(_scan_elsewhere)

    def detect() -> int | None:
        return db.transact(
            lambda session: detection.detect(session, upto_id=1 << 60, rules=DiversionRules(), now=NOW)
        )

    result = race(db, [detect] * DETECTORS, seed=seed)
    with db.read() as session:
        counts = [
            session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (DiversionEvidence, Diversion)
        ]
    return result, counts[0], counts[1]


def test_every_scan_is_looked_at_once(wide_db: Database, race_seed: int) -> None:
    result, evidence, cases = _detect_all(wide_db, race_seed)
    assert result.errors == []
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert [found for found in result.values if found is not None] == [SIGHTINGS]
    assert (evidence, cases) == (SIGHTINGS, 1)


def test_without_the_watermarks_lock_jobs_get_in_each_others_way(
    wide_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(session: Session, now: datetime) -> int:
        found = session.execute(select(TraceWatermark.scan_id)).scalar()
        session.execute(text("SELECT SLEEP(0.05)"))
        return int(found or 0)

    monkeypatch.setattr(detection, "_lock_watermark", look)
    result, _, _ = _detect_all(wide_db, seed=0)
    assert result.errors or [found for found in result.values if found is not None] != [SIGHTINGS]
