"""The baselines: bare Flask views that send SQL by bare pymysql, on the same kind of server.

`/scans` and `/draws` send the very statements that the product sends for a scan and a draw (bench.capture),
each request with numbers of its own, and answer with JSON of the same size. `/five` is one fixed transaction
of five statements: select by unique key, insert once, insert an entry, a guarded update of the one hot row
last, commit. Nothing is judged, checked, logged or limited here.
"""

import itertools
import json
import os
import pickle
import queue
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql
from flask import Flask, Response, request

from bench.capture import COMMIT, DIGEST, FORMAT, NEW_ID, Template

PLAN_VARIABLE = "SAOMA_BENCH_PLAN"
FIVE_CODES = 50_000
FIVE_TABLES = (
    "CREATE TABLE five_codes (id BIGINT PRIMARY KEY, code CHAR(16) NOT NULL UNIQUE, batch BIGINT NOT NULL)",
    f"INSERT INTO five_codes SELECT seq, LPAD(seq, 16, 'A'), 1 FROM seq_1_to_{FIVE_CODES}",
    "CREATE TABLE five_claims (code_id BIGINT PRIMARY KEY, person BIGINT NOT NULL, at DATETIME(6) NOT NULL)",
    "CREATE TABLE five_entries (id BIGINT PRIMARY KEY, person BIGINT NOT NULL, amount BIGINT NOT NULL)",
    "CREATE TABLE five_budgets (id BIGINT PRIMARY KEY, left_fen BIGINT NOT NULL)",
    "INSERT INTO five_budgets VALUES (1, 1000000000000)",
)


class _Pool:
    """Connections to one server; each is used by one request at a time and by the next one after it."""

    def __init__(self, server: dict[str, Any]) -> None:
        self._server = server
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()

    def transact(self, work: Callable[[Any], Any]) -> Any:
        """Run `work` with a cursor; its statements end with a commit."""
        connection = None
        with suppress(queue.Empty):
            connection = self._free.get_nowait()
        if connection is None:
            connection = self._connect()
        try:
            with connection.cursor() as cursor:
                return work(cursor)
        except BaseException:
            connection.rollback()
            raise
        finally:
            self._free.put(connection)

    def _connect(self) -> Any:
        connection = pymysql.connect(**self._server, charset="utf8mb4", autocommit=False)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.commit()
        return connection


class _Ids:
    """Ids of this process that no other makes: time, process, count."""

    def __init__(self) -> None:
        self._base = (int(datetime.now(UTC).timestamp()) << 30) | ((os.getpid() & 0x3F) << 24)
        self._count = itertools.count(1)

    def new(self) -> int:
        return self._base + next(self._count)


class _Player:
    """Sends the statements of one template."""

    def __init__(self, template: Template, ids: _Ids) -> None:
        self._template = template
        self._ids = ids

    def play(self, cursor: Any, given: dict[str, Any]) -> dict[str, Any]:
        """Send all statements, fetching what they return; return the slots as they were filled."""
        slots = self._fill(given)
        for statement in self._template.statements:
            if statement.sql == COMMIT:
                cursor.connection.commit()
                continue
            rows: Any = statement.rows
            if statement.slots:
                rows = [dict(row) for row in rows]
                for row, parameter, name in statement.slots:
                    rows[row][parameter] = slots[name]
            if statement.many:
                cursor.executemany(statement.sql, rows)
            else:
                cursor.execute(statement.sql, rows[0])
            cursor.fetchall()
        return slots

    def _fill(self, given: dict[str, Any]) -> dict[str, Any]:
        slots, now = dict(given), datetime.now(UTC).replace(tzinfo=None)
        for name, (kind, text) in self._template.made.items():
            if kind == NEW_ID:
                slots[name] = self._ids.new()
            elif kind == DIGEST:
                slots[name] = os.urandom(32)
            elif kind == FORMAT:
                slots[name] = text.format_map(slots)
            else:
                slots[name] = now
        return slots


def create() -> Flask:
    """Return the application of the plan that the environment names."""
    plan: dict[str, Any] = pickle.loads(Path(os.environ[PLAN_VARIABLE]).read_bytes())
    app, pool, ids = Flask(__name__), _Pool(plan["server"]), _Ids()
    scan, draw = _Player(plan["scan"], ids), _Player(plan["draw"], ids)

    @app.get("/ready")
    def ready() -> str:
        return "ready"

    @app.post("/scans")
    def scans() -> Response:
        slots = pool.transact(lambda cursor: scan.play(cursor, request.get_json()))
        answer = dict(plan["scan_answer"])
        answer["scan"] = {**answer["scan"], "id": str(slots[plan["scan_slot"]])}
        return Response(json.dumps(answer, ensure_ascii=False), 201, content_type="application/json")

    @app.post("/draws")
    def draws() -> Response:
        given = request.get_json()
        given["scan"] = int(given["scan"])
        pool.transact(lambda cursor: draw.play(cursor, given))
        return Response(
            json.dumps(plan["draw_answer"], ensure_ascii=False), 201, content_type="application/json"
        )

    @app.post("/five")
    def five() -> Response:
        code, person = (request.get_json()[name] for name in ("code", "person"))
        pool.transact(lambda cursor: _five(cursor, code, person, ids.new()))
        return Response('{"done":true}', 201, content_type="application/json")

    return app


def _five(cursor: Any, code: str, person: int, entry: int) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    cursor.execute("SELECT id, batch FROM five_codes WHERE code = %s", (code,))
    ((code_id, _batch),) = cursor.fetchall()
    cursor.execute(
        "INSERT INTO five_claims (code_id, person, at) VALUES (%s, %s, %s)", (code_id, person, now)
    )
    cursor.execute("INSERT INTO five_entries (id, person, amount) VALUES (%s, %s, 100)", (entry, person))
    cursor.execute("UPDATE five_budgets SET left_fen = left_fen - 100 WHERE id = 1 AND left_fen >= 100")
    if cursor.rowcount != 1:
        raise RuntimeError("the budget is used up")
    cursor.connection.commit()
