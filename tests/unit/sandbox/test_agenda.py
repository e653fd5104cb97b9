import logging
import threading

import pytest

from sandbox.agenda import Agenda
from sandbox.clock import SandboxClock


def test_what_is_due_runs_in_order_of_time_and_then_of_entry() -> None:
    clock = SandboxClock()
    agenda = Agenda(clock)
    done: list[str] = []
    start = clock.now()
    agenda.at(start + 20, lambda: done.append("late"))
    agenda.at(start + 10, lambda: done.append("early"))
    agenda.at(start + 10, lambda: done.append("early too"))
    agenda.at(start + 999, lambda: done.append("not yet"))

    assert agenda.run_due() == 0
    clock.advance(30)

    assert agenda.run_due() == 3
    assert done == ["early", "early too", "late"]


def test_what_an_action_makes_due_runs_in_the_same_go() -> None:
    clock = SandboxClock()
    agenda = Agenda(clock)
    done: list[str] = []
    agenda.at(clock.now(), lambda: agenda.at(clock.now(), lambda: done.append("second")))

    assert agenda.run_due() == 2
    assert done == ["second"]


def test_an_action_that_fails_does_not_keep_the_next_one_from_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SandboxClock()
    agenda = Agenda(clock)
    done: list[str] = []
    agenda.at(clock.now(), lambda: done.remove("missing"))
    agenda.at(clock.now(), lambda: done.append("next"))

    with caplog.at_level(logging.ERROR):
        agenda.run_due()

    assert done == ["next"]
    assert "an action on the agenda failed" in caplog.text


def test_the_thread_runs_what_becomes_due_without_being_asked() -> None:
    clock = SandboxClock()
    agenda = Agenda(clock)
    ran = threading.Event()
    agenda.start()
    agenda.at(clock.now() + 0.02, ran.set)

    assert ran.wait(5)
    agenda.stop()
