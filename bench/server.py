"""A web server for the length of a measurement: gunicorn with threads, as gunicorn.conf.py sets it up."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
WORKERS, THREADS = 2, 8
_BOUND_SECONDS = 60.0

# What gunicorn.conf.py says, for an application that cannot read that file.
_LIKE_OURS = (
    "--config=/dev/null",
    "--worker-class=gthread",
    f"--workers={WORKERS}",
    f"--threads={THREADS}",
    "--timeout=60",
    "--keep-alive=5",
    "--log-level=warning",
    "--no-control-socket",
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `ready_seconds` from its start to its first good answer."""

    process: "subprocess.Popen[bytes]"
    port: int
    ready_seconds: float

    def workers_rss_mb(self) -> list[float]:
        """Return the resident memory of each worker now, in MB."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [_rss_mb(child) for child in children]


@contextmanager
def product(environment: Mapping[str, str], *, workers: int = WORKERS) -> Iterator[Server]:
    """Run the product's own web server."""
    wanted = {**environment, "SAOMA_WEB_WORKERS": str(workers), "SAOMA_WEB_THREADS": str(THREADS)}
    with _running(["-c", "gunicorn.conf.py", "wsgi:app"], wanted, "SAOMA_PORT", "/readyz") as server:
        yield server


@contextmanager
def bare(environment: Mapping[str, str]) -> Iterator[Server]:
    """Run the baselines on a server with the same settings."""
    with _running([*_LIKE_OURS, "bench.bare:create()"], environment, None, "/ready") as server:
        yield server


@contextmanager
def _running(
    arguments: Sequence[str], environment: Mapping[str, str], port_variable: str | None, path: str
) -> Iterator[Server]:
    port = _free_port()
    command = [sys.executable, "-m", "gunicorn", *arguments]
    wanted = {**os.environ, **environment}
    if port_variable is None:
        command.append(f"--bind=127.0.0.1:{port}")
    else:
        wanted[port_variable] = str(port)
    started = time.perf_counter()
    # The log goes to a file, as it does in earnest.
    with (
        TemporaryFile() as log,
        subprocess.Popen(
            command, cwd=ROOT, env=wanted, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as process,
    ):
        try:
            _await(process, f"http://127.0.0.1:{port}{path}", log)
            yield Server(process, port, time.perf_counter() - started)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(process: "subprocess.Popen[bytes]", url: str, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _BOUND_SECONDS
    while True:
        try:
            with urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, ConnectionError, TimeoutError):
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise RuntimeError(f"{url} does not answer: {log.read()[-2000:].decode(errors='replace')}")
        time.sleep(0.01)


def _rss_mb(pid: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
