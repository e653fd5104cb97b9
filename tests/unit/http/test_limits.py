"""Counters of one process: windows that begin with the first request, and memory that does not grow."""

import pytest
from limits import parse
from limits.strategies import FixedWindowRateLimiter

from app.http import limits
from app.http.limits import ProcessCounters


class Watch:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1_000_000.5

    def time(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made = Watch()
    monkeypatch.setattr(limits, "time", made)
    return made


@pytest.fixture
def counters(watch: Watch) -> ProcessCounters:
    return ProcessCounters()


def test_a_window_begins_with_the_first_request_and_lasts_its_length(
    counters: ProcessCounters, watch: Watch
) -> None:
    strategy, limit = FixedWindowRateLimiter(counters), parse("2/minute")

    assert [strategy.hit(limit, "a") for _ in range(3)] == [True, True, False]
    assert strategy.get_window_stats(limit, "a").reset_time == watch.now + 60
    watch.now += 59.9
    assert not strategy.hit(limit, "a")
    watch.now += 0.2
    assert strategy.hit(limit, "a")


def test_keys_and_lengths_do_not_mix(counters: ProcessCounters) -> None:
    assert (counters.incr("a", 60), counters.incr("b", 60), counters.incr("a", 60, 5)) == (1, 1, 6)
    assert (counters.get("a"), counters.get("b"), counters.get("c")) == (6, 1, 0)
    counters.clear("a")
    assert (counters.get("a"), counters.get("b")) == (0, 1)
    counters.reset()
    assert counters.get("b") == 0


def test_a_count_outlives_the_turn_of_generations_and_no_more(
    counters: ProcessCounters, watch: Watch
) -> None:
    counters.incr("first", 60)
    watch.now += 50
    counters.incr("late", 60)
    watch.now += 20  # the generations turn with the next request
    assert counters.incr("late", 60) == 2
    assert counters.incr("first", 60) == 1, "its window was over"
    watch.now += 45
    assert counters.incr("late", 60) == 1


def test_memory_holds_what_was_touched_lately(counters: ProcessCounters, watch: Watch) -> None:
    for minute in range(10):
        for number in range(100):
            counters.incr(f"{minute}/{number}", 60)
        watch.now += 60
    kept = counters._lengths[60]

    assert len(kept.young) + len(kept.old) == 200
    assert counters.check()
