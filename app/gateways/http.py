"""How any client here reaches its platform: one origin, no surprises, a hard end.

What `requests` does by default is wrong for money: it follows redirects, reads ~/.netrc over our own
Authorization header, honours proxies from the environment, and its time-outs count per socket operation,
so a server that sends a byte now and then holds a worker for ever. A session made here does none of that.

The hard end comes from a thread per call: name look-ups and slow headers cannot be bounded in any other
way. Such a thread outlives its caller only while that look-up or those headers last, and sends nothing on
a connection that was made after the deadline, so a call that was given up does not happen later.
"""

import contextvars
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

T = TypeVar("T")

_CONNECT_SECONDS = 3.0
LARGEST_ANSWER_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_CONNECTIONS_KEPT = 16

_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("gateway_deadline", default=None)


class DeadlineExceeded(requests.Timeout):
    """A call took longer than it was given. Whether it took effect is unknown."""


def run_within(seconds: float, call: Callable[[], T]) -> T:
    """Return what `call` returns, or raise DeadlineExceeded after `seconds`.

    `call` runs in a thread of its own with the caller's context variables and must touch no session.
    """
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def work() -> None:
        _deadline.set(time.monotonic() + seconds)
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            future.set_exception(error)

    threading.Thread(target=context.run, args=(work,), name="gateway-call", daemon=True).start()
    if not wait([future], seconds).done:
        raise DeadlineExceeded(f"no answer within {seconds} s")
    return future.result()


def check_origin(url: str) -> str:
    """Return `url` without a final slash; raise ValueError unless it is an http(s) origin and no more.

    The platform's paths share no prefix, so a base URL with a path would be wrong for most of them
    (platform contracts 0.1).
    """
    parts = urlsplit(url)
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("http", "https") or not parts.hostname or extra:
        raise ValueError("a platform's base URL is an origin such as https://api.weixin.qq.com")
    return f"{parts.scheme}://{parts.netloc}"


def make_session(origin: str, *, largest_answer_bytes: int = LARGEST_ANSWER_BYTES) -> requests.Session:
    """Return a session whose every request goes to `origin`, whatever host its URL names.

    It is safe to share between threads: it keeps connections, no cookies and no state.
    """
    _hide_queries()
    session = requests.Session()
    session.trust_env = False
    # Answers are small. A compressed one would arrive in steps that cannot be told from its end.
    session.headers["Accept-Encoding"] = "identity"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = OriginAdapter(check_origin(origin), largest_answer_bytes)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class OriginAdapter(HTTPAdapter):
    """Sends to one origin, never twice, never past the deadline of `run_within`, never an endless answer.

    A request with `stream=True` leaves the body to `pieces`.
    """

    def __init__(self, origin: str, largest_answer_bytes: int = LARGEST_ANSWER_BYTES) -> None:
        parts = urlsplit(origin)
        self._largest_answer_bytes = largest_answer_bytes
        self._scheme, self._netloc = parts.scheme, parts.netloc
        super().__init__(pool_connections=1, pool_maxsize=_CONNECTIONS_KEPT, max_retries=0)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send `request` to the origin and read its whole answer."""
        streams = options.get("stream")
        options.update(stream=True, timeout=_time_left(options.get("timeout")))
        _, _, path, query, _ = urlsplit(str(request.url))
        request.url = urlunsplit((self._scheme, self._netloc, path, query, ""))
        response = super().send(request, **options)
        if streams:
            return response
        response._content = _read(response, self._largest_answer_bytes)  # noqa: SLF001 - what `Response.content` would do, with an end
        return response


def pieces(response: requests.Response) -> Iterator[bytes]:
    """Yield the body of a streamed answer as it comes; raise ConnectionError or DeadlineExceeded."""
    try:
        while piece := response.raw.read(_CHUNK_BYTES, decode_content=True):
            _require_time()
            yield piece
    except HTTPError:
        raise requests.ConnectionError("the answer broke off") from None


def _read(response: requests.Response, largest_bytes: int) -> bytes:
    """Return the whole body. Looks at the deadline whenever something arrives, be it one byte."""
    content = bytearray()
    try:
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            content += chunk
            _require_time()
            if len(content) > largest_bytes:
                raise requests.ConnectionError("the answer is larger than any that is expected")
    except BaseException as error:
        response.raw.close()
        if isinstance(error, HTTPError):
            raise requests.ConnectionError("the answer broke off") from None
        raise
    return bytes(content)


def _time_left(wanted: object) -> tuple[float, float]:
    """Return (connect, read) time-outs in seconds, none longer than what the deadline leaves."""
    deadline = _deadline.get()
    read = float(wanted) if isinstance(wanted, int | float) else 10.0
    if deadline is not None:
        _require_time()
        read = min(read, max(deadline - time.monotonic(), 0.001))
    return min(_CONNECT_SECONDS, read), read


def _require_time() -> None:
    deadline = _deadline.get()
    if deadline is not None and time.monotonic() >= deadline:
        raise DeadlineExceeded("the deadline has passed")


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _require_time()


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _require_time()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _QueryFilter(logging.Filter):
    """Cuts query strings out of log lines: they hold app secrets, login codes and access tokens."""

    _query = re.compile(r"\?[^\s'\"]*")

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, without what a query said."""
        record.msg = self._query.sub("?…", record.getMessage())
        record.args = None
        return True


_QUERY_FILTER = _QueryFilter()


def _hide_queries() -> None:
    # Level DEBUG of urllib3 writes each request's full path, and its warnings do too. A filter belongs to
    # exactly one logger, not to its children, so each one that speaks of URLs is named.
    for name in ("connectionpool", "connection", "poolmanager", "util.retry"):
        logging.getLogger(f"urllib3.{name}").addFilter(_QUERY_FILTER)
