"""A scan and a draw over HTTP, against bare programs on the same server, database and client.

One round puts the same number of requests on each of four servers, one after the other: the product on a
database that was empty, the bare program that sends the same SQL, the bare program with the fixed transaction
of five statements, and the product on a large database (a hundred batches of a hundred million codes, five
million scans). What is compared are requests per second, a scan and a draw being two requests and the five
statements one; each ratio is formed within a round, and the median of the rounds is told.
"""

import base64
import itertools
import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from flask import Flask
from sqlalchemy import text
from sqlalchemy.engine import make_url

import miniprogram_api
from app.config import load_settings
from app.db import migrate
from app.db.engine import Database
from app.factory import Container, build_container, create_app
from bench import bare, scene, server
from bench.capture import COMMIT, Sent, listen, template
from bench.row import Row, at_least, at_most, figure
from bench.scene import Scene, Visit
from bench.support import Bench, say

CONNECTIONS = 32
ROUNDS = 7
PAIRS = 1_200
SHOPPERS = 1_000
STARTS = 5

_TARGETS = ("ours", "same", "five", "large")
_API = "/miniprogram/v1"


def run(bench: Bench) -> list[Row]:
    """Measure; about four minutes, half of them making the large database."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="saoma-bench-")))
        empty = stack.enter_context(stage(bench, "scan_draw", data))
        large = stack.enter_context(stage(bench, "scan_draw_large", data))
        say("filling the large database")
        _fill(bench, large)
        say("writing down the statements of a scan and a draw")
        plan, counts = _plan(empty)
        (data / "plan").write_bytes(pickle.dumps(plan))
        ready = _ready_seconds(bench, empty)
        servers = {
            "ours": stack.enter_context(server.product(empty.environment)),
            "same": stack.enter_context(server.bare({bare.PLAN_VARIABLE: str(data / "plan")})),
            "large": stack.enter_context(server.product(large.environment)),
        }
        rounds = _Rounds(bench, empty, large, servers)
        found = rounds.run()
        rss = max(servers["ours"].workers_rss_mb() + servers["large"].workers_rss_mb())
    return [
        at_most("scan_statements", counts["scan"], "statements", 12),
        at_most("draw_statements", counts["draw"], "statements", 12),
        figure("scan_draw_per_second", median(it["ours"].rate for it in found), "requests/s"),
        figure("scan_draw_p50_ms", median(it["ours"].p50_ms for it in found), "ms"),
        figure("scan_draw_p99_ms", median(it["ours"].p99_ms for it in found), "ms"),
        figure("same_sql_per_second", median(it["same"].rate for it in found), "requests/s"),
        figure("same_sql_p99_ms", median(it["same"].p99_ms for it in found), "ms"),
        figure("bare5_per_second", median(it["five"].rate for it in found), "requests/s"),
        at_least("scan_draw_vs_same_sql", _ratio(found, "ours", "same"), "ratio", 0.60),
        at_least("scan_draw_vs_bare5", _ratio(found, "ours", "five"), "ratio", 0.40),
        at_most(
            "scan_draw_p99_vs_same_sql", median(it["ours"].p99_ms / it["same"].p99_ms for it in found), "x", 2
        ),
        at_most("scan_draw_large_vs_empty", _ratio(found, "ours", "large"), "x", 1.2),
        at_most("worker_ready_s", ready, "s", 2),
        at_most("worker_rss_mb", rss, "MB", 150),
    ]


@dataclass(frozen=True, slots=True)
class Stage:
    """A database with a scene, and the environment of a product on it."""

    container: Container
    scene: Scene
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Figures:
    """One server's figures of one round."""

    rate: float
    p50_ms: float
    p99_ms: float


def _ratio(found: Sequence[Mapping[str, _Figures]], above: str, below: str) -> float:
    return median(it[above].rate / it[below].rate for it in found)


