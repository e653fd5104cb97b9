"""Areas hold what lies in them, and every province has a name (DRAW-03)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.organisation.regions import COUNTRY, PROVINCES, contains, is_adcode, name

counties = st.builds(
    lambda province, rest: f"{province[:2]}{rest:04}", st.sampled_from(PROVINCES), st.integers(101, 9999)
)


@pytest.mark.parametrize(
    ("area", "code", "inside"),
    [
        ("310000", "310115", True),
        ("310000", "310000", True),
        ("310115", "310000", False),
        ("310000", "320500", False),
        ("320500", "320505", True),
        ("320500", "320100", False),
        ("320500", "320000", False),
        ("320505", "320505", True),
        ("320505", "320506", False),
        ("110000", "310000", False),
        (COUNTRY, "650100", True),
        (COUNTRY, COUNTRY, True),
        ("310000", COUNTRY, False),
    ],
)
def test_an_area_holds_what_begins_like_it(area: str, code: str, inside: bool) -> None:
    assert contains(area, code) is inside


@given(counties)
def test_a_county_lies_in_itself_its_prefecture_and_its_province_and_in_no_other(code: str) -> None:
    assert contains(code, code)
    assert contains(f"{code[:4]}00", code)
    assert [province for province in PROVINCES if contains(province, code)] == [f"{code[:2]}0000"]


@given(counties, counties, counties)
def test_lying_in_something_is_transitive(outer: str, middle: str, inner: str) -> None:
    areas = [f"{outer[:2]}0000", f"{middle[:4]}00", inner]
    if contains(areas[0], areas[1]) and contains(areas[1], areas[2]):
        assert contains(areas[0], areas[2])


def test_there_are_34_provinces_each_with_two_names() -> None:
    assert len(PROVINCES) == 34
    assert len({name(code, "zh") for code in PROVINCES}) == 34
    assert len({name(code, "en") for code in PROVINCES}) == 34


@pytest.mark.parametrize(
    ("code", "zh", "en"),
    [
        ("310115", "上海", "Shanghai"),
        ("440305", "深圳", "Shenzhen"),
        ("441700", "广东", "Guangdong"),
        ("810000", "香港", "Hong Kong"),
        (COUNTRY, "全国", "all of China"),
    ],
)
def test_a_region_is_named_by_the_smallest_named_one_around_it(code: str, zh: str, en: str) -> None:
    assert name(code) == zh
    assert name(code, "en") == en


@pytest.mark.parametrize(
    "text", ["", "31", "3101155", "990000", "160000", "310l15", "３１０１１５", "000000"]
)
def test_what_is_no_adcode_is_refused(text: str) -> None:
    assert not is_adcode(text)
    with pytest.raises(ValueError, match="adcode"):
        name(text)
