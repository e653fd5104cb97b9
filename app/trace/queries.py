"""Reading packaging and events: a look-up by index each, however many ranges there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Executable, and_, or_, select
from sqlalchemy.orm import Session

from app.codes.format import INDEX_BITS
from app.organisation.models import Dealer, Store
from app.trace.diversion import DiversionState
from app.trace.errors import UnknownDiversion
from app.trace.events import Action, EventKind, RangeRole, Run, Step, without
from app.trace.models import (
    Diversion,
    DiversionEvidence,
    PackagingException,
    PackagingRange,
    TraceError,
    TraceEvent,
    TraceEventRange,
    TraceImport,
    TraceImportFault,
)
from app.trace.packaging import RANGES, exceptions_in, ranges_holding


class CodeRef(NamedTuple):
    """One code, by its batch and its index in it."""

    batch_id: int
    code_index: int


@dataclass(frozen=True, slots=True)
class EventView:
    """An event as it is told; `dealer` and `store` are codes of ours, `wrong` says why it was declared so."""

    id: int
    event_id: str
    kind: EventKind
    action: Action
    step: Step
    event_time: datetime
    zone_minutes: int
    record_time: datetime
    read_point: str | None
    location: str | None
    dealer: str | None
    store: str | None
    region: str | None
    attributes: dict[str, str]
    recorded_by: str
    wrong: str | None
    wrong_since: datetime | None
    corrected_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shipment:
    """What was shipped together, and where it went: `attributes` may name dealer, order and channel."""

    runs: tuple[Run, ...]
    region: str | None
    attributes: dict[str, str]


def parent_of(session: Session, *, batch_id: int, index: int) -> CodeRef | None:
    """Return the package that a code lies in now, or None (CODE-03). Two look-ups by key."""
    exception = session.execute(
        select(PackagingException.parent_batch_id, PackagingException.parent_index).where(
            PackagingException.child_batch_id == batch_id, PackagingException.child_index == index
        )
    ).first()
    if exception is not None:
        batch, place = exception
        return None if batch is None or place is None else CodeRef(batch, place)
    row = session.execute(
        RANGES.where(PackagingRange.child_batch_id == batch_id, PackagingRange.child_first <= index)
        .order_by(PackagingRange.child_first.desc())
        .limit(1)
    ).first()
    if row is None or row.child_last < index:
        return None
    return CodeRef(row.parent_batch_id, row.parent_first + (index - row.child_first) // _per_package(row))


def packages_of(session: Session, *, batch_id: int, index: int) -> list[CodeRef]:
    """Return the packages around a code, the innermost first: its case, then its pallet."""
    around: list[CodeRef] = []
    found = parent_of(session, batch_id=batch_id, index=index)
    while found is not None:
        around.append(found)
        found = parent_of(session, batch_id=found.batch_id, index=found.code_index)
    return around


def contents(session: Session, *, run: Run) -> list[Run]:
    """Return what lies directly in the packages `run` now, as ranges."""
    rows = session.execute(RANGES.where(ranges_holding(run))).all()
    inside: list[Run] = []
    for row in rows:
        per_package = _per_package(row)
        first, last = max(run.first, row.parent_first), min(run.last, row.parent_last)
        held = Run(
            row.child_batch_id,
            row.child_first + (first - row.parent_first) * per_package,
            row.child_first + (last - row.parent_first + 1) * per_package - 1,
        )
        elsewhere = select(PackagingException.child_index).where(
            PackagingException.child_batch_id == held.batch_id,
            PackagingException.child_index.between(held.first, held.last),
        )
        inside += without(held, session.execute(elsewhere).scalars())
    singles = select(PackagingException.child_batch_id, PackagingException.child_index)
    inside += [
        Run(batch_id, index, index) for batch_id, index in session.execute(singles.where(exceptions_in(run)))
    ]
    return inside


def whole(session: Session, *, runs: Sequence[Run]) -> list[Run]:
    """Return codes with everything that lies in them now, level by level."""
    found, layer = list(runs), list(runs)
    while layer:
        layer = [inner for run in layer for inner in contents(session, run=run)]
        found += layer
    return found


def _per_package(row: Any) -> int:
    return int((row.child_last - row.child_first + 1) // (row.parent_last - row.parent_first + 1))


def _touching(run: Run) -> Any:
    """Return the condition for ranges of events that share a code with `run`: a short look-up a class.

    A range of a class is less than 2^bits longer than one code, so it begins less than that before `run`.
    """
    return and_(
        TraceEventRange.batch_id == run.batch_id,
        or_(
            *(
                and_(
                    TraceEventRange.span_bits == bits,
                    TraceEventRange.first_index.between(run.first - (1 << bits) + 1, run.last),
                )
                for bits in range(INDEX_BITS + 1)
            )
        ),
        TraceEventRange.last_index >= run.first,
    )


_EVENT = (
    select(
        TraceEvent.id,
        TraceEvent.event_id,
        TraceEvent.kind,
        TraceEvent.action,
        TraceEvent.step,
        TraceEvent.event_time,
        TraceEvent.zone_minutes,
        TraceEvent.record_time,
        TraceEvent.read_point,
        TraceEvent.location,
        Dealer.code.label("dealer"),
        Store.code.label("store"),
        TraceEvent.region,
        TraceEvent.attributes,
        TraceEvent.recorded_by,
        TraceError.reason.label("wrong"),
        TraceError.declared_at.label("wrong_since"),
        TraceError.corrected_by,
    )
    .outerjoin(Dealer, Dealer.id == TraceEvent.dealer_id)
    .outerjoin(Store, Store.id == TraceEvent.store_id)
    .outerjoin(TraceError, TraceError.event_id == TraceEvent.id)
)


def events_of(session: Session, *, batch_id: int, index: int, limit: int = 200) -> list[EventView]:
    """Return the events that name a code, the earliest first, at most `limit` (CODE-05)."""
    naming = select(TraceEventRange.event_id).where(_touching(Run(batch_id, index, index)))
    ordered = _EVENT.where(TraceEvent.id.in_(naming)).order_by(TraceEvent.event_time, TraceEvent.id)
    return _views(session, ordered.limit(limit))


def _views(session: Session, wanted: Executable) -> list[EventView]:
    views = []
    for row in session.execute(wanted):
        said = row._asdict()
        said["attributes"] = said["attributes"] or {}
        said["corrected_by"] = tuple(said["corrected_by"] or ())
        views.append(EventView(**said))
    return views


def event_ranges(session: Session, *, event_id: int) -> list[tuple[RangeRole, Run]]:
    """Return what an event (by our id) names, in its order."""
    wanted = (
        select(
            TraceEventRange.role,
            TraceEventRange.batch_id,
            TraceEventRange.first_index,
            TraceEventRange.last_index,
        )
        .where(TraceEventRange.event_id == event_id)
        .order_by(TraceEventRange.number)
    )
    return [(row.role, Run(*row[1:])) for row in session.execute(wanted)]


def parent_in(ranges: Sequence[tuple[RangeRole, Run]], code: CodeRef) -> CodeRef | None:
    """Return the package that a packing event with these ranges put a code into; None when it did not."""
    parents = [run for role, run in ranges if role is RangeRole.PARENT]
    children = [run for role, run in ranges if role is RangeRole.SUBJECT]
    for run in children:
        if parents and run.batch_id == code.batch_id and run.first <= code.code_index <= run.last:
            per_package = run.length // parents[0].length
            return CodeRef(
                parents[0].batch_id, parents[0].first + (code.code_index - run.first) // per_package
            )
    return None


def later_shipments(session: Session, *, run: Run, after: datetime) -> list[Shipment]:
    """Return shipments that happened later than `after` and moved codes of `run`, the earliest first.

    Those that were declared wrong do not count. Each comes with the one range that touches `run`.
    """
    wanted = (
        select(
            TraceEventRange.batch_id,
            TraceEventRange.first_index,
            TraceEventRange.last_index,
            TraceEvent.region,
            TraceEvent.attributes,
            Dealer.code,
        )
        .join(TraceEvent, TraceEvent.id == TraceEventRange.event_id)
        .outerjoin(Dealer, Dealer.id == TraceEvent.dealer_id)
        .outerjoin(TraceError, TraceError.event_id == TraceEvent.id)
        .where(
            _touching(run),
            TraceEvent.step == Step.SHIPPING,
            TraceEvent.event_time > after,
            TraceError.event_id.is_(None),
        )
        .order_by(TraceEvent.event_time, TraceEvent.id)
    )
    return [
        Shipment(
            (Run(row.batch_id, row.first_index, row.last_index),),
            row.region,
            {**(row.attributes or {}), **({"dealer": row.code} if row.code else {})},
        )
        for row in session.execute(wanted)
    ]


class ImportView(NamedTuple):
    """A file of events and how far it was read."""

    id: int
    file_name: str
    records: int
    stored: int
    known: int
    faulty: int
    started_at: datetime
    ended_at: datetime | None
    started_by: str


class FaultView(NamedTuple):
    """What was wrong with the record that ends on `line`."""

    line: int
    code: str
    detail: str


def imports(session: Session, *, limit: int = 50) -> list[ImportView]:
    """Return the imports, the newest first."""
    wanted = select(*(getattr(TraceImport, name) for name in ImportView._fields))
    return [ImportView(*row) for row in session.execute(wanted.order_by(TraceImport.id.desc()).limit(limit))]


def import_faults(session: Session, *, import_id: int, limit: int = 1000) -> list[FaultView]:
    """Return what was wrong with an import's records, by line."""
    wanted = (
        select(TraceImportFault.line, TraceImportFault.code, TraceImportFault.detail)
        .where(TraceImportFault.import_id == import_id)
        .order_by(TraceImportFault.line)
        .limit(limit)
    )
    return [FaultView(*row) for row in session.execute(wanted)]


