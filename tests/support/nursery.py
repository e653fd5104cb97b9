"""Makes processes of the product in a few milliseconds each, so that many can be killed.

A nursery is a process that has imported everything, holds no connection and has no thread, and forks one
child per order. A fork of the test process itself would copy its threads' locks and its connections.

    with Nursery() as nursery:
        child = nursery.bear(order)
        assert child.end() == -signal.SIGKILL

A nursery bears one child at a time. Who needs several at once asks it for wards: forks of it that bear
children themselves, since importing the product again takes longer than the lives of twenty children.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, NoReturn, Self

from tests.support.compiled import routes_once, statements_once
from tests.support.doomed import Order, obey, warm

_ROOT = Path(__file__).resolve().parents[2]
_READY = "ready"
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Child:
    """A process that carries out its order."""

    pid: int
    _ward: "Ward"

    def kill(self) -> None:
        """Kill it now, wherever it is."""
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Wait for its end; return its exit code, or the negative number of the signal that ended it."""
        return int(self._ward.listen())


class Ward:
    """Where children are borne, as the tests see it. One child at a time."""

    def __init__(self, pid: int, orders: IO[str], answers: IO[str]) -> None:
        self._pid, self._orders, self._answers = pid, orders, answers

    def bear(self, order: Order) -> Child:
        """Fork a child that carries out `order`."""
        self.tell({"order": asdict(order)})
        return Child(int(self.listen()), self)

    def tell(self, what: dict[str, object]) -> None:
        """Say something to the other side."""
        self._orders.write(json.dumps(what) + "\n")
        self._orders.flush()

    def listen(self) -> str:
        """Return its next word; kill it when it does not speak."""
        watchdog = threading.Timer(_PATIENCE_SECONDS, os.kill, [self._pid, signal.SIGKILL])
        watchdog.start()
        try:
            return self._answers.readline().strip()
        finally:
            watchdog.cancel()

    def close(self) -> None:
        """Let it end; return when it has."""
        self._orders.close()
        self.listen()
        self._answers.close()


class Nursery(Ward):
    """The process that everything is forked from."""

    def __init__(self) -> None:
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nursery"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        super().__init__(process.pid, process.stdin, process.stdout)

    def __enter__(self) -> Self:
        """Return when it is warm."""
        if self.listen() != _READY:
            raise RuntimeError("the nursery did not start; its stderr says why")
        return self

    def __exit__(self, *_exception: object) -> None:
        """End it."""
        self.close()
        self._process.wait(_PATIENCE_SECONDS)

    @contextmanager
    def ward(self) -> Iterator[Ward]:
        """Yield a fork of this nursery, which must have no child just now."""
        with tempfile.TemporaryDirectory() as folder:
            orders, answers = Path(folder, "orders"), Path(folder, "answers")
            os.mkfifo(orders)
            os.mkfifo(answers)
            self.tell({"ward": [str(orders), str(answers)]})
            pid = int(self.listen())
            # Opened in the same order on both sides: each waits for the other.
            ward = Ward(pid, orders.open("w"), answers.open())
        try:
            yield ward
        finally:
            ward.close()


def _main() -> None:
    # What is there already is there to stay; a child that never collects never copies it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    _say(sys.stdout, _READY)
    with statements_once(), routes_once():
        _work(sys.stdin, sys.stdout)


def _work(said: Iterable[str], answers: IO[str]) -> None:
    for line in said:
        told = json.loads(line)
        if "ward" in told:
            pid = os.fork()
            if pid == 0:
                _be_ward(*told["ward"])
            _say(answers, pid)
            continue
        order = Order(**told["order"])
        warm(order)
        pid = os.fork()
        if pid == 0:
            os._exit(_live(order))
        _say(answers, pid)
        _, status = os.waitpid(pid, 0)
        _say(answers, os.waitstatus_to_exitcode(status))


def _be_ward(orders: str, answers: str) -> NoReturn:
    with Path(orders).open() as said, Path(answers).open("w") as to:
        _work(said, to)
    os._exit(0)


def _live(order: Order) -> int:
    try:
        obey(order)
    except BaseException:  # noqa: BLE001 - a fork must not run on as if it were its parent
        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


def _say(to: IO[str], word: object) -> None:
    to.write(f"{word}\n")
    to.flush()


if __name__ == "__main__":
    _main()
