"""Recording events and saying that one was wrong.

An event is a record of what somebody says has happened; it also moves what is true now. Packing and
unpacking change the packaging, shipping marks the codes as shipped, with all that lies in the packages: the
mark that draws, scans and diversion read (app.codes.operations.ship) is the only one there is.

Events may come late. A shipment that happened before one that is known already is recorded, and the mark
stays with the later of the two.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.codes import operations as codes
from app.codes.book import CodeBook
from app.codes.queries import locate
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.organisation.queries import DealerView, StoreView, dealer_by_code, store_by_code
from app.trace import packaging
from app.trace.errors import AlreadyDeclared, EventIdTaken, InvalidEvent, UnknownEvent
from app.trace.events import (
    Declaration,
    Event,
    EventKind,
    RangeRole,
    Run,
    Step,
    check,
    content_sha256,
    identified,
    overlap,
    runs_of,
)
from app.trace.models import TraceError, TraceEvent, TraceEventRange
from app.trace.queries import Shipment, later_shipments, whole


class Recorded(StrEnum):
    """What recording an event came to."""

    STORED = "stored"
    KNOWN = "known"


def read_codes(session: Session, *, book: CodeBook, events: Sequence[Event]) -> list[Event | InvalidEvent]:
    """Return the events with their labels read, each as an event or as what is wrong with it.

    One statement for all of them.
    """
    texts = {text for event in events for text in (*event.codes, *event.parent_codes)}
    located = locate(session, book=book, texts=texts) if texts else {}
    found: list[Event | InvalidEvent] = []
    for event in events:
        strange = sum(text not in located for text in (*event.codes, *event.parent_codes))
        if strange:
            found.append(InvalidEvent(f"{strange} of the codes that it names are not ours"))
            continue
        found.append(
            replace(
                event,
                runs=(*event.runs, *runs_of(located[text] for text in event.codes)),
                parents=(*event.parents, *runs_of(located[text] for text in event.parent_codes)),
                codes=(),
                parent_codes=(),
            )
        )
    return found


def record(session: Session, *, event: Event, actor: Actor, now: datetime) -> Recorded:
    """Record an event whose labels have been read (`read_codes`), once per event id (CODE-05).

    An event that comes with an error declaration is recorded, or was before, and changes nothing but that.
    Raise InvalidEvent, EventIdTaken when another event has its id, UnknownDealer, UnknownStore, and what
    packing, unpacking and shipping refuse; the caller rolls back then.
    """
    event = identified(check(event))
    dealer = dealer_by_code(session, code=event.dealer) if event.dealer else None
    store = store_by_code(session, code=event.store) if event.store else None
    if store is not None and dealer is not None and store.dealer_id != dealer.id:
        raise InvalidEvent("the store is supplied by another dealer than the event names")
    if store is not None and dealer is None:
        dealer = dealer_by_code(session, code=store.dealer_code)
    event_row = _event_row(event, dealer, store, actor, now)
    is_new = insert_once(session, insert(TraceEvent), event_row)
    if is_new:
        moved = _moved(session, event)
        _add_ranges(session, event_row["id"], event, moved)
        if event.error is None:
            shipment = Shipment(moved, event_row["region"], _attributes(event, dealer))
            _apply(session, event, shipment, actor, now)
    else:
        _require_same(session, event)
    if event.error is not None:
        declare_error(session, event_id=event.event_id, error=event.error, actor=actor, now=now)
    return Recorded.STORED if is_new else Recorded.KNOWN


def declare_error(
    session: Session, *, event_id: str, error: Declaration, actor: Actor, now: datetime
) -> None:
    """Say that an event was wrong: it stays and is shown as wrong; the events that say it right follow it.

    What is true now (packages, shipments) is put right by those, not by this. Raise UnknownEvent, and
    AlreadyDeclared when it was said before in other words.
    """
    known = session.execute(select(TraceEvent.id).where(TraceEvent.event_id == event_id)).scalar()
    if known is None:
        raise UnknownEvent("there is no event with this id")
    said = {"reason": error.reason, "corrected_by": list(error.corrected_by)}
    row = {"declared_at": error.declared_at, "record_time": now, "recorded_by": actor.label}
    if insert_once(session, insert(TraceError), {"event_id": known, **said, **row}):
        return
    before = session.execute(
        select(TraceError.reason, TraceError.corrected_by).where(TraceError.event_id == known)
    ).one()
    if before._asdict() != said:
        raise AlreadyDeclared("the event was declared wrong before, for another reason")


def _event_row(
    event: Event, dealer: DealerView | None, store: StoreView | None, actor: Actor, now: datetime
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "event_id": event.event_id,
        "content_sha256": content_sha256(event),
        "kind": event.kind,
        "action": event.action,
        "step": event.step,
        "event_time": event.event_time,
        "zone_minutes": event.zone_minutes,
        "record_time": now,
        "read_point": event.read_point,
        "location": event.location,
        "dealer_id": dealer.id if dealer else None,
        "store_id": store.id if store else None,
        "region": _region(event, dealer, store),
        "attributes": event.attributes or None,
        "recorded_by": actor.label,
    }


def _region(event: Event, dealer: DealerView | None, store: StoreView | None) -> str | None:
    """Return where it went: as was said, where the store is, or the only region of the dealer."""
    if event.region is not None or event.step is not Step.SHIPPING:
        return event.region
    if store is not None:
        return store.region
    return dealer.regions[0] if dealer is not None and len(dealer.regions) == 1 else None


def _attributes(event: Event, dealer: DealerView | None) -> dict[str, str]:
    return {**event.attributes, **({"dealer": dealer.code} if dealer else {})}


def _moved(session: Session, event: Event) -> tuple[Run, ...]:
    """Return what an event moved: what it names, with all that lay in it; nothing for packing and making."""
    if event.step in {Step.COMMISSIONING, Step.PACKING, Step.UNPACKING}:
        return ()
    named = event.parents if event.kind is EventKind.AGGREGATION else event.runs
    return tuple(whole(session, runs=named))


def _add_ranges(session: Session, event_id: int, event: Event, moved: Sequence[Run]) -> None:
    # The contents are kept too: an item was shipped in its case, whatever case it lies in later.
    said = {*event.runs, *event.parents}
    named = [
        *((RangeRole.SUBJECT, run) for run in event.runs),
        *((RangeRole.PARENT, run) for run in event.parents),
        *((RangeRole.CONTENT, run) for run in moved if run not in said),
    ]
    rows = [
        {
            "event_id": event_id,
            "number": number,
            "role": role,
            "batch_id": run.batch_id,
            "span_bits": run.span_bits,
            "first_index": run.first,
            "last_index": run.last,
        }
        for number, (role, run) in enumerate(named)
    ]
    session.execute(insert(TraceEventRange), rows)


def _require_same(session: Session, event: Event) -> None:
    known = select(TraceEvent.content_sha256).where(TraceEvent.event_id == event.event_id)
    if session.execute(known).scalar_one() != content_sha256(event):
        raise EventIdTaken(
            "another event has this id; declare that one wrong and give the new one its own id"
        )


def _apply(session: Session, event: Event, shipment: Shipment, actor: Actor, now: datetime) -> None:
    """Make true now what the event says."""
    if event.step is Step.SHIPPING:
        _ship(session, event, shipment, actor, now)
    elif event.step is Step.PACKING:
        _pack(session, event)
    elif event.step is Step.UNPACKING and not event.runs:
        packaging.unpack(session, parent=event.parents[0])
    elif event.step is Step.UNPACKING:
        for run in event.runs:
            packaging.take_out(session, child=run)


def _pack(session: Session, event: Event) -> None:
    parent = event.parents[0]
    if parent.length > 1 and len(event.runs) > 1:
        raise InvalidEvent("a range of packages is packed with one range of codes")
    for run in event.runs:
        packaging.pack(session, parent=parent, child=run)


def _ship(session: Session, event: Event, shipment: Shipment, actor: Actor, now: datetime) -> None:
    # Whoever ships some of these codes at the same time waits here, and finds this event when it goes on.
    codes.lock_batches(session, batch_ids={run.batch_id for run in shipment.runs})
    for run in shipment.runs:
        _mark_shipped(session, run, shipment, actor, now)
        for later in later_shipments(session, run=run, after=event.event_time):
            for theirs in later.runs:
                shared = overlap(run, theirs)
                if shared is not None:
                    _mark_shipped(session, shared, later, actor, now)


def _mark_shipped(session: Session, run: Run, shipment: Shipment, actor: Actor, now: datetime) -> None:
    codes.ship(
        session,
        batch_id=run.batch_id,
        region=shipment.region,
        attributes=shipment.attributes,
        first_index=run.first,
        last_index=run.last,
        actor=actor,
        now=now,
    )
