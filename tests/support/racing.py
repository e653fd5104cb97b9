"""Races that really race: everybody waits at a barrier, and contention is measured, not assumed."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from app.db.engine import Database

CONNECTIONS = 64
_TOGETHER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RaceResult:
    """What came of a race: one answer or exception per runner, in their order."""

    answers: list[Any]
    lock_waits: int

    @property
    def errors(self) -> list[Exception]:
        """The exceptions among the answers."""
        return [answer for answer in self.answers if isinstance(answer, Exception)]

    @property
    def values(self) -> list[Any]:
        """The answers that are no exceptions."""
        return [answer for answer in self.answers if not isinstance(answer, Exception)]


def racing_database(url: str, runners: int = CONNECTIONS) -> Database:
    """Return a database with as many connections as there are runners, all of them open."""
    database = Database(url, pool_size=runners)
    connections = [database.engine.connect() for _ in range(runners)]
    for connection in connections:
        connection.close()
    return database


def race(db: Database, runners: Sequence[Callable[[], Any]], *, seed: int) -> RaceResult:
    """Run all `runners` at once, each in its own thread; `seed` shuffles and staggers them a little.

    `lock_waits` is how often InnoDB made somebody wait for a row meanwhile: a race without any proves
    nothing, so callers assert it.
    """
    order = random.Random(seed)
    barrier = threading.Barrier(len(runners))
    answers: list[Any] = [None] * len(runners)
    pauses = [order.uniform(0, 0.002) if order.random() < 0.3 else 0.0 for _ in runners]

    def run(number: int) -> None:
        barrier.wait(_TOGETHER_SECONDS)
        time.sleep(pauses[number])
        try:
            answers[number] = runners[number]()
        except Exception as error:  # noqa: BLE001 - what it raised is its answer
            answers[number] = error

    before = _lock_waits(db)
    numbers = list(range(len(runners)))
    order.shuffle(numbers)
    threads = [threading.Thread(target=run, args=(number,), name=f"runner-{number}") for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_TOGETHER_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "a runner is stuck"
    return RaceResult(answers, _lock_waits(db) - before)


def _lock_waits(db: Database) -> int:
    with db.read() as session:
        row = session.execute(text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'")).one()
    return int(row[1])
