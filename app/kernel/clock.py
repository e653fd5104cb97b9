"""Time is passed in. Domain code never asks the machine what time it is."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the present moment."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is moved: for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware moment")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the moment that the clock was last set to."""
        return self._now

    def advance(self, step: timedelta) -> None:
        """Move the clock by `step`; going back is allowed, machines do it too."""
        self._now += step

    def set(self, moment: datetime) -> None:
        """Put the clock at an aware `moment`."""
        if moment.tzinfo is None:
            raise ValueError("a clock is set to an aware moment")
        self._now = moment.astimezone(UTC)
