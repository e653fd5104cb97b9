"""Every way of knowing an address's region answers alike: an adcode that exists, or nothing."""

from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.organisation.address_regions import BadRangeFile, CsvAddressRegions, NullAddressRegions
from app.organisation.interfaces import AddressRegions
from app.organisation.regions import is_adcode

LINES = """first,last,adcode
203.0.113.128,203.0.113.255,320500
203.0.113.0,203.0.113.99,310000
198.51.100.7,198.51.100.7,440300
2001:db8:1::,2001:db8:1:ffff:ffff:ffff:ffff:ffff,510100
"""


def _file(folder: Path, content: str) -> Path:
    path = folder / "ranges.csv"
    path.write_text(content, encoding="utf-8")
    return path


@pytest.fixture
def regions(tmp_path: Path) -> CsvAddressRegions:
    return CsvAddressRegions(_file(tmp_path, LINES))


@pytest.fixture(params=["null", "csv"])
def any_regions(request: pytest.FixtureRequest, tmp_path: Path) -> AddressRegions:
    made: dict[str, Callable[[], AddressRegions]] = {
        "null": NullAddressRegions,
        "csv": lambda: CsvAddressRegions(_file(tmp_path, LINES)),
    }
    return made[request.param]()


@pytest.mark.parametrize(
    "address",
    ["", "no address", "203.0.113.5", "203.0.113.500", "::ffff:203.0.113.5", "2001:db8:1::5", "::1", "1.2.3"],
)
def test_whatever_comes_in_an_adcode_or_nothing_comes_out(any_regions: AddressRegions, address: str) -> None:
    answer = any_regions.region(address)

    assert answer is None or is_adcode(answer)


@pytest.mark.parametrize(
    ("address", "adcode"),
    [
        ("203.0.112.255", None),
        ("203.0.113.0", "310000"),
        ("203.0.113.99", "310000"),
        ("203.0.113.100", None),
        ("203.0.113.127", None),
        ("203.0.113.128", "320500"),
        ("203.0.113.255", "320500"),
        ("203.0.114.0", None),
        ("198.51.100.7", "440300"),
        ("198.51.100.8", None),
        (" 198.51.100.7 ", "440300"),
        ("::ffff:198.51.100.7", "440300"),
        ("2001:db8:1:2::3", "510100"),
        ("2001:db8:2::", None),
    ],
)
def test_both_ends_of_a_range_belong_to_it(
    regions: CsvAddressRegions, address: str, adcode: str | None
) -> None:
    assert regions.region(address) == adcode


@given(st.lists(st.integers(0, 400), unique=True, min_size=2, max_size=20).filter(lambda n: len(n) % 2 == 0))
def test_bisection_finds_what_a_scan_of_all_ranges_finds(
    tmp_path_factory: pytest.TempPathFactory, ends: list[int]
) -> None:
    ends = sorted(ends)
    ranges = list(zip(ends[::2], ends[1::2], strict=True))
    lines = [
        f"{IPv4Address(first)},{IPv4Address(last)},{310000 + n:06}" for n, (first, last) in enumerate(ranges)
    ]
    path = _file(tmp_path_factory.mktemp("ranges"), "\n".join(["first,last,adcode", *reversed(lines)]))
    regions = CsvAddressRegions(path)

    for number in range(402):
        holding = [f"{310000 + n:06}" for n, (first, last) in enumerate(ranges) if first <= number <= last]
        assert regions.region(str(IPv4Address(number))) == (holding[0] if holding else None)


def test_all_faults_of_a_file_are_listed_at_once(tmp_path: Path) -> None:
    lines = [
        "first,last,adcode",
        "1.1.1.1,1.1.1.9,310000",
        "1.1.1.5,1.1.1.20,310000",
        "somewhere,1.1.1.9,310000",
        "2.2.2.9,2.2.2.1,310000",
        "2.2.2.1,::1,310000",
        "3.3.3.3,3.3.3.3,990000",
    ]
    with pytest.raises(BadRangeFile) as refused:
        CsvAddressRegions(_file(tmp_path, "\n".join(lines)))

    message = str(refused.value)
    assert all(f"line {number}" in message for number in (3, 4, 5, 6, 7))
    assert "line 3 overlaps line 2" in message


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRangeFile, match="first, last and adcode"):
        CsvAddressRegions(_file(tmp_path, "from,to,where\n1.1.1.1,1.1.1.2,310000\n"))
