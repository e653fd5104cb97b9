import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from app.reconciliation.bill_file import BillFile, Line
from app.reconciliation.errors import BadStatement

HEADER = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
FOOTER = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
TOP_UP = "`2026-06-01 09:00:00,`T1,`F1,`充值,`充值,`收入,`100.00,`100.00,`system,`,`"
PAID = "`2026-06-01 10:00:00,`W2,`F2,`转账,`转账,`支出,`1.50,`98.50,`system,`a, `b`,`SB2"
SUMMARY = "`2.0,`1.0,`100.00,`1.0,`1.50"

Write = Callable[..., BillFile]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(*lines: str, zipped: bool = False, mark: str = "", end: str = "\n") -> BillFile:
        content = (mark + "".join(f"{line}{end}" for line in lines)).encode()
        path = tmp_path / "a.bill"
        path.write_bytes(gzip.compress(content) if zipped else content)
        return BillFile(path)

    return make


@pytest.mark.parametrize("how", [{}, {"zipped": True}, {"mark": "\ufeff"}, {"end": "\r\n"}])
def test_lines_and_totals(write: Write, how: dict[str, object]) -> None:
    file = write(HEADER, TOP_UP, PAID, FOOTER, SUMMARY, **how)
    assert list(file.lines()) == [
        Line("", "T1", "F1", is_out=False, fen=10_000),
        Line("SB2", "W2", "F2", is_out=True, fen=150),
    ]
    assert (file.count, file.in_fen, file.out_fen) == (2, 10_000, 150)
    assert (file.opening_fen, file.closing_fen, file.gaps) == (0, 9_850, 0)


def test_columns_are_found_by_their_names(write: Write) -> None:
    names, values = HEADER.split(","), PAID[1:].split(",`")
    header = ",".join(["新列", *reversed(names)])
    line = ",".join(f"`{value}" for value in ["x", *reversed(values)])
    file = write(header, line, FOOTER, "`1,`0,`0.00,`1,`1.50")
    assert list(file.lines()) == [Line("SB2", "W2", "F2", is_out=True, fen=150)]


def test_a_balance_that_does_not_follow_is_counted(write: Write) -> None:
    wrong = PAID.replace("`98.50", "`97.50")
    file = write(HEADER, TOP_UP, wrong, FOOTER, SUMMARY)
    assert len(list(file.lines())) == 2
    assert (file.gaps, file.closing_fen) == (1, 9_750)


@pytest.mark.parametrize("amount", ["1.5", "1.500", "+1.50"])
def test_amounts_are_exact_however_they_are_written(write: Write, amount: str) -> None:
    file = write(HEADER, TOP_UP, PAID.replace("`1.50", f"`{amount}"), FOOTER, SUMMARY)
    assert [line.fen for line in file.lines()] == [10_000, 150]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["记账时间,资金流水单号"],
        [HEADER, TOP_UP],
        [HEADER, TOP_UP, FOOTER],
        [HEADER, TOP_UP, FOOTER, SUMMARY],
        [HEADER, TOP_UP, PAID, FOOTER, SUMMARY.replace("1.50", "1.51")],
        [HEADER, TOP_UP, PAID.replace("`1.50", "`1.505"), FOOTER, SUMMARY],
        [HEADER, TOP_UP, PAID.replace("`1.50", "`much"), FOOTER, SUMMARY],
        [HEADER, TOP_UP, PAID.replace("支出", "兑换"), FOOTER, SUMMARY],
        [HEADER, "`2026-06-01,`T1", FOOTER, SUMMARY],
    ],
)
def test_a_file_that_contradicts_itself_is_refused(write: Write, lines: list[str]) -> None:
    file = write(*lines)
    with pytest.raises(BadStatement):
        list(file.lines())


def test_a_broken_archive_is_refused(write: Write) -> None:
    file = write(HEADER, TOP_UP, PAID, FOOTER, SUMMARY, zipped=True)
    file.path.write_bytes(file.path.read_bytes()[:-20])
    with pytest.raises(BadStatement):
        list(file.lines())
