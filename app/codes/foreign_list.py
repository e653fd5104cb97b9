"""Reading a list of codes that somebody else printed, and telling whether they can be guessed; pure.

Our own codes cannot be made up: a guess fails at the tag. Of foreign codes we know nothing but the list, so
their only strength is how thinly they are sown. Two measures tell it in constant memory: how many texts
there are with, at every place, a letter that some code has there, and how often the numbers in neighbours
are equally far apart. A running number fails the first, also behind a prefix or when shuffled; one that
takes wide steps fails the second.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from string import digits
from urllib.parse import unquote

from app.codes.errors import InvalidForeignList

MAX_TEXT = 256
TEXTS_A_CODE = 1_000_000
"""So many texts of the same look must there be for each code: a guess hits once in a million tries."""
_SAME_STEP_SHARE = 0.1


def foreign_text(text: str) -> str | None:
    """Return what is looked up for a scanned text, decoded once if it is an encoded link; None if nothing."""
    text = text.strip()
    if text[:10].lower().startswith(("https%3a", "http%3a")):
        text = unquote(text, errors="replace")
    return text if 1 <= len(text) <= MAX_TEXT and text.isprintable() else None


def read_list(path: Path) -> Iterator[str]:
    """Yield the codes of a text file, one a line, in its order; raise InvalidForeignList with the line."""
    with path.open(encoding="utf-8-sig") as file:
        try:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                text = foreign_text(line)
                if text is None:
                    fault = f"line {number}: a code has 1 to {MAX_TEXT} printable characters"
                    raise InvalidForeignList(fault)
                yield text
        except UnicodeDecodeError:
            raise InvalidForeignList("the file is not UTF-8 text with a code a line") from None


@dataclass
class Strength:
    """How thinly the codes of a list are sown."""

    codes: int = 0
    _letters: dict[int, list[set[str]]] = field(default_factory=dict)
    _last: int | None = None
    _step: int | None = None
    _same_steps: int = 0

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Strength":
        """Measure a list, read once."""
        found = cls()
        for text in texts:
            found._add(text)
        return found

    @property
    def guessable(self) -> bool:
        """Tell whether somebody who has seen some codes can make up others."""
        texts = sum(prod(map(len, places)) for places in self._letters.values())
        return texts < TEXTS_A_CODE * self.codes or self._same_steps > _SAME_STEP_SHARE * self.codes

    def _add(self, text: str) -> None:
        self.codes += 1
        places = self._letters.setdefault(len(text), [set() for _ in text])
        for place, letter in zip(places, text, strict=True):
            place.add(letter)
        number = int("".join(letter for letter in text if letter in digits) or "0")
        step = None if self._last is None else number - self._last
        self._same_steps += bool(step) and step == self._step
        self._last, self._step = number, step