class DiversionView(NamedTuple):
    """A case of diversion; `dealer` is the code of the dealer that the goods went to."""

    id: int
    batch_id: int
    first_index: int
    last_index: int
    shipped_region: str
    found_region: str
    dealer: str | None
    state: DiversionState
    persons: int
    codes: int
    scans: int
    first_at: datetime
    last_at: datetime
    opened_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class EvidenceView(NamedTuple):
    """A scan that speaks for a case."""

    scan_id: int
    code_index: int
    found_region: str
    person_id: int
    at: datetime


_DIVERSION = select(*(getattr(Diversion, name) for name in DiversionView._fields))


def diversions(
    session: Session, *, state: DiversionState | None = None, before: int | None = None, limit: int = 50
) -> list[DiversionView]:
    """Return cases, the newest first, at most `limit`, with an id below `before` (CODE-06)."""
    wanted = _DIVERSION.order_by(Diversion.id.desc()).limit(limit)
    if state is not None:
        wanted = wanted.where(Diversion.state == state)
    if before is not None:
        wanted = wanted.where(Diversion.id < before)
    return [DiversionView(*row) for row in session.execute(wanted)]


def diversion(session: Session, *, diversion_id: int) -> DiversionView:
    """Return a case; raise UnknownDiversion."""
    row = session.execute(_DIVERSION.where(Diversion.id == diversion_id)).first()
    if row is None:
        raise UnknownDiversion("there is no such case; `saoma trace diversions list` shows them")
    return DiversionView(*row)


def evidence(
    session: Session, *, case: DiversionView, after: EvidenceView | None = None, limit: int = 1000
) -> list[EvidenceView]:
    """Return the scans that speak for a case, the earliest first, those after `after`, at most `limit`."""
    found = DiversionEvidence
    wanted = (
        select(*(getattr(found, name) for name in EvidenceView._fields))
        .where(
            found.batch_id == case.batch_id,
            found.first_index == case.first_index,
            found.found_region == case.found_region,
            found.diversion_id == case.id,
        )
        .order_by(found.at, found.scan_id)
        .limit(limit)
    )
    if after is not None:
        later = or_(found.at > after.at, found.scan_id > after.scan_id)
        wanted = wanted.where(found.at >= after.at, later)
    return [EvidenceView(*row) for row in session.execute(wanted)]
