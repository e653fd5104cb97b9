import contextvars
import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest
import requests

from app.gateways.http import DeadlineExceeded, check_origin, make_session, run_within
from tests.support.loopback import LoopbackServer, Seen, send


def _calls_left() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gateway-call"]


def _wait_until_no_call_is_left(seconds: float) -> None:
    end = time.monotonic() + seconds
    while _calls_left() and time.monotonic() < end:
        time.sleep(0.02)
    assert _calls_left() == []


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.weixin.qq.com", "https://api.weixin.qq.com"),
        ("https://api.weixin.qq.com/", "https://api.weixin.qq.com"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
    ],
)
def test_an_origin_is_taken(url: str, origin: str) -> None:
    assert check_origin(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.weixin.qq.com",
        "ftp://api.weixin.qq.com",
        "https://api.weixin.qq.com/cgi-bin",
        "https://api.weixin.qq.com?x=1",
        "https://api.weixin.qq.com#x",
        "https://user@api.weixin.qq.com",
    ],
)
def test_anything_else_than_an_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is an origin"):
        check_origin(url)


def test_every_url_goes_to_the_origin_with_path_and_query_intact(server: LoopbackServer) -> None:
    server.reply(200, b"{}")
    with make_session(server.url) as session:
        session.get("https://api.weixin.qq.com/sns/x?a=1%2B2&b=%E6%89%AB", timeout=2)
        session.post("http://elsewhere.example/wxa/y", data=b"body", timeout=2)
    assert [(seen.method, seen.target, seen.body) for seen in server.seen] == [
        ("GET", "/sns/x?a=1%2B2&b=%E6%89%AB", b""),
        ("POST", "/wxa/y", b"body"),
    ]


def test_nothing_comes_from_the_environment(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w", encoding="ascii") as file:  # noqa: PTH123 - one line of a test
        file.write("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", netrc)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.reply(200, b"{}")
    with make_session(server.url) as session:
        session.get("https://x.example/", headers={"Authorization": "ours"}, timeout=2)
    assert server.seen[0].headers["Authorization"] == "ours"


def test_cookies_are_not_kept(server: LoopbackServer) -> None:
    server.reply(200, b"{}", {"Set-Cookie": "a=b"})
    with make_session(server.url) as session:
        session.get(server.url, timeout=2)
        session.get(server.url, timeout=2)
    assert "Cookie" not in server.seen[1].headers


def test_an_endless_answer_is_cut_off(server: LoopbackServer) -> None:
    server.reply(200, b"x" * (4 * 1024 * 1024 + 1))
    with make_session(server.url) as session, pytest.raises(requests.ConnectionError, match="larger"):
        session.get("https://x.example/", timeout=5)


def test_run_within_returns_raises_and_carries_the_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    variable.set("r1")
    assert run_within(1, variable.get) == "r1"

    def slow_inside() -> None:
        raise TimeoutError("from the call itself")

    with pytest.raises(TimeoutError, match="from the call itself"):
        run_within(1, slow_inside)


def test_slow_headers_do_not_outlast_the_deadline(server: LoopbackServer) -> None:
    def drip(handler: BaseHTTPRequestHandler, _seen: Seen) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(30):
            handler.wfile.write(b"a")
            time.sleep(0.05)

    server.answer = drip
    with make_session(server.url) as session:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            run_within(0.3, lambda: session.get("https://x.example/", timeout=5))
        assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("chunked", [True, False])
def test_a_slow_body_ends_the_call_and_its_thread(server: LoopbackServer, chunked: bool) -> None:
    def drip(handler: BaseHTTPRequestHandler, _seen: Seen) -> None:
        handler.send_response(200)
        handler.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "99")))
        handler.end_headers()
        for _ in range(60):
            handler.wfile.write(b"1\r\na\r\n" if chunked else b"a")
            time.sleep(0.05)

    server.answer = drip
    _wait_until_no_call_is_left(5)
    with make_session(server.url) as session:
        with pytest.raises(DeadlineExceeded):
            run_within(0.3, lambda: session.get("https://x.example/", timeout=5))
        _wait_until_no_call_is_left(1)


def test_an_answer_that_breaks_off_is_no_answer(server: LoopbackServer) -> None:
    def break_off(handler: BaseHTTPRequestHandler, _seen: Seen) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "99")
        handler.end_headers()
        handler.wfile.write(b"{}")
        handler.close_connection = True

    server.answer = break_off
    with make_session(server.url) as session, pytest.raises(requests.ConnectionError, match="broke off"):
        session.get("https://x.example/", timeout=2)


def test_connections_are_kept(server: LoopbackServer) -> None:
    ports = set()

    def answer(handler: BaseHTTPRequestHandler, _seen: Seen) -> None:
        ports.add(handler.client_address[1])
        send(handler, 200, b'{"a": 1}', {})

    server.answer = answer
    with make_session(server.url) as session:
        for _ in range(3):
            assert session.get("https://x.example/", timeout=2).json() == {"a": 1}
    assert len(ports) == 1


def test_a_call_that_was_given_up_is_not_sent_later(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.reply(200, b"{}")
    look_up = socket.getaddrinfo

    def slow_look_up(*arguments: object, **options: object) -> object:
        time.sleep(0.4)
        return look_up(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow_look_up)
    with make_session(server.url) as session:
        with pytest.raises(DeadlineExceeded):
            run_within(0.1, lambda: session.post("https://x.example/pay", data=b"1", timeout=5))
        _wait_until_no_call_is_left(3)
    time.sleep(0.1)
    assert server.seen == []


def test_the_deadline_shortens_the_time_out_of_a_socket(server: LoopbackServer) -> None:
    hold = threading.Event()
    server.answer = lambda _handler, _seen: hold.wait(5) and None
    with make_session(server.url) as session:
        with pytest.raises(requests.Timeout):
            run_within(0.2, lambda: session.get("https://x.example/", timeout=60))
        _wait_until_no_call_is_left(2)
    hold.set()


def test_queries_stay_out_of_the_log(server: LoopbackServer, caplog: pytest.LogCaptureFixture) -> None:
    server.answer = lambda handler, _seen: send(handler, 302, b"", {"Location": "/b?secret=two"})
    with make_session(server.url) as session, caplog.at_level(logging.DEBUG):
        session.get("https://x.example/a?secret=one", timeout=2, allow_redirects=False)
        logging.getLogger("urllib3.util.retry").debug("Incremented Retry for (url='%s')", "/c?secret=three")
        logging.getLogger("urllib3.connection").warning("Failed to parse headers (url=%s)", "/d?secret=four")
    assert "/a?…" in caplog.text
    assert "/c?…" in caplog.text
    assert "secret" not in caplog.text