@contextmanager
def stage(bench: Bench, name: str, data: Path) -> Iterator[Stage]:
    """Yield a migrated database of this name with a brand, a campaign and members."""
    url = bench.server.create_database(name)
    db = Database(url)
    migrate.upgrade(db)
    db.dispose()
    environment = {
        "SAOMA_DATA": str(data / name),
        "SAOMA_DATABASE_URL": url,
        "SAOMA_MASTER_KEYS": "1:" + base64.b64encode(bytes(range(32))).decode(),
        "SAOMA_CODE_KEY": base64.b64encode(bytes(32)).decode(),
        "SAOMA_LINK_PREFIX": "https://m.example.com/q/",
        "SAOMA_PUBLIC_URL": "https://m.example.com",
        # Nothing answers on the discard port; a scan and a draw call nobody.
        "SAOMA_WECHAT_API_URL": "http://127.0.0.1:9",
        "SAOMA_PAY_API_URL": "http://127.0.0.1:9",
    }
    container = build_container(load_settings(environment))
    shoppers = bench.of(SHOPPERS, 20)
    say(f"{name}: a brand, a campaign and {shoppers} members")
    try:
        yield Stage(container, scene.set_up(container, shoppers=shoppers), environment)
    finally:
        container.close()


def _fill(bench: Bench, large: Stage) -> None:
    with bench.relaxed():
        scene.fill(
            large.container.db,
            batches=bench.of(scene.LARGE_BATCHES, 3),
            scans=bench.of(scene.LARGE_SCANS, 10_000),
        )


def _ready_seconds(bench: Bench, stage: Stage) -> float:
    """Return the time from the start of a server with one worker to its first answer from the database."""
    say("starting web workers")
    seconds = []
    for _ in range(bench.of(STARTS, 1)):
        with server.product(stage.environment, workers=1) as started:
            seconds.append(started.ready_seconds)
    return median(seconds)


def _plan(stage: Stage) -> tuple[dict[str, Any], dict[str, int]]:
    """Return what the bare program needs, and how many statements a scan and a draw send."""
    app = create_app(stage.container, [miniprogram_api])
    for visit in stage.scene.visits(2, among=2):  # what a process reads once, it has read then
        _play(app, visit)
    one, two = (_capture(app, stage, visit) for visit in stage.scene.visits(2, among=2))
    scan = template(one.scan, two.scan, (one.known, two.known))
    scan_slot = scan.slot_of(one.scan_id)
    one.known[one.scan_id] = two.known[two.scan_id] = "scan"
    draw = template(one.draw, two.draw, (one.known, two.known))
    url = make_url(stage.environment["SAOMA_DATABASE_URL"])
    plan = {
        "server": {"host": url.host, "port": url.port, "user": url.username, "database": url.database},
        "scan": scan,
        "draw": draw,
        "scan_answer": one.scan_answer,
        "draw_answer": one.draw_answer,
        "scan_slot": scan_slot,
    }
    with stage.container.db.engine.connect() as connection:
        for statement in bare.FIVE_TABLES:
            connection.execute(text(statement))
        connection.commit()
    return plan, {"scan": _count(one.scan), "draw": _count(one.draw)}


@dataclass(frozen=True, slots=True)
class _Captured:
    """What one visit sent, what it was answered, and the numbers it was made for."""

    scan: Sequence[Sent]
    draw: Sequence[Sent]
    scan_answer: dict[str, Any]
    draw_answer: dict[str, Any]
    scan_id: int
    known: dict[int, str]


def _count(sent: Sequence[Sent]) -> int:
    return sum(it.sql != COMMIT for it in sent)


def _capture(app: Flask, stage: Stage, visit: Visit) -> _Captured:
    with listen(stage.container.db) as sent:
        scan_answer, draw_answer = _play(app, visit)
    end = [it.sql for it in sent].index(COMMIT) + 1
    scan_id = stage.container.public_ids.decode("sc", scan_answer["scan"]["id"])
    who = visit.shopper.principal
    known = {who.session_id: "session", who.person_id: "person", visit.code_index: "index"}
    return _Captured(sent[:end], sent[end:], scan_answer, draw_answer, scan_id, known)


