"""Whether this machine's clock can be trusted with what cannot be taken back.

A clock that jumps forward by a year lapses every award and ends every campaign, and no jump back brings
them again. So before such work the clock is held against two that do not follow its jumps: the time since
this process began, and the database's.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.db.engine import db_now
from app.factory import Container

# Where there is such a clock, one that also counts the time that the machine sleeps.
_ELAPSED_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

TOLERANCE = timedelta(minutes=5)
ALERT = "clock.unsteady"
_SUBJECT = "scheduler"


class Steadiness:
    """Compares the clock of a process; `clock` and `elapsed` (seconds) are what it reads."""

    def __init__(
        self,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = lambda: time.clock_gettime(_ELAPSED_CLOCK),
    ) -> None:
        self._clock, self._elapsed = clock, elapsed
        self._began = (clock(), elapsed())
        self._was_unsteady = False

    def holds(self, container: Container) -> bool:
        """Tell whether the clock agrees with both; raise an alert when it does not, and settle it after."""
        with container.db.read() as session:
            drifts = {"the database's": self._clock() - db_now(session)}
        began, then = self._began
        since = timedelta(seconds=self._elapsed() - then)
        drifts["the one this process began with"] = self._clock() - began - since
        unsteady = {name: drift for name, drift in drifts.items() if abs(drift) > TOLERANCE}
        if unsteady:
            self._alarm(container, unsteady)
        elif self._was_unsteady:
            container.db.transact(
                lambda session: resolve_alert(
                    session, kind=ALERT, subject=_SUBJECT, by="system", now=container.clock.now()
                )
            )
        self._was_unsteady = bool(unsteady)
        return not unsteady

    def _alarm(self, container: Container, unsteady: dict[str, timedelta]) -> None:
        said = " and ".join(f"{drift.total_seconds():+.0f} s from {name}" for name, drift in unsteady.items())
        container.db.transact(
            lambda session: raise_alert(
                session,
                kind=ALERT,
                subject=_SUBJECT,
                severity=Severity.CRITICAL,
                detail=f"The clock is {said}: nothing lapses or ends until it agrees."
                " Set it right (NTP), then start the scheduler again.",
                now=container.clock.now(),
            )
        )
