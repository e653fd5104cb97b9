"""Strict reading of JSON that a person wrote: every fault is listed, none is guessed away.

A rules editor that reports one fault at a time costs its user an afternoon. `Node` walks a document, puts
each fault with its path and a stable code on one shared list, and returns a harmless value of the right
type so that the walk goes on. The caller looks at the list once, at the end, and throws the result away
when it is not empty.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where (`pools[0].weights[1].weight`), a stable code, and what to do."""

    path: str
    code: str
    detail: str

    def to_json(self) -> dict[str, str]:
        """Return the fault as it is shown to the person who wrote the document."""
        return {"path": self.path, "code": self.code, "detail": self.detail}


class Node:
    """A value in the document, with its path and the list that faults go to."""

    __slots__ = ("faults", "path", "value")

    def __init__(self, value: object, path: str, faults: list[Fault]) -> None:
        self.value = value
        self.path = path
        self.faults = faults

    def fault(self, code: str, detail: str) -> None:
        """Record that this value is wrong."""
        self.faults.append(Fault(self.path, code, detail))

    def fields(self, required: Iterable[str] = (), optional: Iterable[str] = ()) -> dict[str, "Node"]:
        """Return the members of an object; unknown and missing ones are faults. Null counts as absent."""
        if not isinstance(self.value, dict):
            self.fault("not_an_object", "an object is expected here")
            return {}
        known = [*required, *optional]
        for name in self.value:
            if name not in known:
                # The name is the user's own text: it goes into the path, which is theirs to read.
                self._child(str(name)[:64]).fault("unknown_field", "this field is not known here")
        for name in required:
            if self.value.get(name) is None:
                self._child(name).fault("missing", "this field is required")
        return {name: self._child(name) for name in known if self.value.get(name) is not None}

    def _child(self, name: str) -> "Node":
        value = self.value.get(name) if isinstance(self.value, dict) else None
        return Node(value, f"{self.path}.{name}" if self.path else name, self.faults)

    def items(self, read: Callable[["Node"], T], *, least: int = 0, most: int = 1000) -> tuple[T, ...]:
        """Return what `read` makes of each element of a list of `least` to `most` elements."""
        if not isinstance(self.value, list):
            self.fault("not_a_list", "a list is expected here")
            return ()
        if not least <= len(self.value) <= most:
            self.fault("wrong_length", f"between {least} and {most} entries are expected")
        return tuple(
            read(Node(value, f"{self.path}[{index}]", self.faults))
            for index, value in enumerate(self.value[:most])
        )

    def distinct(self, read: Callable[["Node"], T], *, least: int = 1) -> tuple[T, ...]:
        """Return the elements of a list in which none may occur twice, in ascending order."""
        values = self.items(read, least=least, most=500)
        if len(set(values)) != len(values):
            self.fault("repeated", "an entry occurs twice")
        return tuple(sorted(set(values)))  # type: ignore[type-var]  # read returns str or int

    def integer(self, least: int, most: int) -> int:
        """Return an integer between `least` and `most`; true and 1.0 are not integers here."""
        if type(self.value) is not int:
            self.fault("not_an_integer", "an integer is expected here")
            return least
        if not least <= self.value <= most:
            self.fault("out_of_range", f"a number from {least} to {most} is expected")
            return least
        return self.value

    def boolean(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self.fault("not_a_boolean", "true or false is expected here")
            return False
        return self.value

    def text(self, most: int, *, least: int = 0) -> str:
        """Return a text of `least` to `most` characters without control characters, trimmed."""
        if not isinstance(self.value, str):
            self.fault("not_a_text", "a text is expected here")
            return ""
        text = self.value.strip()
        if not least <= len(text) <= most:
            self.fault("wrong_length", f"between {least} and {most} characters are expected")
            return ""
        if any(ord(letter) < 32 and letter != "\n" for letter in text) or not _encodes(text):
            self.fault("unprintable", "control characters are not allowed")
            return ""
        return text

    def word(self) -> str:
        """Return a short text that is compared exactly, such as a tag or a product line."""
        return self.text(64, least=1)

    def key(self) -> str:
        """Return a name that the rules refer to: small letters, digits, underscores; 32 at most."""
        if not isinstance(self.value, str) or not _KEY.fullmatch(self.value):
            self.fault(
                "not_a_key", "small letters, digits and underscores, starting with a letter, 32 at most"
            )
            return ""
        return self.value

    def choice(self, kinds: type[E]) -> E:
        """Return the member of `kinds` that is written here."""
        try:
            return kinds(self.value)  # type: ignore[arg-type]  # anything else raises ValueError
        except ValueError:
            self.fault("unknown_choice", f"one of {', '.join(kinds)} is expected")
            return next(iter(kinds))

    def moment(self) -> datetime:
        """Return an RFC 3339 moment, in UTC; an offset is required, since a wall clock names no moment."""
        if isinstance(self.value, str) and _MOMENT.fullmatch(self.value):
            try:
                return datetime.fromisoformat(self.value).astimezone(UTC)
            except (ValueError, OverflowError):
                pass
        self.fault(
            "not_a_moment", "a date and time with offset is expected, such as 2026-05-01T00:00:00+08:00"
        )
        return _NEVER

    def time_of_day(self) -> time:
        """Return a time of day written as HH:MM."""
        if not isinstance(self.value, str) or not _TIME.fullmatch(self.value):
            self.fault("not_a_time", "a time of day is expected, such as 18:30")
            return time()
        return time.fromisoformat(self.value)


def write_moment(moment: datetime) -> str:
    """Return the one way in which a moment is written where a hash is taken: UTC, "Z", no zeros to spare."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _encodes(text: str) -> bool:
    """Tell whether the text is valid Unicode: JSON can smuggle in half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