def _play(app: Flask, visit: Visit) -> tuple[dict[str, Any], dict[str, Any]]:
    client, answers = app.test_client(), list[dict[str, Any]]()
    for step in job(visit):
        body = step["body"].replace("{scan}", answers[0]["scan"]["id"] if answers else "")
        response = client.post(
            step["path"], headers=step["headers"], data=body, content_type="application/json"
        )
        if response.status_code != HTTPStatus.CREATED:
            raise RuntimeError(response.get_data(as_text=True))
        answers.append(response.get_json())
    return answers[0], answers[1]


def job(visit: Visit) -> list[dict[str, Any]]:
    """Return a scan and a draw as the load generator sends them to the product."""
    bearer = {"Authorization": f"Bearer {visit.shopper.token}"}
    return [
        {"path": f"{_API}/scans", "headers": bearer, "body": json.dumps({"code": visit.code})},
        {
            "path": f"{_API}/draws",
            "headers": {**bearer, "Idempotency-Key": f"draw-{visit.code_index}"},
            "body": '{"scan": "{scan}"}',
        },
    ]


def _bare_job(visit: Visit) -> list[dict[str, Any]]:
    """Return the same for the bare program, which is told by number what to fill in."""
    who = visit.shopper.principal
    numbers = {"session": who.session_id, "person": who.person_id, "index": visit.code_index}
    return [
        {"path": "/scans", "headers": {}, "body": json.dumps(numbers)},
        {"path": "/draws", "headers": {}, "body": json.dumps({**numbers, "scan": "{scan}"})},
    ]


def _five_job(number: int) -> list[dict[str, Any]]:
    body = json.dumps({"code": f"{number:A>16}", "person": number % 1000})
    return [{"path": "/five", "headers": {}, "body": body}]


@dataclass(slots=True)
class _Rounds:
    """Plays the rounds; every server's rows are counted afterwards, so that no work was left out."""

    bench: Bench
    empty: Stage
    large: Stage
    servers: Mapping[str, server.Server]
    _fives: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def run(self) -> list[dict[str, _Figures]]:
        """Return the figures of each round by target; a first round warms everything up and is not told."""
        number, pairs = self.bench.of(ROUNDS, 1), self.bench.of(PAIRS, 40)
        found = []
        for turn in range(number + 1):
            names = [*_TARGETS[turn % len(_TARGETS) :], *_TARGETS[: turn % len(_TARGETS)]]
            found.append({name: self._play(name, pairs) for name in names})
            say(
                f"round {turn} of {number}: "
                + ", ".join(f"{name} {found[-1][name].rate:.0f}/s" for name in _TARGETS)
            )
        self._check(pairs * (number + 1))
        return found[1:]

    def _play(self, name: str, pairs: int) -> _Figures:
        if name == "five":
            return load(self.servers["same"], [_five_job(next(self._fives)) for _ in range(2 * pairs)])
        stage = self.large if name == "large" else self.empty
        make = _bare_job if name == "same" else job
        return load(self.servers[name], [make(visit) for visit in stage.scene.visits(pairs)])

    def _check(self, pairs: int) -> None:
        for stage, expected in ((self.empty, 2 * pairs + 4), (self.large, pairs)):
            with stage.container.db.read() as session:
                for table in ("code_claims", "draws", "awards"):
                    found = session.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one()
                    if found != expected:
                        raise RuntimeError(f"{found} rows in {table}, not {expected}: some work was left out")


def load(target: server.Server, jobs: Sequence[Sequence[Mapping[str, Any]]]) -> _Figures:
    """Let the load generator do the jobs; raise RuntimeError unless every answer is 201."""
    plan = {"port": target.port, "connections": CONNECTIONS, "jobs": jobs}
    process = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        cwd=server.ROOT,
        input=json.dumps(plan).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    answer = json.loads(process.stdout)
    if list(answer["statuses"]) != ["201"]:
        raise RuntimeError(f"wrong answers {answer['statuses']}: {answer['wrong']}")
    milliseconds = sorted(1000 * seconds for seconds in answer["seconds"])
    hundredths = quantiles(milliseconds, n=100)
    return _Figures(len(milliseconds) / answer["elapsed"], hundredths[49], hundredths[98])
