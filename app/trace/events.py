"""What an event is, and which events there can be: EPCIS 2.0's terms over ranges of codes, pure.

Object events say that things were made, shipped, received or sold; aggregation events that things were put
into packages or taken out. An event names codes as ranges, or as codes that were read from labels; both
may come in one event.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from app.organisation.regions import is_adcode
from app.trace.errors import InvalidEvent

MAX_CODES = 20_000
"""How many single codes one event may name; larger ones name ranges."""

_EVENT_ID = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]{1,150}")
_MAX_PLACE = 128
_MAX_ATTRIBUTE = 64
_MAX_REASON = 200
_MAX_ZONE_MINUTES = 14 * 60


class EventKind(StrEnum):
    """What sort of event it is."""

    OBJECT = "object"
    AGGREGATION = "aggregation"


class Action(StrEnum):
    """How an event relates to the life of what it names."""

    ADD = "add"
    OBSERVE = "observe"
    DELETE = "delete"


class Step(StrEnum):
    """The business step, by its name in GS1's Core Business Vocabulary."""

    COMMISSIONING = "commissioning"
    PACKING = "packing"
    UNPACKING = "unpacking"
    SHIPPING = "shipping"
    RECEIVING = "receiving"
    RETAIL_SELLING = "retail_selling"


class RangeRole(StrEnum):
    """What a range is in an event: named itself, the packages it was put into, or what lay in those named."""

    SUBJECT = "subject"
    PARENT = "parent"
    CONTENT = "content"


STEPS: dict[tuple[EventKind, Action], frozenset[Step]] = {
    (EventKind.OBJECT, Action.ADD): frozenset({Step.COMMISSIONING}),
    (EventKind.OBJECT, Action.OBSERVE): frozenset({Step.SHIPPING, Step.RECEIVING, Step.RETAIL_SELLING}),
    (EventKind.OBJECT, Action.DELETE): frozenset({Step.RETAIL_SELLING}),
    (EventKind.AGGREGATION, Action.ADD): frozenset({Step.PACKING}),
    (EventKind.AGGREGATION, Action.OBSERVE): frozenset({Step.SHIPPING, Step.RECEIVING}),
    (EventKind.AGGREGATION, Action.DELETE): frozenset({Step.UNPACKING}),
}
"""Which steps go with which kind and action."""


class Run(NamedTuple):
    """Codes of one batch from `first` to `last`, both included."""

    batch_id: int
    first: int
    last: int

    @property
    def length(self) -> int:
        """Return how many codes it holds."""
        return self.last - self.first + 1

    @property
    def span_bits(self) -> int:
        """Return the length class that it is found by (app.trace.models)."""
        return (self.last - self.first).bit_length()


@dataclass(frozen=True, slots=True)
class Declaration:
    """That an event was wrong, why, and which events say it right."""

    reason: str
    declared_at: datetime
    corrected_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was told; `codes` and `parent_codes` are texts of labels that are still to be read.

    `dealer` and `store` are codes of ours and say to whom it went, or where it was received or sold;
    `region` is the adcode of a shipment. `zone_minutes` is the offset of the place, east of UTC.
    """

    kind: EventKind
    action: Action
    step: Step
    event_time: datetime
    zone_minutes: int
    event_id: str = ""
    runs: tuple[Run, ...] = ()
    codes: tuple[str, ...] = ()
    parents: tuple[Run, ...] = ()
    parent_codes: tuple[str, ...] = ()
    read_point: str | None = None
    location: str | None = None
    dealer: str | None = None
    store: str | None = None
    region: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    error: Declaration | None = None


def check(event: Event) -> Event:
    """Return the event if there can be such a one; raise InvalidEvent."""
    if event.step not in STEPS[event.kind, event.action]:
        raise InvalidEvent(f"an {event.kind} event of {event.action} is not {event.step}")
    _check_codes(event)
    if not -_MAX_ZONE_MINUTES <= event.zone_minutes <= _MAX_ZONE_MINUTES:
        raise InvalidEvent("a time zone lies within 14 hours of UTC")
    for place in (event.read_point, event.location):
        if place is not None and not 1 <= len(place) <= _MAX_PLACE:
            raise InvalidEvent(f"a read point and a location have 1 to {_MAX_PLACE} characters")
    if event.region is not None and not is_adcode(event.region):
        raise InvalidEvent("a region is a six-digit code such as 310000")
    if any(not 1 <= len(value) <= _MAX_ATTRIBUTE for value in event.attributes.values()):
        raise InvalidEvent(f"order and channel have 1 to {_MAX_ATTRIBUTE} characters")
    if event.error is not None and not 1 <= len(event.error.reason) <= _MAX_REASON:
        raise InvalidEvent(f"an error declaration has a reason of 1 to {_MAX_REASON} characters")
    if event.event_id and not _EVENT_ID.fullmatch(event.event_id):
        raise InvalidEvent("an event id is a URI of at most 160 plain letters, such as urn:uuid:…")
    return event


def _check_codes(event: Event) -> None:
    if len(event.codes) > MAX_CODES or len(event.runs) > MAX_CODES:
        raise InvalidEvent(f"one event names at most {MAX_CODES:,} codes one by one; use a range")
    if any(not 0 <= run.first <= run.last for run in (*event.runs, *event.parents)):
        raise InvalidEvent("a range goes from its first index to its last")
    named, packages = event.runs or event.codes, event.parents or event.parent_codes
    if event.kind is EventKind.OBJECT:
        if packages or not named:
            raise InvalidEvent("an object event names codes, and no package around them")
    elif len(event.parents) + len(event.parent_codes) != 1:
        raise InvalidEvent("an aggregation event names one package or one range of packages")
    elif event.action is Action.ADD and not named:
        raise InvalidEvent("packing names what is packed")


def identified(event: Event) -> Event:
    """Return an event whose codes have been read, with an id made from its content if it brought none.

    The same words give the same id, so that a file without ids can be read twice too.
    """
    return event if event.event_id else replace(event, event_id=f"urn:saoma:event:{content_sha256(event)}")


def content_sha256(event: Event) -> str:
    """Return a digest of what the event says happened: neither its id nor that it was declared wrong."""
    said = {name: value for name, value in asdict(event).items() if name not in {"event_id", "error"}}
    said["event_time"] = event.event_time.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def runs_of(codes: Iterable[tuple[int, int]]) -> list[Run]:
    """Return single codes (batch, index) as the fewest ranges, ascending."""
    runs: list[Run] = []
    for batch_id, index in sorted(set(codes)):
        last = runs[-1] if runs else None
        if last is not None and last.batch_id == batch_id and last.last + 1 == index:
            runs[-1] = Run(batch_id, last.first, index)
        else:
            runs.append(Run(batch_id, index, index))
    return runs


def without(run: Run, taken: Iterable[int]) -> list[Run]:
    """Return what is left of `run` without the indexes `taken`."""
    left, first = [], run.first
    for index in sorted(taken):
        if run.first <= index <= run.last:
            if first < index:
                left.append(Run(run.batch_id, first, index - 1))
            first = index + 1
    if first <= run.last:
        left.append(Run(run.batch_id, first, run.last))
    return left


def overlap(left: Run, right: Run) -> Run | None:
    """Return what two ranges share, or None."""
    first, last = max(left.first, right.first), min(left.last, right.last)
    return Run(left.batch_id, first, last) if left.batch_id == right.batch_id and first <= last else None
