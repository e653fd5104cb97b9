"""A small HTTP server on loopback that answers what a test tells it, and remembers what it was asked."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class LoopbackServer:
    """Runs between `with` and its end. `answer` is called in the server's threads, for every request."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Callable[[BaseHTTPRequestHandler, Seen], None] | None = None
        self._httpd = _Httpd(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._httpd.server_address[1]}"

    def reply(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | Callable[[bytes], dict[str, str]] | None = None,
    ) -> None:
        """Answer every request from now on with this; `headers` may depend on the body."""

        def answer(handler: BaseHTTPRequestHandler, _seen: Seen) -> None:
            send(handler, status, body, headers(body) if callable(headers) else headers or {})

        self.answer = answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    """Answer with `status` and `body`, as JSON unless `headers` say otherwise."""
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class _Httpd(ThreadingHTTPServer):
    daemon_threads = True
    # A test may end while a handler is still sending drop by drop.
    block_on_close = False


def _handler_of(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            seen = Seen(self.command, self.path, dict(self.headers), self.rfile.read(length))
            server.seen.append(seen)
            assert server.answer is not None
            try:
                server.answer(self, seen)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = _handle  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on stderr."""

    return Handler
