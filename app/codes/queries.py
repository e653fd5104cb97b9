"""Reading codes: one statement tells all about a code, however many batches, ranges and scans there are.

Each part of it is one look-up by key: the batch, the last range of each aspect that begins at or before the
index, the claim, and the latest scan, which carries the count of all (app.codes.models.Scan).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, LargeBinary, and_, bindparam, func, select, type_coerce
from sqlalchemy.orm import Session, aliased

from app.catalogue.models import Product
from app.codes.book import CodeBook
from app.codes.errors import CodeAltered, ForeignBatch, InvalidRange, NotACode, UnknownBatch, UnknownScan
from app.codes.foreign import read_code
from app.codes.format import Parsed
from app.codes.models import (
    CodeBatch,
    CodeClaim,
    CodeRange,
    CodeRangeEvent,
    ForeignList,
    MarketOrder,
    RangeAspect,
    RangeEventKind,
    Scan,
)
from app.codes.outcome import CodeFacts, CodeLevel, Earlier, Placement, ScanOutcome
from app.codes.pack import Pack
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
    level: CodeLevel
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
    CodeBatch.level,
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


@dataclass(frozen=True, slots=True)
class FactsSource:
    """What a statement needs to tell all about a code, whichever row it learns the code from.

    `batch` and `index` are parameters or columns. A statement selects `columns`, from `CodeBatch` and
    everything in `joins` in this order, and hands its row to `facts_of_row`.
    """

    batch: Any
    index: Any

    @property
    def columns(self) -> tuple[Any, ...]:
        """The columns that `facts_of_row` reads, by their labels."""
        shipped = _SHIPPED
        return (
            CodeBatch.brand_id.label("code_brand_id"),
            CodeBatch.product_id,
            CodeBatch.lot,
            CodeBatch.level,
            CodeBatch.placement,
            CodeBatch.needs_shipping,
            # Sealed as it is stored: opened at most once a process (app.codes.book).
            type_coerce(CodeBatch.key, LargeBinary).label("sealed_key"),
            self._last_range(RangeAspect.ACTIVATED, CodeRange.last_index).label("activated_to"),
            self._last_range(RangeAspect.FROZEN, CodeRange.last_index).label("frozen_to"),
            shipped.first_index.label("shipped_from"),
            shipped.last_index.label("shipped_to"),
            shipped.region.label("shipped_region"),
            shipped.attributes,
            CodeClaim.draw_id,
            CodeClaim.person_id.label("drawn_by"),
        )

    @property
    def joins(self) -> tuple[tuple[Any, Any], ...]:
        """Tables to be joined from the outside, with what they are joined by."""
        shipped = _SHIPPED
        return (
            (
                shipped,
                and_(
                    shipped.batch_id == self.batch,
                    shipped.aspect == RangeAspect.SHIPPED,
                    shipped.first_index == self._last_range(RangeAspect.SHIPPED, CodeRange.first_index),
                ),
            ),
            (CodeClaim, and_(CodeClaim.batch_id == self.batch, CodeClaim.code_index == self.index)),
        )

    def _last_range(self, aspect: RangeAspect, column: Any) -> Any:
        """Return of the last range that begins at or before the index: the only one that can hold it."""
        return (
            select(column)
            .where(
                CodeRange.batch_id == self.batch,
                CodeRange.aspect == aspect,
                CodeRange.first_index <= self.index,
            )
            .order_by(CodeRange.first_index.desc())
            .limit(1)
            .scalar_subquery()
        )


_SHIPPED: Any = aliased(CodeRange, name="shipped")
_LATEST: Any = aliased(Scan, name="latest")
_EVERY: Any = aliased(Scan)
_NEWEST = select(func.max(_EVERY.id)).where(_EVERY.batch_id == _BATCH, _EVERY.code_index == _INDEX)

_BY_PLACE = FactsSource(_BATCH, _INDEX)


def select_code(*more: Any) -> Any:
    """Return the statement that tells all about the code of the parameters `batch` and `code_index`.

    `more` are columns of tables that the caller joins.
    """
    earlier = (_LATEST.counted_scans, _LATEST.first_at, _LATEST.first_person_id)
    told = select(*_BY_PLACE.columns, *earlier, *more).select_from(CodeBatch)
    for table, condition in _BY_PLACE.joins:
        told = told.outerjoin(table, condition)
    told = told.outerjoin(_LATEST, _LATEST.id == _NEWEST.scalar_subquery())
    return told.where(CodeBatch.id == _BATCH, CodeBatch.size > _INDEX)


_FACTS = Prepared(select_code())


def facts_of(session: Session, *, book: CodeBook, parsed: Parsed) -> CodeFacts | None:
    """Return what is known of a code that was read; None when it is not one of ours. One statement.

    A code whose batch, index or tag is wrong gets the same answer, so that nobody can feel their way.
    """
    wanted = {"batch": parsed.batch_id, "code_index": parsed.code_index}
    return verified(_FACTS.first(session, wanted), book, parsed)


def verified(row: Any, book: CodeBook, parsed: Parsed) -> CodeFacts | None:
    """Return what a row of `select_code` tells, if the code's tag is right; None also without a row."""
    if row is None or not book.batch_key(row.sealed_key).verifies(parsed):
        return None
    return facts_of_row(row, parsed.batch_id, parsed.code_index, earlier=_earlier(row))


