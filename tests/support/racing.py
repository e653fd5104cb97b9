"""Races that really race: everybody waits at a barrier, and contention is brought about, not hoped for.

Threads behind a barrier are let go one after the other, so on a slow machine the first may have committed
before the last has begun, and what was to be a race is a queue. So whoever comes to commit is held, with
all rows still locked, until somebody waits for a row; for a quarter of a second, when nobody ever does.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from app.db.engine import Database

CONNECTIONS = 64
PATIENCE_SECONDS = 0.25
"""How long a commit is held when nobody waits for it."""
_TOGETHER_SECONDS = 60.0
_LOOK_SECONDS = 0.005
_LIST_SECONDS = 0.11


@dataclass(frozen=True, slots=True)
class RaceResult:
    """What came of a race: one answer or exception per runner, in their order.

    `lock_waits` is how many runners were seen to wait for a row of another one when it was about to commit.
    """

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

    A race in which nobody waited for anybody proves nothing, so callers assert `lock_waits`.
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

    numbers = list(range(len(runners)))
    order.shuffle(numbers)
    threads = [threading.Thread(target=run, args=(number,), name=f"runner-{number}") for number in numbers]
    with _commits_held(db) as met:
        for thread in threads:
            thread.start()
        waiting = _await_contention(db, threads)
        met.set()
        for thread in threads:
            thread.join(_TOGETHER_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "a runner is stuck"
    return RaceResult(answers, waiting)


@contextmanager
def _commits_held(db: Database) -> Iterator[threading.Event]:
    """Hold every commit until the event is set, but none for longer than it is worth."""
    met = threading.Event()
    dialect = db.engine.dialect
    commit = dialect.do_commit

    def hold(connection: Any) -> None:
        met.wait(PATIENCE_SECONDS)
        commit(connection)

    # No listener of the engine: the product's short cut to the driver makes way for those.
    dialect.do_commit = hold  # type: ignore[assignment,method-assign]
    try:
        yield met
    finally:
        del dialect.do_commit


def _await_contention(db: Database, threads: Sequence[threading.Thread]) -> int:
    """Return how many runners wait for a row as soon as one does; 0 when all have ended and none ever did."""
    with db.engine.connect() as connection:
        while any(thread.is_alive() for thread in threads):
            if int(connection.execute(_ANYBODY_WAITS).one()[1]):
                # On this server; whether in this database is a list that InnoDB makes anew only for
                # whoever has not asked for a tenth of a second.
                waiting = int(connection.execute(_WAITING).scalar_one())
                if waiting:
                    return waiting
                time.sleep(_LIST_SECONDS)
            time.sleep(_LOOK_SECONDS)
    return 0


_ANYBODY_WAITS = text("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
_WAITING = text(
    "SELECT COUNT(*) FROM information_schema.innodb_trx"
    " JOIN information_schema.processlist ON id = trx_mysql_thread_id"
    " WHERE trx_state = 'LOCK WAIT' AND db = DATABASE()"
)
