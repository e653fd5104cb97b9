"""A clock that jumps ends nothing."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.alerts.models import Alert
from app.factory import Container
from app.kernel.clock import ManualClock
from jobs.schedule import Job, Scheduler
from jobs.steadiness import ALERT, TOLERANCE, Steadiness
from tests.support.product import product_by, settings


class Machine:
    """A machine whose clock may be set; the seconds since its start go on by themselves."""

    def __init__(self) -> None:
        self.ahead, self.seconds = timedelta(), 0.0

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def elapsed(self) -> float:
        return self.seconds


@pytest.fixture
def container(sqlite_url: str, tmp_path: Path, clock: ManualClock) -> Iterator[Container]:
    with product_by(settings(sqlite_url, tmp_path), clock=clock) as found:
        yield found


def _alerts(container: Container) -> list[bool]:
    with container.db.read() as session:
        wanted = select(Alert.resolved_at).where(Alert.kind == ALERT)
        return [at is None for at in session.execute(wanted).scalars()]


@pytest.mark.parametrize("jump", [TOLERANCE + timedelta(seconds=1), -TOLERANCE - timedelta(days=365)])
def test_a_jump_either_way_is_noticed_and_its_end_too(container: Container, jump: timedelta) -> None:
    machine = Machine()
    watch = Steadiness(machine.clock, machine.elapsed)
    assert watch.holds(container)
    assert _alerts(container) == []
    machine.ahead = jump
    assert not watch.holds(container)
    assert not watch.holds(container)
    assert _alerts(container) == [True]
    machine.ahead = timedelta()
    assert watch.holds(container)
    assert _alerts(container) == [False]


def test_a_clock_that_was_wrong_from_the_start_differs_from_the_database(container: Container) -> None:
    machine = Machine()
    machine.ahead = timedelta(days=1)
    assert not Steadiness(machine.clock, machine.elapsed).holds(container)


def test_a_jump_that_the_database_follows_is_noticed_by_the_process(container: Container) -> None:
    """One machine, one clock: the time since the start tells."""
    machine = Machine()
    watch = Steadiness(machine.clock, machine.elapsed)
    machine.seconds = -TOLERANCE.total_seconds() - 60
    assert not watch.holds(container)


def test_what_is_final_waits_and_the_rest_goes_on(container: Container) -> None:
    machine = Machine()
    done: list[str] = []
    both = threading.Event()

    def work(name: str) -> int:
        done.append(name)
        if done.count("usual") > 2:
            both.set()
        return 0

    jobs = (
        Job("final", 0.05, lambda _: work("final"), final=True),
        Job("usual", 0.05, lambda _: work("usual")),
    )
    watch = Steadiness(machine.clock, machine.elapsed)
    machine.ahead = timedelta(days=365)
    scheduler = Scheduler(container, jobs, watch)
    scheduler.start()
    try:
        assert both.wait(10)
    finally:
        scheduler.stop()
    assert "final" not in done
