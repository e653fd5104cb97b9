"""Reading a fund-flow bill, line by line, in constant memory (platform contracts 11.3).

Every value carries one back-tick in front, amounts are yuan, columns are found by their names because
their set may grow, and the summary at the end must agree with the lines. The names of kinds of business
change with the business and are never looked at; only 收入 and 支出, income and spending, are.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple, TextIO

from app.reconciliation.errors import BadStatement

_GZIP = b"\x1f\x8b"
_COLUMNS = ("业务凭证号", "微信支付业务单号", "资金流水单号", "收支类型", "收支金额(元)", "账户结余(元)")
_SUMMARY = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")
_OUT, _IN = "支出", "收入"
_LONGEST_LINE = 16_384


class Line(NamedTuple):
    """One movement: `voucher` is usually the merchant's own number, `platform_no` the platform's."""

    voucher: str
    platform_no: str
    flow_no: str
    is_out: bool
    fen: int


@dataclass
class BillFile:
    """One bill. Iterate `lines` to its end; then the totals are there and agree with the summary.

    `opening_fen` and `closing_fen` are the account's balances before the first line and after the last;
    `gaps` counts lines whose balance does not follow from the one before.
    """

    path: Path
    count: int = 0
    in_count: int = 0
    in_fen: int = 0
    out_count: int = 0
    out_fen: int = 0
    gaps: int = 0
    opening_fen: int | None = None
    closing_fen: int | None = None
    _places: tuple[int, ...] = field(default=(), repr=False)

    def lines(self) -> Iterator[Line]:
        """Yield the movements in the file's order. Raises BadStatement."""
        with _open(self.path) as file:
            try:
                yield from self._lines(file)
            except (UnicodeDecodeError, EOFError, OSError) as error:
                raise BadStatement(f"the file cannot be read: {type(error).__name__}") from None

    def _lines(self, file: TextIO) -> Iterator[Line]:
        self._places = _places(file.readline())
        voucher, platform, flow, kind, amount, balance = self._places
        width = max(self._places) + 1
        for text in iter(lambda: file.readline(_LONGEST_LINE), ""):
            if not text.startswith("`"):
                self._check_summary(text, file)
                return
            values = text.rstrip("\r\n")[1:].split(",`")
            if len(values) < width:
                raise BadStatement(f"line {self.count + 2} has too few values")
            fen, after = _fen(values[amount]), _fen(values[balance])
            is_out = values[kind] == _OUT
            if is_out:
                self.out_count += 1
                self.out_fen += fen
            elif values[kind] == _IN:
                self.in_count += 1
                self.in_fen += fen
            else:
                raise BadStatement(f"line {self.count + 2} is neither {_IN} nor {_OUT}")
            before = after + fen if is_out else after - fen
            if self.opening_fen is None:
                self.opening_fen = before
            elif self.closing_fen != before:
                self.gaps += 1
            self.closing_fen = after
            self.count += 1
            yield Line(values[voucher], values[platform], values[flow], is_out, fen)
        raise BadStatement("the file ends without its summary")

    def _check_summary(self, header: str, file: TextIO) -> None:
        names = header.strip().split(",")
        values = file.readline(_LONGEST_LINE).strip()[1:].split(",`")
        told = dict(zip(names, values, strict=False))
        if any(name not in told for name in _SUMMARY):
            raise BadStatement("the summary of the file cannot be read")
        # Counters may come as "20.0": read like an amount, a hundred times too large.
        figures = tuple(_fen(told[name]) for name in _SUMMARY)
        counted = (
            self.count * 100,
            self.in_count * 100,
            self.in_fen,
            self.out_count * 100,
            self.out_fen,
        )
        if figures != counted:
            raise BadStatement("the summary of the file does not agree with its lines")


def _open(path: Path) -> TextIO:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    # A byte-order mark may lead. Only "\n" ends a line: the platform writes breaks in remarks as text.
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")
    return path.open(encoding="utf-8-sig", newline="\n")


def _places(header: str) -> tuple[int, ...]:
    names = header.strip().split(",")
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise BadStatement(f"the file has no column {', '.join(missing)}")
    return tuple(names.index(name) for name in _COLUMNS)


def _fen(yuan: str) -> int:
    whole, _, part = yuan.partition(".")
    if len(part) == 2 and whole.isdecimal() and part.isdecimal():
        return int(whole) * 100 + int(part)
    try:
        exact = Decimal(yuan) * 100
        fen = int(exact)
    except (InvalidOperation, ValueError, OverflowError):
        raise BadStatement("an amount in the file is not a number") from None
    if fen != exact:
        raise BadStatement("an amount in the file has a part of a fen")
    return fen
