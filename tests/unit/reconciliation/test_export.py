import csv
from pathlib import Path

import pytest
from openpyxl import load_workbook

from app.reconciliation import export
from app.reconciliation.errors import TooManyLines
from app.reconciliation.export import write_csv, write_xlsx

ROWS = [("=1+1", "+2", "-3", "@x", "plain", 5, -1.5, None, "bell\x07")]
COLUMNS = [f"c{number}" for number in range(9)]


def test_no_cell_of_a_workbook_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    assert write_xlsx(path, {"one": (COLUMNS, ROWS)}) == 1
    book = load_workbook(path)
    cells = next(iter(book["one"].iter_rows(min_row=2)))
    assert [cell.value for cell in cells] == ["=1+1", "+2", "-3", "@x", "plain", 5, -1.5, None, "bell"]
    assert [cell.data_type for cell in cells[:5]] == ["s"] * 5
    assert cells[6].data_type == "n"
    book.close()


def test_no_cell_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert write_csv(path, COLUMNS, ROWS) == 1
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, row = csv.reader(file)
    assert header == COLUMNS
    assert row[:7] == ["'=1+1", "'+2", "'-3", "'@x", "plain", "5", "-1.50"]


def test_what_a_sheet_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_LINES", 2)
    rows = [(1,), (2,)]
    assert export.write_xlsx(tmp_path / "full.xlsx", {"days": (("n",), rows)}) == 2
    with pytest.raises(TooManyLines):
        export.write_xlsx(tmp_path / "more.xlsx", {"days": (("n",), [*rows, (3,)])})
