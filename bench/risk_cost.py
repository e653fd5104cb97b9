"""What risk costs: a scan and a draw over HTTP with the standard rules enforced, against the same with none.

Two installations that differ in nothing else take turns; the median of the rounds' ratios is told. Shoppers
come from many networks, so that their counters are written as they are in earnest.
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.campaigns.risk_rules import switch_rules
from app.factory import Container
from app.kernel.actor import Actor, ActorKind
from app.risk.models import Mode
from app.risk.policies import save_policy
from app.risk.policy import STANDARD
from bench import server
from bench.row import Row, at_most, figure
from bench.scan_draw import Stage, job, load, stage
from bench.scene import Visit
from bench.support import Bench, say

ROUNDS = 7
PAIRS = 800
_NETWORKS = 500
_ACTOR = Actor(ActorKind.OPERATOR, "bench")


def run(bench: Bench) -> list[Row]:
    """Measure; about two minutes."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="saoma-bench-")))
        stages = {name: stack.enter_context(stage(bench, f"risk_{name}", data)) for name in ("off", "on")}
        _switch_on(stages["on"].container)
        servers = {
            name: stack.enter_context(server.product({**found.environment, "SAOMA_TRUSTED_PROXIES": "1"}))
            for name, found in stages.items()
        }
        ratios, rates = [], []
        for turn in range(bench.of(ROUNDS, 1) + 1):
            names: Sequence[str] = ("off", "on") if turn % 2 else ("on", "off")
            found = {name: _play(bench, stages[name], servers[name]) for name in names}
            say(f"round {turn}: off {found['off']:.0f}/s, on {found['on']:.0f}/s")
            if turn:  # the first one warms everything up
                ratios.append(found["off"] / found["on"])
                rates.append(found["on"])
        _check(stages["on"].container)
    return [
        at_most("risk_cost", median(ratios), "x", 1.2),
        figure("risk_scan_draw_per_second", median(rates), "requests/s"),
    ]


def _switch_on(container: Container) -> None:
    now = container.clock.now()

    def work(session: Session) -> None:
        brand = session.execute(text("SELECT id FROM brands")).scalar_one()
        version = save_policy(session, brand_id=brand, document=STANDARD.to_json(), now=now, actor=_ACTOR)
        switch_rules(
            session, brand_id=brand, mode=Mode.ENFORCE, version=version, reason="bench", now=now, actor=_ACTOR
        )

    container.db.transact(work)


def _play(bench: Bench, found: Stage, target: server.Server) -> float:
    return load(target, [_from_afar(visit) for visit in found.scene.visits(bench.of(PAIRS, 40))]).rate


def _from_afar(visit: Visit) -> list[dict[str, Any]]:
    network = visit.code_index % _NETWORKS
    address = f"36.{network >> 8}.{network & 255}.{visit.code_index % 250 + 1}"
    return [{**step, "headers": {**step["headers"], "X-Forwarded-For": address}} for step in job(visit)]


def _check(container: Container) -> None:
    """Raise RuntimeError unless every draw was measured and none was held."""
    with container.db.read() as session:
        draws, measured = session.execute(
            text("SELECT COUNT(*), SUM(JSON_EXTRACT(facts, '$.signals.range_hour') > 0) FROM draws")
        ).one()
        held = session.execute(text("SELECT COUNT(*) FROM awards WHERE state = 'held'")).scalar_one()
    if draws != measured or held:
        raise RuntimeError(f"{measured} of {draws} draws were measured, {held} awards held")
