"""Time is passed in and always aware."""

from datetime import UTC, datetime, timedelta

import pytest

from app.kernel.clock import ManualClock, SystemClock


def test_the_system_clock_is_aware() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_the_manual_clock_moves_only_when_moved() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    clock = ManualClock(start)
    assert clock.now() == start
    clock.advance(timedelta(days=7))
    assert clock.now() == start + timedelta(days=7)
    clock.set(start)
    assert clock.now() == start


def test_naive_moments_are_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the point of the test
    with pytest.raises(ValueError, match="aware"):
        ManualClock(naive)
    with pytest.raises(ValueError, match="aware"):
        ManualClock(datetime(2026, 1, 1, tzinfo=UTC)).set(naive)
