"""Everything dies everywhere at once, and every fen is where it belongs. `make crash` is the large one."""

import ast
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ledger.models import AccountKind, Asset
from app.ledger.queries import balances
from app.rewards.models import AwardState
from tests.crash.path import EFFECTS, LOCAL, PAYOUT_PATH
from tests.crash.storm import Size, Storm
from tests.crash.town import Town
from tests.support.source import ROOT, python_files, tree

pytestmark = pytest.mark.crash

# What the product's f-strings stand for on a payout's way.
TEMPLATES = {"{topic}": LOCAL, "{self._effect.topic}": EFFECTS, "{effect.topic}": EFFECTS}
EFFECT_PHASES_BY_TOPIC = re.compile(r"\{topic\}\.(prepared|performed|settled)")
LARGE = 500
ROOMS = ("edge.", "payouts.", "rewards.", "inbox.pay.", "fact.")


def reached() -> Iterator[str]:
    """Every boundary that the product's code names."""
    for path in python_files("app", "miniprogram_api", "jobs"):
        for call in ast.walk(tree(path)):
            if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "reach":
                continue
            for named in _branches(call.args[0]):
                yield from _spelt_out(ast.unparse(named).removeprefix("f").strip("'\""))


def _branches(name: ast.expr) -> list[ast.expr]:
    return [name.body, name.orelse] if isinstance(name, ast.IfExp) else [name]


def _spelt_out(name: str) -> Iterator[str]:
    if EFFECT_PHASES_BY_TOPIC.match(name):
        yield from (name.replace("{topic}", topic) for topic in EFFECTS)
        return
    for template, topics in TEMPLATES.items():
        if template in name:
            yield from (name.replace(template, topic) for topic in topics)
            return
    yield name


def test_the_list_of_boundaries_is_complete(town: Town) -> None:
    """What is reached on the path is in the list; so are the effects and facts that it is made of."""
    assert {name for name in reached() if name.startswith(ROOMS)} == set(PAYOUT_PATH)
    registry = town.container.registry
    assert {topic for topic in registry.effects if topic.startswith("payouts.")} == set(EFFECTS)
    hearing = {topic for topic, it in registry.fact_handlers.items() if it.fact.startswith("payout.")}
    assert hearing | set(registry.callback_handlers) & {"inbox.pay"} == set(LOCAL)


def test_the_documentation_names_every_boundary() -> None:
    text = (ROOT / "docs" / "payouts.md").read_text()
    section = text.partition("## Where a process may die")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`([^`]+)`", row)) == sorted(PAYOUT_PATH)


@pytest.fixture
def size() -> Size:
    payouts = int(os.environ.get("SAOMA_STORM_PAYOUTS", "40"))
    large = payouts >= LARGE
    return Size(
        payouts=payouts,
        kills=int(os.environ.get("SAOMA_STORM_KILLS", "40")),
        seed=int(os.environ.get("SAOMA_CRASH_SEED", "1")),
        large=large,
        most_seconds=3600.0 if large else 300.0,
    )


def test_a_storm(town: Town, size: Size, tmp_path: Path) -> None:
    began = time.monotonic()
    storm = Storm(town, size, folder=tmp_path)
    storm.rage()
    raged = time.monotonic() - began
    assert storm.faults == []
    storm.clear_up()
    sys.stdout.write(f"\n{storm.plan.table()}\n")
    sys.stdout.write(
        f"seed {size.seed}: {size.payouts} payouts, {len(town.world.bill_rows())} bills, {storm.plan.kills}"
        f" kills in {raged:.0f} s; cleared up in {time.monotonic() - began - raged:.0f} s\n"
    )
    assert storm.plan.kills >= size.kills
    if size.large:
        assert storm.plan.left() == [], "these have not killed often enough"
    assert town.faults() == []
    assert town.unresolved() == []
    states = {town.world.now_award(award).state for award in town.awards}
    assert states <= {AwardState.FULFILLED, AwardState.LAPSED}
    assert town.world.books()["committed"] == 0
    _nothing_below_zero(town)


def _nothing_below_zero(town: Town) -> None:
    world = town.world
    left = world.read(lambda session: balances(session, [world.budget.id, world.stock.id]))
    assert all(amount >= 0 for amount in left.values())
    assert {world.budget.kind, world.stock.kind} == {AccountKind.GUARDED}
    assert {world.budget.asset, world.stock.asset} == {Asset.FEN, Asset.STOCK}