def code_facts(session: Session, *, batch_id: int, code_index: int) -> CodeFacts:
    """Return what is known now of a code by its place in a batch; raise UnknownBatch. One statement."""
    row = _FACTS.first(session, {"batch": batch_id, "code_index": code_index})
    if row is None:
        raise UnknownBatch("there is no such batch, or it has no such code")
    return facts_of_row(row, batch_id, code_index, earlier=_earlier(row))


def _earlier(row: Any) -> Earlier:
    return Earlier(row.counted_scans or 0, row.first_at, row.first_person_id)


def facts_of_row(row: Any, batch_id: int, code_index: int, *, earlier: Earlier | None) -> CodeFacts:
    """Return what a row with the columns of `FactsSource` tells of a code."""

    def within(last_index: int | None) -> bool:
        return last_index is not None and last_index >= code_index

    shipped = within(row.shipped_to)
    return CodeFacts(
        batch_id=batch_id,
        code_index=code_index,
        brand_id=row.code_brand_id,
        product_id=row.product_id,
        lot=row.lot,
        level=row.level,
        placement=row.placement,
        needs_shipping=row.needs_shipping,
        activated=within(row.activated_to),
        frozen=within(row.frozen_to),
        shipped=shipped,
        region=row.shipped_region if shipped else None,
        attributes=(row.attributes or {}) if shipped else {},
        draw_id=row.draw_id,
        drawn_by=row.drawn_by,
        shipped_first=row.shipped_from if shipped else None,
        earlier=earlier,
    )


def locate(session: Session, *, book: CodeBook, texts: Collection[str]) -> dict[str, tuple[int, int]]:
    """Return batch and index of those of `texts` that are genuine codes. One statement, however many.

    For files of scanned labels. It tells nothing else of a code and records nothing.
    """
    parsed: dict[str, Parsed] = {}
    for text in texts:
        try:
            parsed[text] = book.read(text)
        except (CodeAltered, NotACode):
            continue
    wanted = sorted({found.batch_id for found in parsed.values()})
    keys = select(CodeBatch.id, CodeBatch.size, type_coerce(CodeBatch.key, LargeBinary).label("sealed_key"))
    batches = {row.id: row for row in session.connection().execute(keys.where(CodeBatch.id.in_(wanted)))}
    located = {}
    for text, found in parsed.items():
        row = batches.get(found.batch_id)
        if row is None or found.code_index >= row.size:
            continue
        if book.batch_key(row.sealed_key).verifies(found):
            located[text] = (found.batch_id, found.code_index)
    return located


def check(session: Session, *, book: CodeBook, text: str) -> CodeFacts | None:
    """Return what is known of the code in `text`, None when it is not genuine; records nothing (CODE-08).

    For scanners that are not WeChat, which open the link. Raise NotACode for what is no code at all.
    """
    try:
        parsed = read_code(session, book=book, text=text)
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
    return BatchView(**row._asdict())


def batches(
    session: Session, *, brand_id: int | None = None, before: int | None = None, limit: int = 50
) -> Sequence[BatchView]:
    """Return batches, newest first, at most `limit`, with a number below `before`."""
    wanted = _BATCH_VIEW.order_by(CodeBatch.id.desc()).limit(limit)
    if brand_id is not None:
        wanted = wanted.where(CodeBatch.brand_id == brand_id)
    if before is not None:
        wanted = wanted.where(CodeBatch.id < before)
    return [BatchView(**row._asdict()) for row in session.connection().execute(wanted)]


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
    else. Raise UnknownBatch, ForeignBatch, or InvalidRange when the batch has no such codes.
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
    if session.get(MarketOrder, batch_id) is not None:
        raise ForeignBatch("WeChat made the codes of this batch: `saoma marketcode print` fetches them")
    if session.get(ForeignList, batch_id) is not None:
        raise ForeignBatch("the codes of this batch were printed by somebody else")
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
