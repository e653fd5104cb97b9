"""Tables of the trace room: what is packed in what, what happened to codes, and which files said so.

Everything names ranges of indexes. A line that packs a hundred thousand cases of 24 is one row of
`packaging_ranges`: case k of the range holds the k-th 24 items of the other. What differs from it, an item
taken out or put elsewhere, is a row of its own in `packaging_exceptions`.

Events are only added. Which of them concern a code asks for the ranges that hold an index, and ranges of
events overlap; so each carries the number of bits of its length. Ranges of one length class that hold an
index begin close before it, and 28 short look-ups in one index find them all, however many there are.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from app.codes import models as _  # noqa: F401 - a foreign key needs its table
from app.db.base import (
    Base,
    big_int,
    enum_check,
    enum_column,
    id_column,
    json_column,
    moment,
    ref,
    small_int,
    text_column,
)
from app.trace.diversion import DiversionState
from app.trace.events import Action, EventKind, RangeRole, Step


class PackagingRange(Base):
    """Codes that lie evenly in packages now; ranges of children never overlap.

    Ranges of parents of one batch are equal or disjoint, so that one look-up finds what a package holds.
    """

    __tablename__ = "packaging_ranges"
    __table_args__ = (
        CheckConstraint(
            "child_first >= 0 AND child_first <= child_last AND parent_first >= 0"
            " AND parent_first <= parent_last",
            name="indexes",
        ),
        Index(None, "parent_batch_id", "parent_first"),
    )
    child_batch_id: Mapped[int] = ref("code_batches.id", primary_key=True)
    child_first: Mapped[int] = small_int(primary_key=True)
    child_last: Mapped[int] = small_int()
    parent_batch_id: Mapped[int] = ref("code_batches.id")
    parent_first: Mapped[int] = small_int()
    parent_last: Mapped[int] = small_int()


class PackagingException(Base):
    """A code that lies elsewhere than its range says; without a parent it lies in no package."""

    __tablename__ = "packaging_exceptions"
    __table_args__ = (Index(None, "parent_batch_id", "parent_index"),)
    child_batch_id: Mapped[int] = ref(primary_key=True)
    child_index: Mapped[int] = small_int(primary_key=True)
    parent_batch_id: Mapped[int | None] = ref(nullable=True)
    parent_index: Mapped[int | None] = small_int(nullable=True)


class TraceEvent(Base):
    """An event in the terms of EPCIS 2.0; rows are only added."""

    __tablename__ = "trace_events"
    __table_args__ = (
        enum_check("kind", EventKind),
        enum_check("action", Action),
        enum_check("step", Step),
    )
    id: Mapped[int] = id_column()
    event_id: Mapped[str] = text_column(160, exact=True, unique=True, doc="eventID, a URI")
    content_sha256: Mapped[str] = text_column(64, exact=True, doc="tells a repeat from another event")
    kind: Mapped[EventKind] = enum_column(EventKind)
    action: Mapped[Action] = enum_column(Action)
    step: Mapped[Step] = enum_column(Step)
    event_time: Mapped[datetime] = moment()
    zone_minutes: Mapped[int] = small_int(doc="eventTimeZoneOffset, minutes east of UTC")
    record_time: Mapped[datetime] = moment()
    read_point: Mapped[str | None] = text_column(128, exact=True, nullable=True)
    location: Mapped[str | None] = text_column(128, exact=True, nullable=True, doc="bizLocation")
    dealer_id: Mapped[int | None] = ref("dealers.id", nullable=True, doc="to whom it went, or who had it")
    store_id: Mapped[int | None] = ref("stores.id", nullable=True)
    region: Mapped[str | None] = text_column(6, exact=True, nullable=True, doc="adcode, of a shipment")
    attributes: Mapped[dict[str, str] | None] = json_column(nullable=True, doc="order, channel")
    recorded_by: Mapped[str] = text_column(64)


class TraceEventRange(Base):
    """A range of codes that an event is about."""

    __tablename__ = "trace_event_ranges"
    __table_args__ = (
        enum_check("role", RangeRole),
        CheckConstraint("first_index >= 0 AND first_index <= last_index", name="indexes"),
        Index(None, "batch_id", "span_bits", "first_index"),
    )
    event_id: Mapped[int] = ref("trace_events.id", primary_key=True)
    number: Mapped[int] = small_int(primary_key=True)
    role: Mapped[RangeRole] = enum_column(RangeRole)
    batch_id: Mapped[int] = ref()
    span_bits: Mapped[int] = small_int(doc="bits of (last_index - first_index)")
    first_index: Mapped[int] = small_int()
    last_index: Mapped[int] = small_int()


class TraceError(Base):
    """An event that was wrong (EPCIS's error declaration): it stays, and is said to be wrong."""

    __tablename__ = "trace_errors"
    event_id: Mapped[int] = ref("trace_events.id", primary_key=True)
    reason: Mapped[str] = text_column(200)
    corrected_by: Mapped[list[Any]] = json_column(doc="event ids that say it right")
    declared_at: Mapped[datetime] = moment()
    record_time: Mapped[datetime] = moment()
    recorded_by: Mapped[str] = text_column(64)


class TraceImport(Base):
    """A file of events and how far it was read; the same bytes are one import."""

    __tablename__ = "trace_imports"
    id: Mapped[int] = id_column()
    file_sha256: Mapped[str] = text_column(64, exact=True, unique=True)
    file_name: Mapped[str] = text_column(128)
    records: Mapped[int] = big_int(doc="records read so far, a count")
    stored: Mapped[int] = big_int(doc="events that were new")
    known: Mapped[int] = big_int(doc="events that had been stored before")
    faulty: Mapped[int] = big_int(doc="records that were refused")
    started_at: Mapped[datetime] = moment()
    ended_at: Mapped[datetime | None] = moment(nullable=True)
    started_by: Mapped[str] = text_column(64)


class TraceImportFault(Base):
    """What was wrong with a record of a file, by its line."""

    __tablename__ = "trace_import_faults"
    __table_args__ = (Index(None, "import_id", "line"),)
    id: Mapped[int] = id_column()
    import_id: Mapped[int] = ref("trace_imports.id")
    line: Mapped[int] = big_int()
    code: Mapped[str] = text_column(48, exact=True)
    detail: Mapped[str] = text_column(300)


class TraceWatermark(Base):
    """How far a job has read the scans; its row is the lock of the job."""

    __tablename__ = "trace_watermarks"
    name: Mapped[str] = text_column(32, exact=True, primary_key=True)
    scan_id: Mapped[int] = ref(doc="the last scan that was read")
    at: Mapped[datetime] = moment()


class DiversionEvidence(Base):
    """A scan in a region that the code was not shipped to; rows are only added, then given to a case.

    A case is about one group of goods and one region, so the index of the groups finds its evidence too.
    """

    __tablename__ = "diversion_evidence"
    __table_args__ = (Index(None, "batch_id", "first_index", "found_region", "at"),)
    scan_id: Mapped[int] = ref(primary_key=True)
    batch_id: Mapped[int] = ref()
    first_index: Mapped[int] = small_int(doc="of the range that was shipped together")
    shipped_region: Mapped[str] = text_column(6, exact=True, doc="adcode")
    found_region: Mapped[str] = text_column(6, exact=True, doc="adcode of the prefecture")
    person_id: Mapped[int] = ref()
    code_index: Mapped[int] = small_int()
    at: Mapped[datetime] = moment()
    diversion_id: Mapped[int | None] = ref(nullable=True)


class Diversion(Base):
    """A case: goods of one shipment turn up in one other region. While it is open, `open_key` is unique."""

    __tablename__ = "diversions"
    __table_args__ = (
        enum_check("state", DiversionState),
        CheckConstraint("first_index >= 0 AND first_index <= last_index", name="indexes"),
        Index(None, "state", "id"),
    )
    id: Mapped[int] = id_column()
    batch_id: Mapped[int] = ref("code_batches.id")
    first_index: Mapped[int] = small_int()
    last_index: Mapped[int] = small_int()
    shipped_region: Mapped[str] = text_column(6, exact=True, doc="adcode")
    found_region: Mapped[str] = text_column(6, exact=True, doc="adcode of the prefecture")
    dealer: Mapped[str | None] = text_column(32, exact=True, nullable=True, doc="code of the dealer")
    state: Mapped[DiversionState] = enum_column(DiversionState)
    open_key: Mapped[str | None] = text_column(64, exact=True, nullable=True, unique=True)
    persons: Mapped[int] = big_int(doc="persons in the evidence, a count")
    codes: Mapped[int] = big_int(doc="codes in the evidence, a count")
    scans: Mapped[int] = big_int(doc="scans in the evidence, a count")
    first_at: Mapped[datetime] = moment()
    last_at: Mapped[datetime] = moment()
    rules: Mapped[dict[str, int]] = json_column(doc="persons, codes and days that opened it")
    opened_at: Mapped[datetime] = moment()
    decided_at: Mapped[datetime | None] = moment(nullable=True)
    decided_by: Mapped[str | None] = text_column(64, nullable=True)
    reason: Mapped[str | None] = text_column(200, nullable=True)
