from datetime import UTC, date, datetime

import pytest

from app.reconciliation.days import bounds, day_of, last_ready, read_day
from app.reconciliation.errors import BadDay


def test_a_day_is_beijings() -> None:
    start, end = bounds(date(2026, 6, 1))
    assert (start, end) == (datetime(2026, 5, 31, 16, tzinfo=UTC), datetime(2026, 6, 1, 16, tzinfo=UTC))
    assert day_of(start) == date(2026, 6, 1)
    assert day_of(end) == date(2026, 6, 2)


def test_a_bill_is_ready_five_past_ten_on_the_next_day() -> None:
    assert last_ready(datetime(2026, 6, 2, 2, 4, tzinfo=UTC)) == date(2026, 5, 31)
    assert last_ready(datetime(2026, 6, 2, 2, 5, tzinfo=UTC)) == date(2026, 6, 1)


@pytest.mark.parametrize("text", ["", "2026-6-1", "20260601", "2026-W23-1", "yesterday", "2026-02-30"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(BadDay):
        read_day(text)
