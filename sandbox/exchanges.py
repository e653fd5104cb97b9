"""The last HTTP exchanges of the platform, both ways, for people and tests that want to see what was said.

In memory and bounded. Secrets are taken out before anything is kept: this is shown in a browser.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import deque
from typing import Any

from sandbox.clock import utc_timestamp

KEPT = 500
LONGEST_TEXT = 4000
SECRET_NAMES = frozenset(
    {"secret", "access_token", "session_key", "refresh_token", "apiv3_key", "AppSecretKey"}
)
HIDDEN = "•••"


class Exchanges:
    """A bounded list of exchanges, each with a growing id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(
        self,
        *,
        direction: str,
        at: float,
        method: str,
        url: str,
        status: int | None,
        request: Any,
        response: Any,
        milliseconds: float,
        note: str = "",
    ) -> None:
        """Keeps one exchange. direction: ``in`` (to the platform) or ``out`` (a callback). at: Unix
        seconds."""
        entry = {
            "direction": direction,
            "at": utc_timestamp(at),
            "method": method,
            "url": url[:LONGEST_TEXT],
            "status": status,
            "request": redact(request),
            "response": redact(response),
            "ms": round(milliseconds, 1),
            "note": note,
        }
        with self._lock:
            self._kept.append({"id": next(self._ids), **entry})

    def after(self, exchange_id: int) -> list[dict[str, Any]]:
        """The kept exchanges with an id above ``exchange_id``, oldest first."""
        with self._lock:
            return [entry for entry in self._kept if entry["id"] > exchange_id]


def redact(value: Any) -> Any:
    """``value`` with secrets hidden and long texts cut; bytes are read as JSON where they are JSON."""
    if isinstance(value, bytes):
        try:
            return redact(json.loads(value))
        except (ValueError, RecursionError):
            return value[:LONGEST_TEXT].decode(errors="replace")
    if isinstance(value, dict):
        return {name: HIDDEN if name in SECRET_NAMES else redact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [redact(item) for item in value]
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    return value
