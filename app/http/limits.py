"""Rate limits: by address for everybody, by person where one could do harm.

Behind a carrier's NAT thousands of shoppers share an address, so an address gets thousands of requests a
minute and a person tens. An IPv6 customer has a whole /56; its neighbours count as one. Counters live in
Redis when there is one, else in this process, and fall back to the process when Redis does not answer.

flask-limiter knows the storage and the strategy, and is asked directly. Its own hooks look up per request
what a route's rule says already, and its counters in memory are swept by a new thread every ten milliseconds:
together that cost a tenth of a scan.
"""

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock

from flask import Flask, g, request
from flask_limiter import Limiter
from limits import RateLimitItem, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter, RateLimiter
from werkzeug.exceptions import TooManyRequests

from app.http.access import Rule
from app.kernel.addresses import customer_of

log = logging.getLogger("saoma.http")

PER_ADDRESS = "6000/minute"
# A limit is not worth waiting for: past this the process counts by itself, and asks again after a while.
_REDIS_OPTIONS: dict[str, str | int] = {"socket_connect_timeout": 1, "socket_timeout": 1}
_ASK_AGAIN_SECONDS = 5.0


@lru_cache(maxsize=4096)
def _customer(address_text: str) -> str:
    """Return what counts as a caller's address: IPv4, or the /56 of an IPv6 address."""
    return customer_of(address_text) or "unknown"


@dataclass(slots=True)
class _Count:
    """How often, in the window that ends at a Unix time."""

    number: int
    ends_at: float


@dataclass(slots=True)
class _Generations:
    """The counts of windows of one length: those touched since `turned_at`, and those of the time before.

    What was not touched for two lengths is over, and goes with the older generation: nothing is swept.
    """

    turned_at: float
    young: dict[str, _Count] = field(default_factory=dict)
    old: dict[str, _Count] = field(default_factory=dict)

    def find(self, key: str, now: float) -> _Count | None:
        """Return the count of `key` if its window has not ended."""
        found = self.young.get(key) or self.old.get(key)
        return found if found is not None and found.ends_at > now else None


class ProcessCounters(Storage):
    """Counters of this process, in windows that begin with a key's first request."""

    STORAGE_SCHEME = ["process"]  # noqa: RUF012 - limits declares it so
    base_exceptions = ()

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **_options: str) -> None:  # noqa: FBT001, FBT002 - limits makes it so
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._lock = Lock()
        self._lengths: dict[int, _Generations] = {}

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` to the count of `key` in its window of `expiry` seconds; return the count."""
        now = time.time()
        with self._lock:
            kept = self._lengths.get(expiry)
            if kept is None or now >= kept.turned_at + expiry:
                kept = self._lengths[expiry] = _Generations(now, old=kept.young if kept else {})
            count = kept.find(key, now) or _Count(0, now + expiry)
            count.number += amount
            kept.young[key] = count
            return count.number

    def get(self, key: str) -> int:
        """Return the count of `key` in its window."""
        found = self._find(key)
        return 0 if found is None else found.number

    def get_expiry(self, key: str) -> float:
        """Return when the window of `key` ends, as a Unix time."""
        found = self._find(key)
        return time.time() if found is None else found.ends_at

    def _find(self, key: str) -> _Count | None:
        now = time.time()
        with self._lock:
            return next((found for kept in self._lengths.values() if (found := kept.find(key, now))), None)

    def check(self) -> bool:
        """Tell that it works."""
        return True

    def reset(self) -> int | None:
        """Forget everything; how much that was is not known."""
        with self._lock:
            self._lengths.clear()
        return None

    def clear(self, key: str) -> None:
        """Forget one count."""
        with self._lock:
            for kept in self._lengths.values():
                kept.young.pop(key, None)
                kept.old.pop(key, None)


class Gate:
    """Lets requests through as often as their route and their caller may; counts them all."""

    def __init__(self, counters: RateLimiter) -> None:
        self.enabled = True
        self._shared = counters
        self._here: RateLimiter = FixedWindowRateLimiter(ProcessCounters())
        self._here_until = 0.0
        self._known: OrderedDict[int, int] = OrderedDict()
        self._lock = Lock()

    def let_address(self, rule: Rule | None) -> None:
        """Count a request by its address: on its own for a route with such a limit, else for all together.

        Raises TooManyRequests.
        """
        own = None if rule is None else rule.per_address
        address = _customer(request.remote_addr or "")
        self._count(own or PER_ADDRESS, address, request.endpoint if own else "everywhere")

    def let_person(self, rule: Rule, session_id: int) -> None:
        """Count a request by the person of its session, where the route limits that; raise TooManyRequests.

        Who is not known here yet is counted as soon as the session's row has been read (`remember`).
        """
        if rule.per_person is None:
            return
        person_id = self._known.get(session_id)
        if person_id is None:
            g.uncounted = rule.per_person
        else:
            self._count(rule.per_person, f"person/{person_id}", request.endpoint)

    def remember(self, session_id: int, person_id: int) -> None:
        """Note whose session this is, so that a second login does not give a second allowance.

        Counts the request if it could not be before; raises TooManyRequests then.
        """
        with self._lock:
            self._known[session_id] = person_id
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        limit: str | None = g.pop("uncounted", None)
        if limit is not None:
            self._count(limit, f"person/{person_id}", request.endpoint)

    def _count(self, limit: str, caller: str, scope: str | None) -> None:
        if not self.enabled:
            return
        item, names = _parsed(limit), ("saoma", caller, scope or "")
        counters, fits = self._hit(item, names)
        if not fits:
            ends_at = counters.get_window_stats(item, *names).reset_time
            g.retry_after = str(max(1, int(ends_at - time.time())))
            raise TooManyRequests

    def _hit(self, item: RateLimitItem, names: tuple[str, ...]) -> tuple[RateLimiter, bool]:
        """Return the counters that counted, and whether the request fits."""
        if time.monotonic() >= self._here_until:
            try:
                return self._shared, self._shared.hit(item, *names)
            except self._shared.storage.base_exceptions as silence:
                log.warning("limits.storage_unreachable", exc_info=silence)
                self._here_until = time.monotonic() + _ASK_AGAIN_SECONDS
        return self._here, self._here.hit(item, *names)


_KNOWN = 20_000
_parsed = lru_cache(maxsize=64)(parse)


def build(app: Flask, *, redis_url: str | None) -> Gate:
    """Return the gate of `app`; the kit asks it before every view."""
    limiter = Limiter(
        lambda: _customer(request.remote_addr or ""),
        storage_uri=redis_url or "process://",
        storage_options=_REDIS_OPTIONS if redis_url else {},
        strategy="fixed-window",
    )
    # It takes itself for installed, and hooks nothing in.
    app.extensions["limiter"] = {limiter}
    limiter.init_app(app)
    return Gate(limiter.limiter)
