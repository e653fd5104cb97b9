"""Which region an Internet address is in: from a file of ranges, or not at all.

The file is CSV with the columns first, last and adcode; one line per range, both ends included, IPv4 and
IPv6 mixed, in any order. It is read once, held as sorted arrays (34 bytes a range) and searched by bisection
in microseconds. Where such a file comes from is the operator's business: the databases on the market differ
in licence and quality.
"""

import csv
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
from pathlib import Path

from app.organisation.regions import is_adcode

_SHOWN_FAULTS = 20
_BITS = 64
_LOW = (1 << _BITS) - 1


class BadRangeFile(ValueError):
    """The file of ranges cannot be used; the message lists what is wrong with it, by line."""


class NullAddressRegions:
    """Knows no address: the region stays open, and rules about WHERE use what they have."""

    def region(self, address: str) -> str | None:
        """Return None."""
        return None


class CsvAddressRegions:
    """Ranges from a CSV file; see the module's docstring for its form."""

    def __init__(self, path: Path) -> None:
        faults: list[str] = []
        with path.open(newline="", encoding="utf-8") as file:
            ranges = list(_read(file, faults))
        self._v4 = _Table([entry for entry in ranges if entry[0] == 4], faults)
        self._v6 = _Table([entry for entry in ranges if entry[0] == 6], faults)
        if faults:
            more = len(faults) - _SHOWN_FAULTS
            shown = faults[:_SHOWN_FAULTS] + ([f"and {more} more"] if more > 0 else [])
            raise BadRangeFile(f"{path}: " + "; ".join(shown))

    def region(self, address: str) -> str | None:
        """Return the adcode of the range that holds `address`, or None."""
        try:
            parsed = ip_address(address.strip())
        except ValueError:
            return None
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        table = self._v4 if isinstance(parsed, IPv4Address) else self._v6
        return table.find(int(parsed))


_Range = tuple[int, int, int, str, int]
"""Version, first, last, adcode, line."""


class _Table:
    def __init__(self, ranges: Sequence[_Range], faults: list[str]) -> None:
        ordered = sorted(ranges, key=lambda entry: entry[1])
        for before, after in pairwise(ordered):
            if after[1] <= before[2]:
                faults.append(f"line {after[4]} overlaps line {before[4]}")
        self._names = sorted({entry[3] for entry in ordered})
        index = {name: number for number, name in enumerate(self._names)}
        self._first = _Wide(entry[1] for entry in ordered)
        self._last = _Wide(entry[2] for entry in ordered)
        self._adcode = array("H", (index[entry[3]] for entry in ordered))

    def find(self, number: int) -> str | None:
        place = bisect_right(self._first, number) - 1
        if place < 0 or number > self._last[place]:
            return None
        return self._names[self._adcode[place]]


class _Wide:
    """Whole numbers of up to 128 bits in 16 bytes each; an array has no wider number than 64 bits."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._halves = array("Q")
        for number in numbers:
            self._halves.append(number >> _BITS)
            self._halves.append(number & _LOW)

    def __len__(self) -> int:
        return len(self._halves) // 2

    def __getitem__(self, place: int) -> int:
        return (self._halves[2 * place] << _BITS) | self._halves[2 * place + 1]


def _read(lines: Iterable[str], faults: list[str]) -> Iterable[_Range]:
    reader = csv.DictReader(lines)
    if not {"first", "last", "adcode"} <= set(reader.fieldnames or ()):
        faults.append("the first line must name the columns first, last and adcode")
        return
    for row in reader:
        line = reader.line_num
        adcode = (row["adcode"] or "").strip()
        try:
            first, last = ip_address((row["first"] or "").strip()), ip_address((row["last"] or "").strip())
        except ValueError:
            faults.append(f"line {line}: first and last must be addresses")
            continue
        if first.version != last.version or int(first) > int(last):
            faults.append(f"line {line}: first must not be after last, and both of one family")
        elif not is_adcode(adcode):
            faults.append(f"line {line}: the adcode must have six digits and a province")
        else:
            yield first.version, int(first), int(last), adcode, line
