"""While a campaign runs, what limited prizes may cost is kept for them (DRAW-18, art. 15)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.campaigns import play as playing
from app.campaigns import queries
from app.campaigns.context import DrawContext
from app.campaigns.draw import Result
from app.campaigns.models import Purpose
from app.db.engine import Replay
from app.rewards.operations import lapse_due
from tests.factories.campaign_world import CampaignWorld
from tests.factories.campaigns import money, points, pool

RULES: dict[str, Any] = {
    "prizes": [money("big", 500, stock=2), money("yuan", 100), points("ten", 10)],
    "pools": [
        pool("gold", 1, {"big": 1}, conditions={"who": {"tiers": ["gold"]}}),
        pool("everybody", 0, {"yuan": 1}, fallback=["ten"]),
    ],
}


@pytest.mark.parametrize("database", ["world", "embedded_world"])
def test_a_small_prize_without_a_number_leaves_the_money_of_the_large_ones(
    database: str, request: pytest.FixtureRequest
) -> None:
    world: CampaignWorld = request.getfixturevalue(database)
    campaign = world.run(**RULES, fen=1200)
    assert _kept(world, campaign) == (1200, 1000)
    who, gold = world.member(), world.member(tier="gold")
    assert [world.draw(who).draw.prize for _ in range(4)] == ["yuan", "yuan", "ten", "ten"]
    assert _kept(world, campaign) == (1000, 1000)
    assert world.draw(gold).draw.prize == "big"
    assert _kept(world, campaign) == (500, 500)
    assert world.draw(gold).draw.prize == "big"
    assert _kept(world, campaign) == (0, 0)
    assert all(not check.mismatches for check in world.read(queries.verify_draws, campaign_id=campaign))


def _kept(world: CampaignWorld, campaign: int) -> tuple[int, int]:
    """What the budget holds, and how much of it is kept."""
    (line,) = [it for it in world.read(queries.left, campaign_id=campaign) if it.purpose is Purpose.BUDGET]
    return line.amount, line.kept


def test_before_it_is_published_nothing_is_kept(world: CampaignWorld) -> None:
    campaign = world.create()
    world.save(campaign, **RULES)
    world.stock(campaign, "big", 2)
    assert _kept(world, campaign) == (0, 0)


def test_a_piece_that_lapses_comes_back_with_its_money(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1100)
    gold, who = world.member(tier="gold"), world.member()
    world.draw(gold)
    world.draw(gold)
    assert world.draw(who).draw.prize == "yuan"
    world.wait(days=31)
    world.do(lapse_due)
    assert world.left(campaign)["budget"] == 1100
    assert world.left(campaign)["stock:big"] == 2


def test_the_guard_keeps_the_promise_whatever_was_read(
    world: CampaignWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget that is read too high: the draw is undone, and nothing is half written."""
    campaign = world.run(**RULES, fen=1100)
    who = world.member()
    world.draw(who)
    scan = world.scan(who)
    monkeypatch.setattr(playing, "ask_context", _reading(budget=1100))
    with pytest.raises(Replay):
        world.play(who, scan)
    assert world.left(campaign)["budget"] == 1000


def test_a_piece_that_came_back_meanwhile_is_kept_for_too(
    world: CampaignWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stock was read before a prize lapsed, and its money was read after: neither is what it was."""
    campaign = world.run(**RULES, fen=1100)
    who = world.member()
    world.draw(who)
    scan = world.scan(who)
    monkeypatch.setattr(playing, "ask_context", _reading(stock=1))
    with pytest.raises(Replay):
        world.play(who, scan)
    assert world.left(campaign)["budget"] == 1000


def _reading(*, budget: int | None = None, stock: int | None = None) -> Callable[..., Any]:
    """Return what reads balances of another moment."""
    ask = playing.ask_context

    def read(session: Session, **arguments: Any) -> Callable[[], DrawContext]:
        context = ask(session, **arguments)()
        shifted = {
            account: (budget if held >= 1000 and budget is not None else held)
            if held > 2 or stock is None
            else stock
            for account, held in context.balances.items()
        }
        return lambda: replace(context, balances=shifted)

    return read


def test_an_empty_promise_is_looked_at_as_well(world: CampaignWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was in stock when it was read, so nothing was kept; a piece that is there now stops it."""
    world.run(**RULES, fen=1100)
    who = world.member()
    scan = world.scan(who)
    monkeypatch.setattr(playing, "ask_context", _reading(stock=0))
    with pytest.raises(Replay):
        world.play(who, scan)
    monkeypatch.undo()
    assert world.play(who, scan).draw.result is Result.AWARDED
