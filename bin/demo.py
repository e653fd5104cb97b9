"""The demo: sandbox, web server and scheduler under one command, on SQLite, with a brand that is ready.

`make run` calls this. It needs no settings and asks nothing. What it makes stays in var/ (SAOMA_DATA): keys,
database, the sandbox's book; the next start goes on with them. Ctrl-C stops everything cleanly.
"""

import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

READY_SECONDS = 60.0
STOP_SECONDS = 40.0


class CannotStart(Exception):
    """Something stands in the way; the message says what to do."""


def main() -> int:
    """Run the demo until Ctrl-C or SIGTERM; return the exit code."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    started = time.monotonic()
    children: list[tuple[str, subprocess.Popen[bytes]]] = []
    try:
        environment = prepare()
        _run(environment, children, stop, started)
    except CannotStart as problem:
        sys.stderr.write(f"saoma: {problem}\n")
        return 2
    finally:
        _stop(children)
    return 0


def prepare() -> dict[str, str]:
    """Make the folder and the keys on the first start; return the environment of the processes."""
    data = Path(os.environ.get("SAOMA_DATA") or ROOT / "var").resolve()
    data.mkdir(parents=True, exist_ok=True)
    port, sandbox_port = _port("SAOMA_PORT", 8000), _port("SAOMA_SANDBOX_PORT", 8001)
    file = data / "demo.env"
    if not file.exists():
        kept = {
            "SAOMA_DEMO": "1",
            "SAOMA_MASTER_KEYS": f"1:{_new_key()}",
            "SAOMA_CODE_KEY": _new_key(),
            "SAOMA_LINK_PREFIX": "https://demo.saoma.example/q/",
            "SAOMA_PUBLIC_URL": "https://demo.saoma.example",
        }
        _write_private(file, "".join(f"{name}={value}\n" for name, value in kept.items()))
    lines = file.read_text().splitlines()
    kept = dict(line.split("=", 1) for line in lines if "=" in line)
    for name, number in (("SAOMA_PORT", port), ("SAOMA_SANDBOX_PORT", sandbox_port)):
        kept[name] = str(number)
        _require_free(name, number)
    kept["SAOMA_DATA"] = str(data)
    kept.setdefault("SAOMA_CAPTCHA_APP_ID", "190000001")
    for name in ("SECRET_ID", "SECRET_KEY", "APP_KEY"):
        kept.setdefault(f"SAOMA_CAPTCHA_{name}", secrets.token_hex(16))
    _write_private(file, "".join(f"{name}={value}\n" for name, value in kept.items()))
    # A line per request would push the addresses off the screen.
    quiet = {"SAOMA_LOG_LEVEL": "WARNING"}
    return {**quiet, **os.environ, **kept, "PYTHONPATH": str(ROOT)}


def _run(
    environment: dict[str, str],
    children: list[tuple[str, subprocess.Popen[bytes]]],
    stop: threading.Event,
    started: float,
) -> None:
    # After the environment is known, and not before: it brings the whole product with it.
    from bin.demo_brand import seed  # noqa: PLC0415

    port, sandbox_port = environment["SAOMA_PORT"], environment["SAOMA_SANDBOX_PORT"]
    product, sandbox = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    journal = str(Path(environment["SAOMA_DATA"]) / "sandbox.journal")
    _say("starting the sandbox (a local WeChat and WeChat Pay)")
    sandbox_command = ["-m", "sandbox", "--port", sandbox_port, "--product-url", product]
    _start(
        children, "sandbox", [*sandbox_command, "--journal", journal, "--log-level", "WARNING"], environment
    )
    _wait(f"{sandbox}/_sandbox/book", children, stop)
    if stop.is_set():
        return
    seed(environment, sandbox, _say)
    _say("starting the web server and the scheduler")
    _start(children, "web", ["-m", "gunicorn", "wsgi:app"], environment)
    _wait(f"{product}/readyz", children, stop)
    if stop.is_set():
        return
    _say(f"ready after {time.monotonic() - started:.0f} s")
    sys.stdout.write(
        f"\n  Start page       {product}/\n"
        f"  QR sheet         {product}/sheet\n"
        f"  Shopper's phone  {sandbox}/phone\n"
        f"  API pages        {product}/miniprogram/docs\n"
        "  Operator         set -a; . " + environment["SAOMA_DATA"] + "/demo.env; set +a;"
        " bin/saoma login olga  (password: demo-accounts.txt beside it)\n\n"
        "  Ctrl-C stops it; the data stay in " + environment["SAOMA_DATA"] + "\n\n"
    )
    sys.stdout.flush()
    while not stop.wait(0.5):
        _require_alive(children)


def _start(
    children: list[tuple[str, subprocess.Popen[bytes]]],
    name: str,
    arguments: list[str],
    environment: Mapping[str, str],
) -> None:
    # A session of its own: Ctrl-C reaches us alone, and we end the children in order.
    command = [sys.executable, *arguments]
    children.append(
        (name, subprocess.Popen(command, env=dict(environment), cwd=ROOT, start_new_session=True))
    )


def _stop(children: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    # The web server first: it lets its requests and calls end while the sandbox still answers.
    for name, child in reversed(children):
        if child.poll() is None:
            _say(f"stopping {name}")
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait(url: str, children: list[tuple[str, subprocess.Popen[bytes]]], stop: threading.Event) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and not stop.is_set():
        _require_alive(children)
        try:
            with urlopen(url, timeout=2) as answer:  # noqa: S310 - an http address of ours
                if answer.status == 200:
                    return
        except (URLError, OSError):
            pass
        stop.wait(0.1)
    if not stop.is_set():
        raise CannotStart(f"{url} does not answer after {READY_SECONDS:.0f} s; look at the lines above")


def _require_alive(children: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    for name, child in children:
        if child.poll() is not None:
            raise CannotStart(f"{name} ended by itself with code {child.returncode}; look at the lines above")


def _port(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise CannotStart(f"{name} must be a port number from 1 to 65535")
    return int(text)


def _require_free(name: str, number: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            raise CannotStart(
                f"port {number} is in use; end what uses it or choose another: {name}={number + 10} make run"
            ) from None


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(file)


def _say(text: str) -> None:
    sys.stdout.write(f"saoma: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
