"""Makes processes of the product in a few milliseconds each, so that many can be killed.

A nursery is a process that has imported everything, holds no connection and has no thread, and forks one
child per order. A fork of the test process itself would copy its threads' locks and its connections.

    with Nursery() as nursery:
        child = nursery.bear(order)
        assert child.end() == -signal.SIGKILL
"""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from tests.support.doomed import Order, obey, warm

_ROOT = Path(__file__).resolve().parents[2]
_READY = "ready"
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Child:
    """A process that carries out its order."""

    pid: int
    _nursery: "Nursery"

    def kill(self) -> None:
        """Kill it now, wherever it is."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Wait for its end; return its exit code, or the negative number of the signal that ended it."""
        return int(self._nursery.listen())


class Nursery:
    """The nursery as the tests see it. One child at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start it; return when it is warm."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self.listen() != _READY:
            raise RuntimeError("the nursery did not start; its stderr says why")
        return self

    def __exit__(self, *_exception: object) -> None:
        """End it."""
        self._input.close()
        self._running.wait(_PATIENCE_SECONDS)
        self._output.close()

    def bear(self, order: Order) -> Child:
        """Fork a child that carries out `order`."""
        self._input.write(json.dumps(asdict(order)) + "\n")
        self._input.flush()
        return Child(int(self.listen()), self)

    def listen(self) -> str:
        """Return the nursery's next word; kill it when it does not speak."""
        watchdog = threading.Timer(_PATIENCE_SECONDS, self._running.kill)
        watchdog.start()
        try:
            return self._output.readline().strip()
        finally:
            watchdog.cancel()

    @property
    def _running(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process

    @property
    def _input(self) -> IO[str]:
        assert self._running.stdin is not None
        return self._running.stdin

    @property
    def _output(self) -> IO[str]:
        assert self._running.stdout is not None
        return self._running.stdout


def _main() -> None:
    # What is there already is there to stay; a child that never collects never copies it.
    gc.collect()
    gc.freeze()
    _say(_READY)
    for line in sys.stdin:
        order = Order(**json.loads(line))
        warm(order)
        pid = os.fork()
        if pid == 0:
            os._exit(_live(order))
        _say(pid)
        _, status = os.waitpid(pid, 0)
        _say(os.waitstatus_to_exitcode(status))


def _live(order: Order) -> int:
    try:
        obey(order)
    except BaseException:  # noqa: BLE001 - a fork must not run on as if it were its parent
        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
