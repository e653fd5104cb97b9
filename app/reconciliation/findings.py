"""What an examination has found, kept on disk until the day is closed: it may be a million rows."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from app.reconciliation.judging import Flows
from app.reconciliation.states import DifferenceKind


class Finding(NamedTuple):
    """A number about which the books disagree. `day` is that of the books, `found_on` that of a late line.

    `known` is the difference that an earlier day has had about it.
    """

    number: str
    kind: DifferenceKind
    day: str
    expected_fen: int
    flows: Flows
    bill_id: int | None = None
    known: int | None = None
    found_on: str | None = None


class Carried(NamedTuple):
    """What the bills have shown by now about a bill of ours that has not ended."""

    bill_no: str
    first_day: str
    flows: Flows


class Spool:
    """Findings and carries in the order of their discovery; write first, then read as often as wanted."""

    def __init__(self) -> None:
        self._file: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - see __exit__
        self.findings = 0
        self.carries = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def find(self, finding: Finding) -> None:
        """Keep a finding."""
        self.findings += 1
        self._file.write(json.dumps(["f", finding]) + "\n")

    def carry(self, carried: Carried) -> None:
        """Keep a carry."""
        self.carries += 1
        self._file.write(json.dumps(["c", carried]) + "\n")

    def all_findings(self) -> Iterator[Finding]:
        """Yield the findings."""
        for values in self._kept("f"):
            kind, flows = DifferenceKind(values[1]), Flows(*values[4])
            yield Finding(values[0], kind, values[2], values[3], flows, *values[5:])

    def all_carries(self) -> Iterator[Carried]:
        """Yield the carries."""
        for bill_no, first_day, flows in self._kept("c"):
            yield Carried(bill_no, first_day, Flows(*flows))

    def _kept(self, wanted: str) -> Iterator[list[Any]]:
        self._file.seek(0)
        for line in self._file:
            mark, values = json.loads(line)
            if mark == wanted:
                yield values


def batches(items: Iterable[Any], size: int = 1000) -> Iterator[list[Any]]:
    """Yield `items` in lists of at most `size`."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
