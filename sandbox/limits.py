"""Call frequencies, counted over a sliding window of real time as the platform's gateways do."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque


class RateLimiter:
    """Remembers when each key was used."""

    def __init__(self) -> None:
        self._uses: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def allows(self, key: str, *, calls: int, seconds: float) -> bool:
        """Counts one use of ``key``; False (and not counted) when ``calls`` within ``seconds`` are used
        up."""
        now = time.monotonic()
        with self._lock:
            uses = self._uses[key]
            while uses and uses[0] <= now - seconds:
                uses.popleft()
            if len(uses) >= calls:
                return False
            uses.append(now)
            return True
