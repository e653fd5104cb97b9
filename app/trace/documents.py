"""Reading files of events piece by piece: CSV of our own columns, and EPCIS 2.0 documents in JSON.

Memory holds one record at a time, however large the file. Each record comes with the line that it ends on,
and either as an event or as what is wrong with it. A file that is broken as a whole ends with
UnreadableFile; what came before it stands.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from app.kernel.errors import DomainError
from app.trace.epcis import read_event, read_moment
from app.trace.errors import InvalidEvent, UnreadableFile
from app.trace.events import Action, Declaration, Event, EventKind, Run, Step, check

COLUMNS = (
    "event_id",
    "step",
    "event_time",
    "batch",
    "first",
    "last",
    "code",
    "parent_batch",
    "parent_first",
    "parent_last",
    "parent_code",
    "dealer",
    "store",
    "region",
    "order",
    "channel",
    "read_point",
    "location",
    "error_reason",
    "error_time",
    "corrected_by",
)
"""The columns of the CSV form; step and event_time are needed, the others may be left out."""

_CHUNK = 1 << 16
_MAX_EVENT = 1 << 23
_ACTIONS = {
    Step.COMMISSIONING: Action.ADD,
    Step.PACKING: Action.ADD,
    Step.UNPACKING: Action.DELETE,
    Step.SHIPPING: Action.OBSERVE,
    Step.RECEIVING: Action.OBSERVE,
    Step.RETAIL_SELLING: Action.OBSERVE,
}


@dataclass(frozen=True, slots=True)
class Record:
    """What one record of a file says: an event, or a refusal."""

    line: int
    said: Event | DomainError


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a file: CSV by its name's end, EPCIS otherwise; raise UnreadableFile."""
    is_csv = path.suffix.lower() == ".csv"
    with path.open(encoding="utf-8-sig", newline="" if is_csv else None) as file:
        try:
            yield from read_csv(file) if is_csv else read_epcis(file)
        except UnicodeDecodeError:
            raise UnreadableFile("the file is not UTF-8; save it as “CSV UTF-8”, or as JSON") from None


def read_csv(file: TextIO) -> Iterator[Record]:
    """Yield the records of a CSV file with a first line of column names; raise UnreadableFile."""
    reader = csv.DictReader(file, strict=True)
    try:
        names = set(reader.fieldnames or ())
        if not {"step", "event_time"} <= names <= set(COLUMNS):
            raise UnreadableFile(f"the first line names step, event_time and any of: {', '.join(COLUMNS)}")
        for row in reader:
            yield Record(reader.line_num, _said(row))
    except csv.Error as error:
        raise UnreadableFile(f"line {reader.line_num}: {error}") from None


def _said(row: Mapping[str, str]) -> Event | DomainError:
    try:
        return check(_event(row))
    except DomainError as refusal:
        return refusal


