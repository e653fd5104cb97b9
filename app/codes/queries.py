"""Reading codes: one statement tells all about a code, however many batches, ranges and scans there are.

Each part of it is one look-up by key: the batch, the last range of each aspect that begins at or before the
index, the claim, and the latest scan, which carries the count of all (app.codes.models.Scan).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, LargeBinary, and_, bindparam, func, select, type_coerce
from sqlalchemy.orm import Session, aliased

from app.catalogue.models import Product
from app.codes.book import CodeBook
from app.codes.errors import CodeAltered, InvalidRange, UnknownBatch, UnknownScan
from app.codes.format import Parsed
from app.codes.models import (
    CodeBatch,
    CodeClaim,
    CodeRange,
    CodeRangeEvent,
    RangeAspect,
    RangeEventKind,
    Scan,
)
from app.codes.outcome import CodeFacts, Placement, ScanOutcome
from app.codes.packs import Pack
from app.db.prepared import Prepared
from app.organisation.models import Brand


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch as operators see it."""

    id: int
    brand_id: int
    product_id: int
    lot: str
    size: int
    placement: Placement
    needs_shipping: bool
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class RangeEventView:
    """What was done to a range of codes, by whom and why."""

    id: int
    kind: RangeEventKind
    first_index: int
    last_index: int
    region: str | None
    attributes: dict[str, str] | None
    reason: str | None
    at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class ScanView:
    """One recorded scan; batch and index are None when no code of ours was read."""

    id: int
    person_id: int
    batch_id: int | None
    code_index: int | None
    outcome: ScanOutcome
    region: str | None
    at: datetime


_BATCH: BindParameter[int] = bindparam("batch")
_INDEX: BindParameter[int] = bindparam("code_index")
_BATCH_VIEW = select(
    CodeBatch.id,
    CodeBatch.brand_id,
    CodeBatch.product_id,
    CodeBatch.lot,
    CodeBatch.size,
    CodeBatch.placement,
    CodeBatch.needs_shipping,
    CodeBatch.created_at,
    CodeBatch.created_by,
)
_BATCH_BY_ID = _BATCH_VIEW.where(CodeBatch.id == _BATCH)
_SCAN_VIEW = select(
    Scan.id, Scan.person_id, Scan.batch_id, Scan.code_index, Scan.outcome, Scan.region, Scan.at
)
_SCAN_BY_ID = _SCAN_VIEW.where(Scan.id == bindparam("scan"))
_HISTORY = (
    _SCAN_VIEW.where(Scan.batch_id == _BATCH, Scan.code_index == _INDEX)
    .order_by(Scan.id.desc())
    .limit(bindparam("limit"))
)


def _facts_statement() -> Any:
    activated, frozen, shipped = (aliased(CodeRange, name=aspect.value) for aspect in RangeAspect)
    latest = aliased(Scan, name="latest")

    def covering(range_: Any, aspect: RangeAspect) -> Any:
        begins = select(func.max(CodeRange.first_index)).where(
            CodeRange.batch_id == _BATCH, CodeRange.aspect == aspect, CodeRange.first_index <= _INDEX
        )
        return and_(
            range_.batch_id == CodeBatch.id,
            range_.aspect == aspect,
            range_.first_index == begins.scalar_subquery(),
            range_.last_index >= _INDEX,
        )

    newest = select(func.max(Scan.id)).where(Scan.batch_id == _BATCH, Scan.code_index == _INDEX)
    return (
        select(
            CodeBatch.brand_id,
            CodeBatch.product_id,
            CodeBatch.lot,
            CodeBatch.placement,
            CodeBatch.needs_shipping,
            # Sealed as it is stored: opened at most once a process (app.codes.book).
            type_coerce(CodeBatch.key, LargeBinary).label("sealed_key"),
            activated.last_index.label("activated"),
            frozen.last_index.label("frozen"),
            shipped.last_index.label("shipped"),
            shipped.region,
            shipped.attributes,
            CodeClaim.draw_id,
            CodeClaim.person_id,
            latest.counted_scans,
            latest.first_at,
            latest.first_person_id,
        )
        .select_from(CodeBatch)
        .outerjoin(activated, covering(activated, RangeAspect.ACTIVATED))
        .outerjoin(frozen, covering(frozen, RangeAspect.FROZEN))
        .outerjoin(shipped, covering(shipped, RangeAspect.SHIPPED))
        .outerjoin(CodeClaim, and_(CodeClaim.batch_id == CodeBatch.id, CodeClaim.code_index == _INDEX))
        .outerjoin(latest, and_(latest.batch_id == CodeBatch.id, latest.id == newest.scalar_subquery()))
        .where(CodeBatch.id == _BATCH, CodeBatch.size > _INDEX)
    )


_FACTS = Prepared(_facts_statement())


def facts_of(session: Session, *, book: CodeBook, parsed: Parsed) -> CodeFacts | None:
    """Return what is known of a code that was read; None when it is not one of ours. One statement.

    A code whose batch, index or tag is wrong gets the same answer, so that nobody can feel their way.
    """
    row = _facts_row(session, parsed.batch_id, parsed.code_index)
    if row is None or not book.batch_key(row.sealed_key).verifies(parsed):
        return None
    return _facts(row, parsed.batch_id, parsed.code_index)


def code_facts(session: Session, *, batch_id: int, code_index: int) -> CodeFacts:
    """Return what is known now of a code that was scanned before; raise UnknownBatch. One statement.

    For the draw: a code may have been frozen or drawn since its scan (app.codes.outcome.decide).
    """
    row = _facts_row(session, batch_id, code_index)
    if row is None:
        raise UnknownBatch("there is no such batch, or it has no such code")
    return _facts(row, batch_id, code_index)


