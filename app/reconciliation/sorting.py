"""Sorting more texts than memory holds: sorted runs on disk, merged when they are read.

A bill of a million lines comes in the order of time, our book in the order of bill numbers. To lay one
beside the other, one has to be sorted; a staging table would do it too, at the price of writing a million
rows that nobody needs afterwards.
"""

import heapq
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

RUN = 100_000


class Sorter:
    """Takes texts without line breaks in any order, gives them back sorted by code point, once."""

    def __init__(self, *, run: int = RUN) -> None:
        self._run = run
        self._waiting: list[str] = []
        self._runs: list[IO[str]] = []
        self._files = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, text: str) -> None:
        """Take one text."""
        self._waiting.append(text)
        if len(self._waiting) >= self._run:
            self._spill()

    def __iter__(self) -> Iterator[str]:
        """Yield all texts in order."""
        self._waiting.sort()
        for file in self._runs:
            file.seek(0)
        return heapq.merge(self._waiting, *(_texts(file) for file in self._runs))

    def _spill(self) -> None:
        self._waiting.sort()
        # Closed with the others at the end.
        file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115
        self._files.enter_context(file)
        file.writelines(f"{text}\n" for text in self._waiting)
        self._runs.append(file)
        self._waiting = []


def _texts(file: IO[str]) -> Iterator[str]:
    return (line[:-1] for line in file)
