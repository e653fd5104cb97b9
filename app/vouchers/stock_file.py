"""Files of codes: CSV with a heading, `code` and, if there are, `pin` and `expires_on`.

A file is read twice, line by line: once to find every fault, once to take its codes in. Nothing of a file
with a fault is taken in, and a fault names a line, never what stands there.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from app.vouchers.errors import BadVoucherFile
from app.vouchers.models import NEVER

MOST_CODES = 200_000
_MOST_FAULTS = 20
_LONGEST = 200
_COLUMNS = ("code", "pin", "expires_on")


@dataclass(frozen=True, slots=True)
class NewVoucher:
    """A code as its file says it; `expires_at` is the first moment at which it is good for nothing."""

    code: str = field(repr=False)
    pin: str | None = field(repr=False)
    expires_at: datetime


def check(path: Path, *, zone: ZoneInfo, now: datetime) -> int:
    """Return how many codes a file has; raise BadVoucherFile with the first faults by line.

    `expires_on` is the last day in `zone` on which a code is good.
    """
    faults, number = [], 0
    for number, (line, found) in enumerate(_lines(path, zone, now), start=1):
        if isinstance(found, str):
            faults.append({"line": line, "fault": found})
        if len(faults) == _MOST_FAULTS:
            break
        if number > MOST_CODES:
            raise BadVoucherFile(f"it has more than {MOST_CODES:,} codes; split it")
    if faults:
        told = "; ".join(f"line {fault['line']}: {fault['fault']}" for fault in faults[:3])
        raise BadVoucherFile(f"nothing was taken in: {told}", errors=faults)
    if not number:
        raise BadVoucherFile("there is no code in it")
    return number


def read(path: Path, *, zone: ZoneInfo, now: datetime) -> Iterator[NewVoucher]:
    """Yield the codes of a file that `check` has found right."""
    for _, found in _lines(path, zone, now):
        if isinstance(found, str):
            raise BadVoucherFile("the file was changed while it was read; import it again")
        yield found


def _lines(path: Path, zone: ZoneInfo, now: datetime) -> Iterator[tuple[int, NewVoucher | str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            heading = list(rows.fieldnames or ())
            if "code" not in heading or set(heading) - set(_COLUMNS) or len(set(heading)) != len(heading):
                raise BadVoucherFile("its first line names the columns: code, and if need be pin, expires_on")
            for row in rows:
                yield rows.line_num, _voucher(row, zone, now)
    except (UnicodeDecodeError, csv.Error):
        raise BadVoucherFile("it is no CSV file in UTF-8") from None


def _voucher(row: Mapping[Any, Any], zone: ZoneInfo, now: datetime) -> NewVoucher | str:
    """Return the code of a row, or what is wrong with it."""
    if None in row or None in row.values():
        return "it has more or fewer fields than the first line"
    code, pin = row["code"].strip(), row.get("pin", "").strip()
    if not 1 <= len(code) <= _LONGEST or len(pin) > _LONGEST or not (code + pin).isprintable():
        return f"a code has 1 to {_LONGEST} printable characters, a PIN at most as many"
    expires_at = NEVER
    if written := row.get("expires_on", "").strip():
        try:
            day = date.fromisoformat(written)
            expires_at = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone)
        except (ValueError, OverflowError):
            return "expires_on is a day like 2026-12-31"
        if expires_at <= now:
            return "it has expired"
    return NewVoucher(code, pin or None, expires_at)
