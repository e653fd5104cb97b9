"""The web server as `gunicorn wsgi:app` runs it: what its own log says of those who send nonsense."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.support.product import environment
from tests.support.source import ROOT

SECRET = "7QK3M2P9XW4C8TRA"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def server(sqlite_url: str, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The server's port and the file that its log goes to."""
    port, log = _free_port(), tmp_path / "server.log"
    wanted = {**os.environ, **environment(sqlite_url, tmp_path, SAOMA_PORT=str(port))}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app"], cwd=ROOT, env=wanted, stdout=file, stderr=file
        )
        try:
            _await(port, process, log)
            yield port, log
        finally:
            process.terminate()
            process.wait(60)


def _await(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the server did not come up: {log.read_text()[-2000:]}")


def _send(port: int, raw: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(raw)
        return connection.recv(1024).split(b"\r\n")[0]


def test_nonsense_is_refused_and_not_repeated_in_the_log(server: tuple[int, Path]) -> None:
    port, log = server
    code = SECRET.encode()
    assert b" 400 " in _send(port, b"GET /q/" + code + b" HTTP/9.9\r\n\r\n")
    assert b" 400 " in _send(port, b"NONSENSE " + code + b"\r\n\r\n")
    assert b" 414 " in _send(port, b"GET /q/" + code * 200 + b" HTTP/1.1\r\n\r\n")
    assert b" 200 " in _send(port, b"GET /q/" + code + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    told = log.read_text()
    assert "/q/<code>" in told, "the kit's own line is there"
    assert SECRET not in told
    assert "127.0.0.1" not in told, "an address is personal data"
