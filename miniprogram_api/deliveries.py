"""Sending at once what a request has just enqueued, without letting a slow platform stop everybody.

A shopper who taps Collect wants the transfer now, not at the next knock of the scheduler. So the request
sends it and waits a moment. But a request that waits holds a thread of the web server: were there no limit,
a platform that hangs would soon have all of them, and scans and draws would wait behind it. As many as
there are threads here may wait; whoever comes then is answered at once, and the drain loop sends theirs.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from threading import BoundedSemaphore

WAIT_SECONDS = 2.0
# Half of the web server's threads (gunicorn.conf.py).
_THREADS = 4


class Deliveries:
    """A few threads that deliver; nothing ever queues for them."""

    def __init__(self, *, threads: int = _THREADS, wait_seconds: float = WAIT_SECONDS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="saoma-deliver")
        self._free = BoundedSemaphore(threads)
        self._wait_seconds = wait_seconds

    def try_now(self, deliver: Callable[[], None]) -> None:
        """Call `deliver` if a thread is free, and wait for it, but not for long.

        A call that takes longer goes on by itself: the lease of its message, not this request, decides when
        another may take it up. Raises what `deliver` raises while it is waited for.
        """
        if not self._free.acquire(blocking=False):
            return

        def work() -> None:
            try:
                deliver()
            finally:
                self._free.release()

        try:
            self._pool.submit(work).result(timeout=self._wait_seconds)
        except TooLong:
            return
