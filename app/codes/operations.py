"""Writing codes: making batches, marking ranges of them, recording scans, claiming a code for a draw."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.catalogue.queries import product
from app.codes.book import CodeBook
from app.codes.errors import (
    CodeAlreadyDrawn,
    CodeAltered,
    InvalidBatch,
    InvalidRange,
    NoBatchLeft,
    UnknownBatch,
)
from app.codes.foreign import read_code
from app.codes.format import MAX_BATCH_ID, MAX_BATCH_SIZE, Parsed
from app.codes.models import (
    CodeBatch,
    CodeClaim,
    CodeRange,
    CodeRangeEvent,
    RangeAspect,
    RangeEventKind,
    Scan,
)
from app.codes.outcome import UNCOUNTED, CodeFacts, CodeLevel, Earlier, Placement, ScanOutcome, decide
from app.codes.permutation import KEY_BYTES
from app.codes.queries import facts_of
from app.db.engine import Replay
from app.db.once import insert_once
from app.db.prepared import Prepared
from app.identity.queries import Cluster
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.organisation.regions import is_adcode

SHIPMENT_ATTRIBUTES = ("case", "channel", "order", "origin", "dealer")
_MAX_ATTRIBUTE = 64
_MAX_REASON = 200


def create_batch(
    session: Session,
    *,
    product_id: int,
    lot: str,
    size: int,
    placement: Placement,
    actor: Actor,
    now: datetime,
    needs_shipping: bool | None = None,
    level: CodeLevel = CodeLevel.ITEM,
) -> int:
    """Make a batch of `size` codes for a lot of a product and return its number (CODE-01).

    No code works before it is activated. `level` says what the codes are printed on: cases and pallets have
    batches of their own (CODE-03). `needs_shipping` None means: yes for codes printed outside, which
    anybody in the warehouse can photograph, no for codes under the cap. Raise InvalidBatch,
    UnknownProduct, or NoBatchLeft after sixteen million batches.
    """
    if not 1 <= size <= MAX_BATCH_SIZE:
        raise InvalidBatch(f"a batch has 1 to {MAX_BATCH_SIZE} codes")
    if not lot or len(lot) > _MAX_ATTRIBUTE:
        raise InvalidBatch(f"a lot has a name of 1 to {_MAX_ATTRIBUTE} characters")
    row = {
        "brand_id": product(session, product_id=product_id).brand_id,
        "product_id": product_id,
        "lot": lot,
        "size": size,
        "key": secrets.token_hex(KEY_BYTES),
        "level": level,
        "placement": placement,
        "needs_shipping": placement is Placement.OUTSIDE if needs_shipping is None else needs_shipping,
        "created_at": now,
        "created_by": actor.label,
    }
    batch_id = session.execute(select(func.coalesce(func.max(CodeBatch.id), 0))).scalar_one() + 1
    while batch_id <= MAX_BATCH_ID:
        if insert_once(session, insert(CodeBatch), {"id": batch_id, **row}):
            return int(batch_id)
        batch_id += 1  # somebody else took the number a moment ago
    raise NoBatchLeft("every batch number is used; archive this installation's batches first")


def activate(
    session: Session,
    *,
    batch_id: int,
    actor: Actor,
    now: datetime,
    first_index: int = 0,
    last_index: int | None = None,
) -> None:
    """Make a range of codes usable, by default the whole batch; doing it twice changes nothing."""
    marked = _Range(batch_id, first_index, last_index)
    _mark(session, marked, RangeEventKind.ACTIVATED, _Content(), actor=actor, now=now)


def freeze(
    session: Session,
    *,
    batch_id: int,
    reason: str,
    actor: Actor,
    now: datetime,
    first_index: int = 0,
    last_index: int | None = None,
) -> None:
    """Stop a range of codes as an emergency act, by default the whole batch (CODE-12).

    It takes one row, however large the range, and holds from the next scan and the next draw on.
    """
    marked = _Range(batch_id, first_index, last_index)
    _mark(session, marked, RangeEventKind.FROZEN, _Content(), actor=actor, now=now, reason=reason)


def unfreeze(
    session: Session,
    *,
    batch_id: int,
    reason: str,
    actor: Actor,
    now: datetime,
    first_index: int = 0,
    last_index: int | None = None,
) -> None:
    """Let a range of codes work again."""
    marked = _Range(batch_id, first_index, last_index)
    _mark(session, marked, RangeEventKind.UNFROZEN, None, actor=actor, now=now, reason=reason)


def ship(
    session: Session,
    *,
    batch_id: int,
    region: str | None,
    actor: Actor,
    now: datetime,
    attributes: Mapping[str, str] | None = None,
    first_index: int = 0,
    last_index: int | None = None,
) -> None:
    """Note that a range of codes was shipped, where to, and what is known of it; the latest shipment counts.

    `region` is a six-digit adcode (DRAW-03: WHERE works without GPS); `attributes` may name case, channel,
    order, origin and dealer. Raise InvalidRange or UnknownBatch.
    """
    if region is not None and not is_adcode(region):
        raise InvalidRange("a region is a six-digit code such as 310000")
    known = dict(attributes or {})
    if set(known) - set(SHIPMENT_ATTRIBUTES):
        raise InvalidRange("a shipment may name case, channel, order, origin and dealer, and nothing else")
    if any(not value or len(value) > _MAX_ATTRIBUTE for value in known.values()):
        raise InvalidRange(f"case, channel, order, origin and dealer have 1 to {_MAX_ATTRIBUTE} characters")
    marked = _Range(batch_id, first_index, last_index)
    _mark(session, marked, RangeEventKind.SHIPPED, _Content(region, known or None), actor=actor, now=now)


@dataclass(frozen=True, slots=True)
class _Range:
    """A range as it was asked for; `last_index` None means to the end."""

    batch_id: int
    first_index: int
    last_index: int | None


@dataclass(frozen=True, slots=True)
class _Content:
    """What a range of codes is marked with."""

    region: str | None = None
    attributes: dict[str, str] | None = None


_ASPECTS = {
    RangeEventKind.ACTIVATED: RangeAspect.ACTIVATED,
    RangeEventKind.FROZEN: RangeAspect.FROZEN,
    RangeEventKind.UNFROZEN: RangeAspect.FROZEN,
    RangeEventKind.SHIPPED: RangeAspect.SHIPPED,
}


def _mark(
    session: Session,
    asked: _Range,
    kind: RangeEventKind,
    content: _Content | None,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
) -> None:
    """Log the event and make the range say it: `content` None clears it."""
    if reason is not None and not 1 <= len(reason.strip()) <= _MAX_REASON:
        raise InvalidRange(f"a reason has 1 to {_MAX_REASON} characters")
    size = _lock_batch(session, asked.batch_id)
    first, last = asked.first_index, size - 1 if asked.last_index is None else asked.last_index
    if not 0 <= first <= last < size:
        raise InvalidRange(f"the batch has {size} codes, from index 0 to {size - 1}")
    where = {"batch_id": asked.batch_id, "aspect": _ASPECTS[kind]}
    _clear(session, where, first, last)
    said: dict[str, object] = {"first_index": first, "last_index": last}
    if content is not None:
        said |= {"region": content.region, "attributes": content.attributes}
        session.execute(insert(CodeRange).values(**where, **said))
    event = {"id": new_id(), "batch_id": asked.batch_id, "kind": kind, **said}
    session.execute(insert(CodeRangeEvent).values(**event, reason=reason, at=now, actor=actor.label))


def lock_batches(session: Session, *, batch_ids: Collection[int]) -> dict[int, CodeLevel]:
    """Be the only writer of what hangs from these batches, and return their levels; raise UnknownBatch.

    They are locked in the order of their numbers.
    """
    levels = {}
    for batch_id in sorted(set(batch_ids)):
        _lock_batch(session, batch_id)
        level = select(CodeBatch.level).where(CodeBatch.id == batch_id)
        levels[batch_id] = session.execute(level).scalar_one()
    return levels


def _lock_batch(session: Session, batch_id: int) -> int:
    """Be the only writer of the batch's ranges, which no unique key keeps apart; return its size."""
    locked = select(CodeBatch.size).where(CodeBatch.id == batch_id).with_for_update()
    size: int | None = session.execute(locked).scalar()
    if size is None:
        raise UnknownBatch("there is no batch with this number; `saoma batches list` shows them")
    return size


