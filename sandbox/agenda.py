"""What is due when, in business time: bills that expire, money that arrives, callbacks that are tried again.

One thread sleeps until the next entry is due. A test that advances the clock runs everything that became due
in its own thread, so that the effects are there when its request returns.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable

from sandbox.clock import SandboxClock

log = logging.getLogger("sandbox.agenda")

# The longest sleep: a safety net against a machine clock that is set back or forth under us.
LONGEST_SLEEP_SECONDS = 5.0


class Agenda:
    """A heap of (due business time, action) and the thread that works it off."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._changed = threading.Condition()
        # Held while actions run, so that a caller of run_due also waits for what the thread has already
        # taken.
        self._running = threading.RLock()
        self._stopped = False
        self._thread = threading.Thread(target=self._loop, name="agenda", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread; what is not yet due stays undone."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def at(self, due: float, action: Callable[[], None]) -> None:
        """Runs ``action`` once business time has reached ``due`` (Unix seconds). It must not block."""
        with self._changed:
            heapq.heappush(self._heap, (due, next(self._sequence), action))
            self._changed.notify_all()

    def run_due(self) -> int:
        """Runs everything that is due now, also what that makes due; returns how many actions ran."""
        count = 0
        with self._running:
            while (action := self._take_due()) is not None:
                count += 1
                try:
                    action()
                except Exception:
                    log.exception("an action on the agenda failed")
        return count

    def _take_due(self) -> Callable[[], None] | None:
        with self._changed:
            if self._heap and self._heap[0][0] <= self._clock.now():
                return heapq.heappop(self._heap)[2]
            return None

    def _loop(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                wait = LONGEST_SLEEP_SECONDS
                if self._heap:
                    wait = min(wait, self._heap[0][0] - self._clock.now())
                if wait > 0:
                    self._changed.wait(wait)
                    continue
            self.run_due()
