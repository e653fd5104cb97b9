"""When scans elsewhere are a case: several persons, several codes, one place, some days."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.organisation.regions import PROVINCES, contains
from app.trace.diversion import DiversionRules, Sighting, is_case, is_foreign, prefecture

START = datetime(2026, 6, 1, tzinfo=UTC)
RULES = DiversionRules(persons=3, codes=3, days=30)


def seen(*told: tuple[int, int, float]) -> list[Sighting]:
    """Sightings as (person, code, day)."""
    return [Sighting(person, code, START + timedelta(days=day)) for person, code, day in told]


@pytest.mark.parametrize(
    ("told", "case"),
    [
        ([(1, 1, 0), (2, 2, 1), (3, 3, 2)], True),
        ([(1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 4, 2)], False),  # one traveller with a case
        ([(1, 1, 0), (2, 1, 1), (3, 1, 2)], False),  # one bottle on a table
        ([(1, 1, 0), (2, 2, 15), (3, 3, 30)], False),  # too far apart
        ([(1, 1, 0), (2, 2, 15), (3, 3, 29.9)], True),
        ([(9, 9, 0), (1, 1, 40), (2, 2, 41), (3, 3, 42)], True),
        ([(1, 1, 0), (2, 2, 1)], False),
        ([], False),
    ],
)
def test_what_is_a_case(told: list[tuple[int, int, float]], case: bool) -> None:
    assert is_case(seen(*told), found="440300", dealer_regions=(), rules=RULES) is case


def test_what_the_dealer_may_sell_is_none() -> None:
    sightings = seen((1, 1, 0), (2, 2, 1), (3, 3, 2))
    assert not is_case(sightings, found="440300", dealer_regions=("310000", "440000"), rules=RULES)
    assert is_case(sightings, found="440300", dealer_regions=("310000",), rules=RULES)


@pytest.mark.parametrize(
    ("shipped", "found", "foreign"),
    [
        ("310000", "320100", True),
        ("310115", "310101", False),  # districts of one city
        ("320100", "320500", True),
        ("320000", "320500", False),
        ("320500", "320000", False),  # known only roughly
        ("100000", "320500", False),
        ("320500", "100000", False),
    ],
)
def test_what_is_foreign(shipped: str, found: str, foreign: bool) -> None:
    assert is_foreign(shipped, found) is foreign


REGIONS = st.builds(
    lambda province, city, district: f"{province[:2]}{city}{district if city != '00' else '00'}",
    st.sampled_from(PROVINCES),
    st.sampled_from(["00", "01", "03"]),
    st.sampled_from(["00", "05"]),
)


@given(REGIONS, REGIONS)
def test_foreign_means_that_neither_place_holds_the_other(shipped: str, found: str) -> None:
    left, right = prefecture(shipped), prefecture(found)
    assert is_foreign(shipped, found) == (not contains(left, right) and not contains(right, left))
    assert is_foreign(shipped, found) == is_foreign(found, shipped)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 90)), max_size=12))
def test_the_moving_window_finds_what_looking_at_every_stretch_finds(
    told: list[tuple[int, int, int]],
) -> None:
    sightings = sorted(seen(*told), key=lambda sighting: sighting.at)
    stretches = (
        [other for other in sightings if last.at - timedelta(days=30) < other.at <= last.at]
        for last in sightings
    )
    plain = any(
        len({one.person for one in inside}) >= 3 and len({one.code_index for one in inside}) >= 3
        for inside in stretches
    )
    assert is_case(sightings, found="440300", dealer_regions=(), rules=RULES) is plain
