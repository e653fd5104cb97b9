"""Finding diversion in five million scans, against one SQL statement written by hand for the same question.

A hundred batches are shipped in a thousand ranges each, to Shanghai. One scan in a hundred is a traveller's,
in Beijing, and never three of them share a shipment; the goods of twenty shipments are sold in Shenzhen. Both
must name exactly those twenty. The statement looks at everything at once and keeps nothing; we read portion
by portion, keep the evidence, open the cases, and the next time read only what is new.
"""

from datetime import UTC, datetime
from statistics import median
from time import perf_counter
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.catalogue.operations import create_product
from app.codes.models import Scan
from app.codes.operations import create_batch
from app.codes.outcome import Placement
from app.db.engine import Database
from app.kernel.actor import SYSTEM
from app.organisation.operations import create_brand
from app.trace.detection import detect
from app.trace.diversion import DiversionRules
from bench.row import Row, at_most, figure
from bench.support import Bench, say

SCANS = 5_000_000
NEW_SCANS = 50_000
ROUNDS = 3
BATCHES = 100
RANGES = 1_000
RANGE_CODES = 1_000
DIVERTED = 20
_RULES = DiversionRules()

_SCANS: Any = Scan.__table__
_OUTSIDE = "('ok', 'frozen', 'drawn_by_me', 'drawn_by_another', 'package')"
_BY_HAND = f"""
SELECT batch_id, shipped_first, CONCAT(SUBSTR(region, 1, 4), '00') AS found_region
FROM scans
WHERE region <> shipped_region AND region <> '100000' AND shipped_region <> '100000'
  AND (SUBSTR(region, 1, 2) <> SUBSTR(shipped_region, 1, 2)
    OR (SUBSTR(region, 3, 2) <> '00' AND SUBSTR(shipped_region, 3, 2) <> '00'
      AND SUBSTR(region, 3, 2) <> SUBSTR(shipped_region, 3, 2)))
  AND outcome IN {_OUTSIDE}
GROUP BY 1, 2, 3
HAVING COUNT(DISTINCT person_id) >= {_RULES.persons} AND COUNT(DISTINCT code_index) >= {_RULES.codes}
"""


def run(bench: Bench) -> list[Row]:
    """Measure; about four minutes."""
    scans = bench.of(SCANS, 200_000)
    with bench.database("diversion") as (db, _):
        say("filling")
        with bench.relaxed():
            _fill(db, scans)
        ours, by_hand = [], []
        for _ in range(bench.of(ROUNDS, 1)):
            _forget(db)
            seconds, found = _detect(db)
            hand_seconds, hand_found = _ask(db)
            assert found == hand_found, f"we found {len(found)}, the statement {len(hand_found)}"
            assert bench.quick or len(found) == DIVERTED
            ours.append(seconds)
            by_hand.append(hand_seconds)
            say(f"ours {seconds:.1f} s, by hand {hand_seconds:.1f} s")
        _add(db, first=scans + 1, last=scans + NEW_SCANS)
        next_seconds, _ = _detect(db)
    return [
        figure("diversion_s", median(ours), "s"),
        figure("diversion_sql_s", median(by_hand), "s"),
        figure("diversion_next_50k_s", next_seconds, "s"),
        at_most("diversion_vs_sql", median(ours) / median(by_hand), "ratio", 2.0),
    ]


def _detect(db: Database) -> tuple[float, set[tuple[int, int, str]]]:
    now = datetime.now(UTC)
    started = perf_counter()
    while db.transact(lambda session: detect(session, upto_id=1 << 62, rules=_RULES, now=now)) is not None:
        pass
    seconds = perf_counter() - started
    with db.engine.connect() as connection:
        rows = connection.execute(text("SELECT batch_id, first_index, found_region FROM diversions"))
        return seconds, {(batch, first, region) for batch, first, region in rows}


def _ask(db: Database) -> tuple[float, set[tuple[int, int, str]]]:
    started = perf_counter()
    with db.engine.connect() as connection:
        found = {(batch, first, region) for batch, first, region in connection.execute(text(_BY_HAND))}
        connection.rollback()
    return perf_counter() - started, found


def _fill(db: Database, scans: int) -> None:
    db.transact(_make_batches)
    shipped = (
        "INSERT INTO code_ranges (batch_id, aspect, first_index, last_index, region)"
        f" SELECT b.seq, 'shipped', r.seq * {RANGE_CODES}, (r.seq + 1) * {RANGE_CODES} - 1, '310000'"
        f" FROM seq_1_to_{BATCHES} b, seq_0_to_{RANGES - 1} r"
    )
    indexes = {index.name: ", ".join(index.columns.keys()) for index in _SCANS.indexes}
    dropping = ", ".join(f"DROP INDEX {name}" for name in indexes)
    adding = ", ".join(f"ADD INDEX {name} ({keys})" for name, keys in indexes.items())
    statements = [
        shipped,
        f"ALTER TABLE scans {dropping}",
        _scans(1, scans),
        f"ALTER TABLE scans {adding}",
        "ANALYZE TABLE scans, code_ranges",
    ]
    with db.engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
            connection.commit()


def _scans(first: int, last: int) -> str:
    """Return the statement that makes scans; the codes are scattered, and each shipment is scanned often."""
    size = RANGES * RANGE_CODES
    batch, index = f"1 + seq % {BATCHES}", f"(seq * 7919) % {size}"
    # A shipment in Shenzhen: range 500 of the first twenty batches, two scans in three.
    shenzhen = f"seq % {BATCHES} < {DIVERTED} AND {index} DIV {RANGE_CODES} = 500 AND seq % 3 < 2"
    # Travellers are one person each thousand shipments, so no shipment has three of them.
    region = f"CASE WHEN {shenzhen} THEN '440305' WHEN (seq * 31) % 100 = 7 THEN '110105' ELSE '310115' END"
    person = f"CASE WHEN (seq * 31) % 100 = 7 AND NOT ({shenzhen}) THEN seq % 2 ELSE seq % 1000003 END"
    return (
        "INSERT INTO scans (id, person_id, batch_id, code_index, outcome, region, at, counted_scans,"
        " shipped_first, shipped_region)"
        f" SELECT seq << 22, {person}, {batch}, {index}, 'ok', {region},"
        f" UTC_TIMESTAMP(6) - INTERVAL 1 DAY, 1, {index} DIV {RANGE_CODES} * {RANGE_CODES}, '310000'"
        f" FROM seq_{first}_to_{last}"
    )


def _add(db: Database, *, first: int, last: int) -> None:
    with db.engine.connect() as connection:
        connection.execute(text(_scans(first, last)))
        connection.commit()


def _forget(db: Database) -> None:
    """Make the job begin from the first scan again."""
    with db.engine.connect() as connection:
        for table in ("diversion_evidence", "diversions", "alerts", "trace_watermarks"):
            connection.execute(text(f"TRUNCATE TABLE {table}"))
            connection.commit()


def _make_batches(session: Session) -> None:
    now = datetime.now(UTC)
    brand_id = create_brand(session, slug="bench", name_zh="测速", name_en="Bench", now=now)
    product_id = create_product(
        session, brand_id=brand_id, sku="TEA", line="tea", name_zh="茶", name_en="Tea", now=now
    )
    for _ in range(BATCHES):
        create_batch(
            session,
            product_id=product_id,
            lot="L-1",
            size=RANGES * RANGE_CODES,
            placement=Placement.UNDER_CAP,
            actor=SYSTEM,
            now=now,
        )
