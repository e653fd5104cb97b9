"""Draining no-op effects against a bare loop with the same claims and the same transactions.

The baseline speaks pymysql directly and does, batch by batch, what the drain loop does: lock due rows,
lease them, write attempt rows, commit; lock them again, write outcomes, copy to the finished table, delete,
commit.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from time import perf_counter
from typing import Any

import pymysql
from sqlalchemy import insert
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.kernel.clock import SystemClock
from app.kernel.ids import new_id
from app.outbox.contracts import Call, Done, EffectKind, Message, Settlement, Skip
from app.outbox.drain import Drainer
from app.outbox.models import MessageState, OutboxMessage
from app.outbox.registry import Registry
from bench.row import Row, at_least, figure
from bench.support import Bench

MESSAGES = 6_000
BATCH = 500
REPEATS = 5


class NoOp:
    """An effect whose call does nothing."""

    topic = "bench.noop"
    kind = EffectKind.IDEMPOTENT
    batch_size = BATCH
    concurrency = 1
    deadline_seconds = 1.0

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> Sequence[Call | Skip]:
        """Call for every message."""
        return [Call(None) for _ in messages]

    def perform(self, request: Any) -> object:
        """Do nothing."""
        return None

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> Sequence[Settlement]:
        """Be done."""
        return [Done()] * len(results)


def run(bench: Bench) -> list[Row]:
    """Measure both in turns on one server; return the ratio of their medians."""
    with bench.database("drain") as (db, url):
        ours, bare = [], []
        for _ in range(bench.of(REPEATS, 1)):
            _fill(db)
            ours.append(_drain(db))
            _fill(db)
            bare.append(_bare(url))
    return [
        figure("drain_per_second", median(ours), "messages/s"),
        at_least("drain_vs_bare", median(ours) / median(bare), "ratio", 0.60),
    ]


def _fill(db: Database) -> None:
    now = datetime.now(UTC)
    rows = [
        {
            "id": new_id(),
            "topic": NoOp.topic,
            "key": str(new_id()),
            "group_key": "",
            "payload": {"bill": number},
            "state": MessageState.PENDING,
            "due_at": now,
            "enqueued_at": now,
            "attempts": 0,
            "failures": 0,
            "in_flight": False,
        }
        for number in range(MESSAGES)
    ]
    db.transact(lambda session: session.execute(insert(OutboxMessage), rows))


def _drain(db: Database) -> float:
    drainer = Drainer(db, Registry(effects=[NoOp()]), SystemClock(), worker="bench")
    started = perf_counter()
    handled = drainer.until_idle(seconds=120).handled
    elapsed = perf_counter() - started
    drainer.close()
    assert handled == MESSAGES
    return handled / elapsed


_CLAIM = (
    "SELECT id, `key`, group_key, payload, attempts, failures, in_flight"
    " FROM outbox_messages WHERE topic = %s AND state = 'pending' AND due_at <= %s"
    " AND (lease_until IS NULL OR lease_until < %s) ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED"
)


def _bare(url: str) -> float:
    parts = make_url(url)
    connection = pymysql.connect(
        host=parts.host,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.database,
        charset="utf8mb4",
    )
    cursor = connection.cursor()
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    handled, started = 0, perf_counter()
    while batch := _bare_batch(connection, cursor):
        handled += batch
    elapsed = perf_counter() - started
    connection.close()
    assert handled == MESSAGES
    return handled / elapsed


def _bare_batch(connection: Any, cursor: Any) -> int:
    connection.begin()
    cursor.execute("SELECT UTC_TIMESTAMP(6)")
    (moment,) = cursor.fetchone()
    cursor.execute(_CLAIM, (NoOp.topic, datetime.now(UTC).replace(tzinfo=None), moment, BATCH))
    rows = cursor.fetchall()
    if not rows:
        connection.rollback()
        return 0
    ids = [row[0] for row in rows]
    marks = ", ".join(["%s"] * len(ids))
    cursor.execute(
        "UPDATE outbox_messages SET attempts = attempts + 1, in_flight = 1, lease_owner = 'bench',"
        f" lease_until = %s + INTERVAL 60 SECOND WHERE id IN ({marks})",
        [moment, *ids],
    )
    cursor.execute(
        "INSERT INTO outbox_attempts (message_id, number, worker, started_at)"
        f" SELECT id, attempts, 'bench', %s FROM outbox_messages WHERE id IN ({marks})",
        [moment, *ids],
    )
    connection.commit()
    connection.begin()
    cursor.execute(
        f"SELECT id, attempts FROM outbox_messages WHERE id IN ({marks}) ORDER BY id FOR UPDATE", ids
    )
    cursor.fetchall()
    cursor.execute("SELECT UTC_TIMESTAMP(6)")
    (moment,) = cursor.fetchone()
    cursor.execute(
        "UPDATE outbox_attempts SET finished_at = %s, outcome = 'done'"
        f" WHERE message_id IN ({marks}) AND number = 1",
        [moment, *ids],
    )
    cursor.execute(
        "INSERT INTO outbox_finished (id, topic, `key`, attempts, enqueued_at, finished_at)"
        f" SELECT id, topic, `key`, attempts, enqueued_at, %s FROM outbox_messages WHERE id IN ({marks})",
        [moment, *ids],
    )
    cursor.execute(f"DELETE FROM outbox_messages WHERE id IN ({marks})", ids)
    connection.commit()
    return len(ids)
