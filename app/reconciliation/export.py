"""Closed days and differences as files for finance: CSV and xlsx, written row by row.

A cell that begins with = + - or @ is a formula to a spreadsheet, whoever wrote it. Numbers from the
platform's file are somebody else's text: in xlsx they are stored as text, in CSV they get an apostrophe in
front, as spreadsheets themselves do.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from sqlalchemy.orm import Session

from app.kernel.fen import format_yuan
from app.reconciliation import queries
from app.reconciliation.advice import advice
from app.reconciliation.errors import TooManyLines
from app.reconciliation.models import ReconciledDay
from app.reconciliation.queries import DifferenceView

Cell = str | int | float | None
Row = Sequence[Cell]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PAGE = 1000
MOST_LINES = 1_048_575
"""What a sheet of xlsx holds under its headings."""
# Characters that no xlsx can hold; a file from outside may hold any.
_CONTROL = {code: None for code in range(32) if chr(code) not in "\t\n\r"}

DAY_COLUMNS = (
    "日期 day",
    "商户号 mchid",
    "账单行数 lines",
    "账单支出 out (yuan)",
    "账单收入 in (yuan)",
    "其他支出 other out (yuan)",
    "其他收入 other in (yuan)",
    "我方付款笔数 paid bills",
    "我方付款 paid (yuan)",
    "在途 carried (yuan)",
    "账单余额 balance by bills (yuan)",
    "我方余额 balance by our book (yuan)",
    "未解释差额 unexplained (yuan)",
    "差异笔数 differences",
    "摘要 digest",
)
DIFFERENCE_COLUMNS = (
    "日期 day",
    "商户号 mchid",
    "差异 kind",
    "状态 state",
    "单号 number",
    "微信单号 platform number",
    "奖品 award",
    "应付 expected (yuan)",
    "账单支出 out (yuan)",
    "账单退回 in (yuan)",
    "出现日期 found on",
    "处理原因 reason",
    "处理人 by",
    "建议",
    "proposed act",
)


class Book:
    """What is exported: the days and differences of `since` to `until`, read a page at a time.

    `mchids` names the payers; `award` gives the public form of an award's id.
    """

    def __init__(
        self,
        session: Session,
        *,
        mchids: Mapping[int, str],
        award: Callable[[int], str],
        payer_id: int | None,
        since: str,
        until: str,
    ) -> None:
        self._session = session
        self._mchids = mchids
        self._award = award
        self._scope: dict[str, Any] = {"payer_id": payer_id, "since": since, "until": until}

    def days(self) -> Iterator[Row]:
        """Yield one row per closed day."""
        for day in queries.days(self._session, **self._scope):
            yield self._day(day)

    def differences(self) -> Iterator[Row]:
        """Yield one row per difference."""
        after = ("", 0)
        while page := queries.differences(self._session, **self._scope, after=after, limit=_PAGE):
            for one in page:
                yield self._difference(one)
            after = (page[-1].day, page[-1].id)
            self._session.expunge_all()

    def _day(self, day: ReconciledDay) -> Row:
        return (
            day.day,
            self._mchids[day.payer_id],
            day.lines,
            _yuan(day.out_fen),
            _yuan(day.in_fen),
            _yuan(day.other_out_fen),
            _yuan(day.other_in_fen),
            day.paid_bills,
            _yuan(day.paid_fen),
            _yuan(day.carried_fen),
            _yuan(day.bill_closing_fen),
            _yuan(day.book_closing_fen),
            _yuan(day.unexplained_fen),
            day.differences,
            day.digest,
        )

    def _difference(self, one: DifferenceView) -> Row:
        said = advice(one.kind)
        return (
            one.day,
            self._mchids[one.payer_id],
            one.kind.value,
            one.state.value,
            one.number,
            one.platform_no,
            self._award(one.award_id) if one.award_id is not None else None,
            _yuan(one.expected_fen),
            _yuan(one.out_fen),
            _yuan(one.in_fen),
            one.found_on,
            one.reason,
            one.resolved_by,
            said.zh,
            said.en,
        )


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> int:
    """Write one CSV file (UTF-8 with a mark, which Excel needs); return the number of rows."""
    count = 0
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_harmless(cell) for cell in row])
            count += 1
    return count


def write_xlsx(path: Path, sheets: Mapping[str, tuple[Sequence[str], Iterable[Row]]]) -> int:
    """Write one workbook, a sheet per entry, in constant memory; return the number of rows.

    Raises TooManyLines.
    """
    book, count = Workbook(write_only=True), 0
    for title, (columns, rows) in sheets.items():
        sheet = book.create_sheet(title)
        sheet.append(list(columns))
        for line, row in enumerate(rows):
            if line == MOST_LINES:
                # Until it is closed, a sheet is a generator in the middle of its file.
                for begun in book.worksheets:
                    begun.close()
                raise TooManyLines(f"a sheet of xlsx holds {MOST_LINES:,} lines; take --format csv")
            sheet.append([_cell(sheet, cell) for cell in row])
            count += 1
    book.save(path)
    return count


def _yuan(fen: int) -> float:
    """Return yuan as a number that a spreadsheet adds up; exact to the fen up to 10^13 yuan."""
    return float(format_yuan(fen))


def _harmless(cell: Cell) -> Cell:
    if isinstance(cell, str) and cell.startswith(_FORMULA):
        return f"'{cell}"
    return f"{cell:.2f}" if isinstance(cell, float) else cell


def _cell(sheet: Any, value: Cell) -> Any:
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, value=value.translate(_CONTROL))
    # Set afterwards: left to itself the library takes a leading = for a formula.
    cell.data_type = "s"
    return cell