def _facts_row(session: Session, batch_id: int, code_index: int) -> Any:
    return _FACTS.first(session, {"batch": batch_id, "code_index": code_index})


def _facts(row: Any, batch_id: int, code_index: int) -> CodeFacts:
    return CodeFacts(
        batch_id=batch_id,
        code_index=code_index,
        brand_id=row.brand_id,
        product_id=row.product_id,
        lot=row.lot,
        placement=row.placement,
        needs_shipping=row.needs_shipping,
        activated=row.activated is not None,
        frozen=row.frozen is not None,
        shipped=row.shipped is not None,
        region=row.region,
        attributes=row.attributes or {},
        draw_id=row.draw_id,
        drawn_by=row.person_id,
        counted_scans=row.counted_scans or 0,
        first_scanned_at=row.first_at,
        first_scanned_by=row.first_person_id,
    )


def check(session: Session, *, book: CodeBook, text: str) -> CodeFacts | None:
    """Return what is known of the code in `text`, None when it is not genuine; records nothing (CODE-08).

    For scanners that are not WeChat, which open the link. Raise NotACode for what is no code at all.
    """
    try:
        parsed = book.read(text)
    except CodeAltered:
        return None
    return facts_of(session, book=book, parsed=parsed)


def scan(session: Session, *, scan_id: int) -> ScanView:
    """Return a recorded scan; raise UnknownScan."""
    row = session.connection().execute(_SCAN_BY_ID, {"scan": scan_id}).first()
    if row is None:
        raise UnknownScan("there is no such scan")
    return ScanView(*row)


def history(session: Session, *, batch_id: int, code_index: int, limit: int = 20) -> Sequence[ScanView]:
    """Return the latest scans of a code, newest first, at most `limit`."""
    wanted = {"batch": batch_id, "code_index": code_index, "limit": limit}
    return [ScanView(*row) for row in session.connection().execute(_HISTORY, wanted)]


def batch(session: Session, *, batch_id: int) -> BatchView:
    """Return a batch; raise UnknownBatch."""
    row = session.connection().execute(_BATCH_BY_ID, {"batch": batch_id}).first()
    if row is None:
        raise UnknownBatch("there is no batch with this number; `saoma batches list` shows them")
    return BatchView(*row)


def batches(
    session: Session, *, brand_id: int | None = None, before: int | None = None, limit: int = 50
) -> Sequence[BatchView]:
    """Return batches, newest first, at most `limit`, with a number below `before`."""
    wanted = _BATCH_VIEW.order_by(CodeBatch.id.desc()).limit(limit)
    if brand_id is not None:
        wanted = wanted.where(CodeBatch.brand_id == brand_id)
    if before is not None:
        wanted = wanted.where(CodeBatch.id < before)
    return [BatchView(*row) for row in session.connection().execute(wanted)]


def range_totals(session: Session, *, batch_id: int) -> dict[RangeAspect, int]:
    """Return how many codes of a batch are activated, frozen and shipped now."""
    covered = func.sum(CodeRange.last_index - CodeRange.first_index + 1)
    totals = (
        select(CodeRange.aspect, covered).where(CodeRange.batch_id == batch_id).group_by(CodeRange.aspect)
    )
    counted = {aspect: int(total) for aspect, total in session.connection().execute(totals)}
    return {aspect: counted.get(aspect, 0) for aspect in RangeAspect}


def range_events(
    session: Session, *, batch_id: int, before: int | None = None, limit: int = 50
) -> Sequence[RangeEventView]:
    """Return what was done to ranges of a batch, newest first, at most `limit`, with an id below `before`."""
    event = CodeRangeEvent
    wanted = (
        select(
            event.id,
            event.kind,
            event.first_index,
            event.last_index,
            event.region,
            event.attributes,
            event.reason,
            event.at,
            event.actor,
        )
        .where(event.batch_id == batch_id)
        .order_by(event.id.desc())
        .limit(limit)
    )
    if before is not None:
        wanted = wanted.where(event.id < before)
    return [RangeEventView(*row) for row in session.connection().execute(wanted)]


def print_pack(
    session: Session,
    *,
    book: CodeBook,
    batch_id: int,
    now: datetime,
    first_index: int = 0,
    count: int | None = None,
) -> Pack:
    """Return the print pack of `count` codes from `first_index` on, or of all that follow (CODE-01).

    It holds the key of the batch: it is for writing files (app.codes.packs, app.codes.sheets) and nothing
    else. Raise UnknownBatch, or InvalidRange when the batch has no such codes.
    """
    wanted = (
        select(
            type_coerce(CodeBatch.key, LargeBinary).label("sealed_key"),
            CodeBatch.size,
            CodeBatch.lot,
            Brand.slug,
            Product.sku,
            Product.name_zh,
            Product.name_en,
        )
        .join(Brand, Brand.id == CodeBatch.brand_id)
        .join(Product, Product.id == CodeBatch.product_id)
        .where(CodeBatch.id == batch_id)
    )
    row = session.connection().execute(wanted).first()
    if row is None:
        raise UnknownBatch("there is no batch with this number; `saoma batches list` shows them")
    size = row.size
    rows = size - first_index if count is None else count
    if first_index < 0 or rows < 1 or first_index + rows > size:
        raise InvalidRange(f"the batch has {size} codes, from index 0 to {size - 1}")
    return Pack(
        keys=book.keys,
        batch_key=book.batch_key(row.sealed_key),
        batch_id=batch_id,
        first_index=first_index,
        count=rows,
        link=book.link,
        about={
            "number": batch_id,
            "brand": row.slug,
            "sku": row.sku,
            "name_zh": row.name_zh,
            "name_en": row.name_en,
            "lot": row.lot,
        },
        created_at=now,
    )