def _event(row: Mapping[str, Any]) -> Event:
    if None in row or None in row.values():
        raise InvalidEvent("the line has more or fewer fields than the first line")
    given = {name: text.strip() for name, text in row.items() if text.strip()}
    if given.get("step") not in set(Step):
        raise InvalidEvent(f"step is one of {', '.join(Step)}")
    step = Step(given["step"])
    moment = read_moment(given.get("event_time"), "event_time")
    offset = moment.utcoffset()
    assert offset is not None
    parents, parent_codes = _run(given, "parent_"), _listed(given, "parent_code")
    error = None
    if "error_reason" in given:
        error = Declaration(
            given["error_reason"],
            read_moment(given.get("error_time"), "error_time"),
            tuple(given.get("corrected_by", "").split()),
        )
    return Event(
        kind=EventKind.AGGREGATION if parents or parent_codes else EventKind.OBJECT,
        action=_ACTIONS[step],
        step=step,
        event_time=moment,
        zone_minutes=int(offset.total_seconds() // 60),
        event_id=given.get("event_id", ""),
        runs=_run(given, ""),
        codes=_listed(given, "code"),
        parents=parents,
        parent_codes=parent_codes,
        attributes={name: given[name] for name in ("order", "channel") if name in given},
        error=error,
        **{name: given.get(name) for name in ("read_point", "location", "dealer", "store", "region")},
    )


def _listed(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(given.get(name, "").split())


def _run(given: Mapping[str, str], prefix: str) -> tuple[Run, ...]:
    texts = [given.get(prefix + name, "") for name in ("batch", "first", "last")]
    if not any(texts):
        return ()
    if not all(text.isascii() and text.isdigit() and len(text) <= 9 for text in texts):
        raise InvalidEvent(f"{prefix}batch, {prefix}first and {prefix}last are whole numbers, all three")
    return (Run(*map(int, texts)),)


def read_epcis(file: TextIO) -> Iterator[Record]:
    """Yield the events of an EPCIS 2.0 document, in their order; raise UnreadableFile."""
    stream = _Json(file)
    if not (stream.enter("epcisBody") and stream.enter("eventList", array=True)):
        raise UnreadableFile("an EPCIS document has an eventList in its epcisBody")
    while stream.more():
        said = stream.value()
        try:
            event: Event | DomainError = check(read_event(said))
        except DomainError as refusal:
            event = refusal
        yield Record(stream.line, event)


class _Json:
    """Walks through a JSON text without holding it: into objects by key, over an array value by value."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder(parse_constant=self._refuse_constant)
        self._text = ""
        self._place = 0
        self._ended = False
        self._passed_lines = 0
        self._begun = False

    @property
    def line(self) -> int:
        """Return the line that has been read up to, from 1."""
        return 1 + self._passed_lines + self._text.count("\n", 0, self._place)

    def enter(self, key: str, *, array: bool = False) -> bool:
        """Go into the object at hand and on to the value of `key`; tell whether it was there."""
        self._take("{")
        while self._peek() != "}":
            name = self.value()
            self._take(":")
            if name == key:
                if array:
                    self._take("[")
                self._begun = False
                return True
            self.value()
            if self._peek() == ",":
                self._place += 1
        return False

    def more(self) -> bool:
        """Go on to the next value of the array; False at its end."""
        if self._peek() == "]":
            return False
        if self._begun:
            self._take(",")
        self._begun = True
        return True

    def value(self) -> object:
        """Return the value at hand, read whole."""
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except RecursionError:
                raise self._broken("is nested too deep") from None
            except ValueError:
                value, end = None, -1  # not whole yet, or broken
            # A number at the end of what was read may go on.
            if end >= 0 and (end < len(self._text) or self._ended):
                self._place = end
                return value
            if self._ended:
                raise self._broken("is no JSON")
            if len(self._text) - self._place > _MAX_EVENT:
                raise self._broken("is no JSON, or has an event larger than 8 MB")
            self._fill()

    def _take(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._broken(f"has no {sign} where one is needed")
        self._place += 1

    def _peek(self) -> str:
        """Return the next sign that is no blank, "" at the end, and stand there."""
        while True:
            while self._place < len(self._text) and self._text[self._place] in " \t\r\n":
                self._place += 1
            if self._place < len(self._text):
                return self._text[self._place]
            if self._ended:
                return ""
            self._fill()

    def _fill(self) -> None:
        """Read on; forget what was passed. A value that is not whole yet doubles what is read."""
        self._passed_lines += self._text.count("\n", 0, self._place)
        kept = self._text[self._place :]
        piece = self._file.read(max(_CHUNK, len(kept)))
        self._ended = not piece
        self._text, self._place = kept + piece, 0

    def _broken(self, what: str) -> UnreadableFile:
        return UnreadableFile(f"line {self.line}: the file {what}")

    @staticmethod
    def _refuse_constant(_name: str) -> object:
        raise ValueError("JSON has no such number")
