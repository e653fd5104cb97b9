"""``python -m sandbox``: runs the local Tencent until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from sandbox.errors import AdminError
from sandbox.journal import JournalError
from sandbox.server import SandboxServer
from sandbox.settings import Settings
from sandbox.world import World


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A local Tencent for Saoma.")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8001, help="port, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument("--product-url", default=defaults.product_url, help="origin of the product")
    parser.add_argument("--journal", type=Path, help="file that keeps the book over a restart")
    parser.add_argument(
        "--strict-unverified",
        action="store_true",
        help="enforce what the platform's contracts leave unverified",
    )
    parser.add_argument("--no-limits", action="store_true", help="do not enforce call frequencies")
    parser.add_argument(
        "--callback-speed", type=float, default=1.0, help="divisor of the callback retry delays"
    )
    parser.add_argument(
        "--transfer-seconds",
        type=float,
        default=defaults.transfer_seconds,
        help="how long money is on its way",
    )
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Runs the sandbox. Returns 0 after a clean stop, 2 when it cannot start (one line on stderr says
    why)."""
    options = parse(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = Settings(
            product_url=options.product_url,
            strict_unverified=options.strict_unverified,
            limits=not options.no_limits,
            callback_speed=options.callback_speed,
            transfer_seconds=options.transfer_seconds,
        )
        server = SandboxServer(World(settings, options.journal), host=options.host, port=options.port)
        server.start()
    except (AdminError, JournalError, OSError) as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    # Whoever started the sandbox reads this line to learn the port.
    sys.stdout.write(f"sandbox listening on http://{options.host}:{server.port}\n")
    sys.stdout.flush()
    stop.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
