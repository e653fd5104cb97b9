"""A small HTTP server on loopback that answers what a test tells it, and remembers what it was asked."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """`answer` is called in the server's thread with the handler and the request."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    answer: Callable[[BaseHTTPRequestHandler, Seen], None] | None = None

    def reply(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | Callable[[bytes], dict[str, str]] | None = None,
    ) -> None:
        """Answer every request from now on with this."""

        def answer(handler: BaseHTTPRequestHandler, _seen: Seen) -> None:
            send(handler, status, body, headers(body) if callable(headers) else headers or {})

        self.answer = answer


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", **headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            seen = Seen(self.command, self.path, dict(self.headers), self.rfile.read(length))
            state.seen.append(seen)
            assert state.answer is not None
            try:
                state.answer(self, seen)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = handle_one  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        # A test may end while a handler is still dripping.
        block_on_close = False

    httpd = Quiet(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()
