"""One lock and one stream of events for everything that must survive a restart.

Whatever is durable changes only by an event: it is written to the journal, then applied. A replay applies the
same events by the same functions, so the state after a restart cannot differ from the state before it. The
single lock is a choice: the sandbox serves one machine, and its promises about money are worth more than its
throughput. Nothing that waits (network, sleep) may run under it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.journal import Journal, JournalError

Event = Mapping[str, Any]


class Store:
    """The lock, the journal and the appliers of events."""

    def __init__(self, journal: Journal) -> None:
        self.lock = threading.RLock()
        self._journal = journal
        self._appliers: dict[str, Callable[[Event], None]] = {}

    def on(self, name: str, applier: Callable[[Event], None]) -> None:
        """Says which one function applies the events called ``name``."""
        self._appliers[name] = applier

    def record(self, name: str, /, **data: Any) -> None:
        """Journals an event, then applies it. The caller holds the lock and has checked that it may
        happen."""
        event = {"event": name, **data}
        self._journal.append(event)
        self._appliers[name](event)

    def replay(self) -> int:
        """Applies every event of the journal; returns how many there were."""
        count = 0
        with self.lock:
            for event in self._journal.replay():
                applier = self._appliers.get(str(event.get("event")))
                if applier is None:
                    raise JournalError(f"line {count + 1} of the journal is no event that this sandbox knows")
                applier(event)
                count += 1
        return count

    def close(self) -> None:
        """Closes the journal once nobody is in the middle of an event."""
        with self.lock:
            self._journal.close()
