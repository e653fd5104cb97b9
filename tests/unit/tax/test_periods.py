"""Months and years of Beijing, as moments."""

from datetime import UTC, datetime

import pytest

from app.tax.errors import BadMonth
from app.tax.periods import month, year


def test_a_month_begins_at_midnight_in_beijing() -> None:
    assert month("2026-10") == (
        datetime(2026, 9, 30, 16, tzinfo=UTC),
        datetime(2026, 10, 31, 16, tzinfo=UTC),
    )
    assert month("2026-12")[1] == datetime(2026, 12, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-1", "26-10", "2026-10-01", "2026-00"])
def test_a_month_has_one_name(text: str) -> None:
    with pytest.raises(BadMonth):
        month(text)


def test_the_first_hours_of_a_year_belong_to_it() -> None:
    start, end = year(datetime(2026, 12, 31, 17, tzinfo=UTC))
    assert (start, end) == (datetime(2026, 12, 31, 16, tzinfo=UTC), datetime(2027, 12, 31, 16, tzinfo=UTC))
