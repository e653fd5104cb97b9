"""Exponential, with jitter and a cap."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.outbox.backoff import BASE_SECONDS, CAP_SECONDS, delay


def test_it_doubles_and_is_capped() -> None:
    firsts = [delay(failures, chance=0.0).total_seconds() for failures in range(1, 14)]
    assert firsts[:4] == [1.0, 2.0, 4.0, 8.0]
    assert firsts[-1] == CAP_SECONDS / 2


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0, max_value=1, exclude_max=True))
def test_it_stays_between_half_and_the_whole(failures: int, chance: float) -> None:
    ceiling = min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(failures - 1, 30))
    assert timedelta(seconds=ceiling / 2) <= delay(failures, chance=chance) <= timedelta(seconds=ceiling)
