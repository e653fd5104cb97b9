"""A platform that hangs takes a few threads of the web server, never all."""

import threading
import time

import pytest

from miniprogram_api.deliveries import Deliveries


def test_a_quick_delivery_is_waited_for() -> None:
    done: list[str] = []
    Deliveries(threads=1).try_now(lambda: done.append("sent"))
    assert done == ["sent"]


def test_a_slow_one_goes_on_by_itself_and_the_next_does_not_wait_behind_it() -> None:
    release, done = threading.Event(), threading.Event()

    def hang() -> None:
        release.wait(10)
        done.set()

    deliveries = Deliveries(threads=2, wait_seconds=0.1)
    for _ in range(2):
        deliveries.try_now(hang)
    started = time.monotonic()
    late: list[str] = []
    for _ in range(50):
        deliveries.try_now(lambda: late.append("sent"))
    assert time.monotonic() - started < 2, "fifty that each waited would take five seconds"
    release.set()
    assert done.wait(5)
    time.sleep(0.1)
    assert late == [], "what was not begun at once is left to the drain loop"
    deliveries.try_now(lambda: late.append("sent"))
    assert late == ["sent"]


def test_what_a_delivery_raises_reaches_the_request_and_frees_the_thread() -> None:
    def fail() -> None:
        raise LookupError

    deliveries = Deliveries(threads=1)
    for _ in range(2):
        with pytest.raises(LookupError):
            deliveries.try_now(fail)
