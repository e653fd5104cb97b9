"""Time in the sandbox.

Two clocks, on purpose. *Business time* (codes, tokens, bills, callback retries) can be advanced by a test.
*Wire time* (the time stamps inside signatures) is always the machine's: the product signs with the same
machine's clock, and a test that jumps a day ahead to let a bill expire must not break every signature.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8))


class SandboxClock:
    """Business time: the machine's time plus an offset that only grows."""

    def __init__(self) -> None:
        self._offset_seconds = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Business time in Unix seconds."""
        with self._lock:
            return time.time() + self._offset_seconds

    def advance(self, seconds: float) -> None:
        """Moves business time forward by ``seconds`` (never negative: nothing that happened is undone)."""
        if seconds < 0:
            raise ValueError("time in the sandbox only moves forward")
        with self._lock:
            self._offset_seconds += seconds


def wire_time() -> int:
    """The machine's Unix time in whole seconds, as it goes into and is expected from signatures."""
    return int(time.time())


def pay_timestamp(at: float) -> str:
    """RFC 3339 with the +08:00 offset, whole seconds, as WeChat Pay writes times."""
    return datetime.fromtimestamp(int(at), CHINA).isoformat()


def utc_timestamp(at: float) -> str:
    """RFC 3339 in UTC with milliseconds, for the sandbox's own endpoints."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
