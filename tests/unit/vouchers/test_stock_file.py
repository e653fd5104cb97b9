from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.vouchers import stock_file
from app.vouchers.errors import BadVoucherFile
from app.vouchers.models import NEVER

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")


def _file(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "codes.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_codes_come_with_pin_and_the_end_of_their_last_day(tmp_path: Path) -> None:
    path = _file(tmp_path, "\ufeffcode,pin,expires_on\r\n A-1 ,0007,2026-06-30\r\nA-2,,\r\n")
    assert stock_file.check(path, zone=ZONE, now=NOW) == 2
    first, second = stock_file.read(path, zone=ZONE, now=NOW)
    assert (first.code, first.pin, first.expires_at) == (
        "A-1",
        "0007",
        datetime(2026, 6, 30, 16, tzinfo=UTC),
    )
    assert (second.code, second.pin, second.expires_at) == ("A-2", None, NEVER)
    assert "A-1" not in repr(first)
    assert "0007" not in repr(first)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (",1,", "1 to 200"),
        (f"{'x' * 201},1,", "1 to 200"),
        (f"A,{'1' * 201},", "1 to 200"),
        ("A\x07B,1,", "printable"),
        ("A,1", "fields"),
        ("A,1,2026-06-30,more", "fields"),
        ("A,1,30.06.2026", "2026-12-31"),
        ("A,1,9999-12-31", "2026-12-31"),
        ("A,1,2026-05-31", "expired"),
    ],
)
def test_a_fault_names_its_line_and_nothing_that_stands_there(tmp_path: Path, row: str, fault: str) -> None:
    path = _file(tmp_path, f"code,pin,expires_on\nSECRET-1,1,\n{row}\nSECRET-2,1,\n")
    with pytest.raises(BadVoucherFile) as refused:
        stock_file.check(path, zone=ZONE, now=NOW)
    assert fault in refused.value.detail
    assert refused.value.extra["errors"][0]["line"] == 3
    assert "SECRET" not in str(refused.value.extra) + refused.value.detail
    with pytest.raises(BadVoucherFile, match="changed"):
        list(stock_file.read(path, zone=ZONE, now=NOW))


def test_a_code_is_good_until_the_end_of_its_last_day(tmp_path: Path) -> None:
    path = _file(tmp_path, "code,expires_on\nA,2026-06-01\n")
    assert stock_file.check(path, zone=ZONE, now=NOW) == 1


@pytest.mark.parametrize(
    "text",
    ["", "number\n1\n", "code,code\n1,2\n", "code,colour\n1,red\n", "code\n", 'code\n"1\n'],
)
def test_what_is_no_file_of_codes_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadVoucherFile):
        stock_file.check(_file(tmp_path, text), zone=ZONE, now=NOW)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadVoucherFile, match="UTF-8"):
        stock_file.check(_file(tmp_path, "code\n话费\n", "gbk"), zone=ZONE, now=NOW)


def test_faults_are_listed_up_to_twenty_and_files_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadVoucherFile) as refused:
        stock_file.check(_file(tmp_path, "code\n" + '""\n' * 30), zone=ZONE, now=NOW)
    assert len(refused.value.extra["errors"]) == 20
    monkeypatch.setattr(stock_file, "MOST_CODES", 2)
    with pytest.raises(BadVoucherFile, match="split"):
        stock_file.check(_file(tmp_path, "code\n1\n2\n3\n"), zone=ZONE, now=NOW)