def _clear(session: Session, where: dict[str, Any], first: int, last: int) -> None:
    """Cut first..last out of the ranges of one aspect: at most two of them reach over an end."""
    mine = (CodeRange.batch_id == where["batch_id"], CodeRange.aspect == where["aspect"])
    before = _last_range(session, mine, CodeRange.first_index < first)
    if before is not None and before.last_index >= first:
        shortened = update(CodeRange).where(*mine, CodeRange.first_index == before.first_index)
        session.execute(shortened.values(last_index=first - 1))
        _keep_rest(session, where, before, last)
    inside = CodeRange.first_index.between(first, last)
    final = _last_range(session, mine, inside)
    if final is not None:
        session.execute(delete(CodeRange).where(*mine, inside))
        _keep_rest(session, where, final, last)


def _last_range(session: Session, mine: Any, begins: Any) -> Any:
    last = select(CodeRange.first_index, CodeRange.last_index, CodeRange.region, CodeRange.attributes)
    return session.execute(last.where(*mine, begins).order_by(CodeRange.first_index.desc()).limit(1)).first()


def _keep_rest(session: Session, where: dict[str, Any], cut: Any, last: int) -> None:
    """Store what of the range `cut` lies behind `last`."""
    if cut.last_index > last:
        rest = {"first_index": last + 1, "last_index": cut.last_index}
        content = {"region": cut.region, "attributes": cut.attributes}
        session.execute(insert(CodeRange).values(**where, **rest, **content))


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan came to.

    code: what is known of the code; None when it is not genuine.
    earlier_scans: how often it was scanned since it could be sold, before this one.
    first_scanned_at: when the first of these scans was; this one's time when it is the first.
    drawn_draw_id: the draw that used the code.
    """

    scan_id: int
    outcome: ScanOutcome
    code: CodeFacts | None
    first_scanned_at: datetime | None
    first_scanned_by_me: bool
    earlier_scans: int
    drawn_draw_id: int | None


class LookUp(Protocol):
    """Reads what is known of a code; None when it is not one of ours. `facts_of` reads nothing else."""

    def __call__(self, session: Session, *, book: CodeBook, parsed: Parsed) -> CodeFacts | None:
        """Return what is known of the code."""
        ...


_INSERT_SCAN = Prepared(insert(Scan))
_INSERT_CLAIM = Prepared(insert(CodeClaim))


def record_scan(
    session: Session,
    *,
    book: CodeBook,
    text: str | Parsed,
    person_id: int,
    cluster: Cluster,
    now: datetime,
    region_hint: str | None = None,
    look_up: LookUp = facts_of,
) -> ScanResult:
    """Record that a person scanned `text` and return what it came to; it burns nothing (CODE-08).

    A code that WeChat has vouched for comes as its place.
    Two statements. `person_id` scanned, `cluster` is everybody who is the same human being, `region_hint` the
    adcode of the scan if known, `look_up` what reads the code. Raise NotACode for what has not the shape of a
    code and is in no list of foreign ones either: that is not recorded.
    """
    outcome, facts = _judge(session, book, text, cluster.person_ids, look_up)
    counts = outcome not in UNCOUNTED
    earlier = Earlier()
    if facts is not None:
        assert facts.earlier is not None, "a scan carries on the count of those before it"
        earlier = facts.earlier
    first_at, first_by = earlier.first_at, earlier.first_by
    if counts and first_at is None:
        first_at, first_by = now, person_id
    scan_id = new_id()
    row = {
        "id": scan_id,
        "person_id": person_id,
        "batch_id": facts.batch_id if facts else None,
        "code_index": facts.code_index if facts else None,
        "outcome": outcome,
        "region": region_hint,
        "at": now,
        "counted_scans": earlier.scans + counts,
        "first_at": first_at,
        "first_person_id": first_by,
        "shipped_first": facts.shipped_first if facts else None,
        "shipped_region": facts.region if facts else None,
    }
    _INSERT_SCAN.write_later(session, row, lost=Replay)
    return ScanResult(
        scan_id=scan_id,
        outcome=outcome,
        code=facts,
        first_scanned_at=first_at,
        first_scanned_by_me=first_by in cluster.person_ids,
        earlier_scans=earlier.scans,
        drawn_draw_id=facts.draw_id if facts else None,
    )


def _judge(
    session: Session, book: CodeBook, text: str | Parsed, person_ids: Collection[int], look_up: LookUp
) -> tuple[ScanOutcome, CodeFacts | None]:
    try:
        parsed = text if isinstance(text, Parsed) else read_code(session, book=book, text=text)
    except CodeAltered:
        return ScanOutcome.ALTERED, None
    facts = look_up(session, book=book, parsed=parsed)
    if facts is None:
        return ScanOutcome.UNKNOWN, None
    return decide(facts, person_ids), facts


def claim(
    session: Session, *, batch_id: int, code_index: int, draw_id: int, person_id: int, now: datetime
) -> None:
    """Use a code for a draw; raise CodeAlreadyDrawn when another draw has it (CODE-11). One statement.

    The primary key decides, also between two draws at the same moment: the second waits for the first to
    commit and is refused, or goes on when the first was rolled back. Nobody waits for the answer: it may be
    raised as late as the transaction ends.
    """
    row = {
        "batch_id": batch_id,
        "code_index": code_index,
        "draw_id": draw_id,
        "person_id": person_id,
        "at": now,
    }
    _INSERT_CLAIM.write_later(session, row, lost=_already_drawn)


def _already_drawn() -> CodeAlreadyDrawn:
    return CodeAlreadyDrawn("this code has been used for a draw; every code can be drawn once")
