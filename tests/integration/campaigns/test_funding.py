"""Money and stock in and out: once per reference, and never below what is promised (DRAW-18, PAY-09)."""

from typing import Any

import pytest

from app.campaigns import funding, queries
from app.campaigns import operations as campaigns
from app.campaigns.errors import InvalidCampaign, NothingToChange, PromiseNotBacked, WrongState
from app.ledger.errors import AlreadyPosted, InsufficientBalance
from tests.factories.campaign_world import OLGA, PETER, CampaignWorld
from tests.factories.campaigns import money, nothing, pool

RULES: dict[str, Any] = {
    "prizes": [money("big", 1000, stock=2), money("yuan", 100), nothing()],
    "pools": [
        pool("gold", 1, {"big": 1}, conditions={"who": {"tiers": ["gold"]}}, own_budget=True),
        pool("everybody", 0, {"yuan": 1, "thanks": 1}),
    ],
}


def move(world: CampaignWorld, operation: Any, campaign: int, reference: str = "r-1", **more: Any) -> None:
    world.do(operation, campaign_id=campaign, reference=reference, actor=OLGA, **more)


@pytest.fixture
def draft(world: CampaignWorld) -> int:
    campaign = world.create()
    world.save(campaign, **RULES)
    return campaign


@pytest.fixture
def running(world: CampaignWorld, draft: int) -> int:
    """Promises two pieces of 10 yuan, and one yuan at least once: 21 yuan; it has 30 and three pieces."""
    world.fund(draft, 3000)
    world.stock(draft, "big", 3)
    world.publish(draft)
    return draft


def test_money_comes_and_goes(world: CampaignWorld, draft: int) -> None:
    move(world, funding.fund, draft, amount_fen=1000)
    move(world, funding.defund, draft, amount_fen=300)
    left = world.left(draft)
    assert (left["budget"], left["funding"]) == (700, -700)
    with pytest.raises(InsufficientBalance):
        move(world, funding.defund, draft, "r-2", amount_fen=701)


def test_a_reference_is_used_once(world: CampaignWorld, draft: int) -> None:
    move(world, funding.fund, draft, amount_fen=1000)
    with pytest.raises(AlreadyPosted):
        move(world, funding.fund, draft, amount_fen=1000)
    with pytest.raises(AlreadyPosted):
        move(world, funding.fund, draft, " r-1 ", amount_fen=5)
    assert world.left(draft)["budget"] == 1000


def test_a_pools_budget_is_set_aside_and_taken_back(world: CampaignWorld, draft: int) -> None:
    move(world, funding.fund, draft, amount_fen=1000)
    move(world, funding.set_aside, draft, pool="gold", amount_fen=400)
    move(world, funding.set_aside, draft, "r-2", pool="gold", amount_fen=-150)
    left = world.left(draft)
    assert (left["budget"], left["pool_budget:gold"]) == (750, 250)
    with pytest.raises(InsufficientBalance):
        move(world, funding.set_aside, draft, "r-3", pool="gold", amount_fen=-251)
    with pytest.raises(InvalidCampaign):
        move(world, funding.set_aside, draft, "r-4", pool="everybody", amount_fen=1)


def test_stock_comes_and_goes_with_its_history(world: CampaignWorld, running: int) -> None:
    """PAY-09."""
    gold = world.member(tier="gold")
    world.set_aside(running, "gold", 2000)
    won = world.draw(gold)
    move(world, funding.stock_out, running, prize="big", pieces=1)
    assert won.award is not None
    lines = world.read(queries.stock_history, campaign_id=running, prize="big")
    assert [(line.amount, line.reason, line.ref_id) for line in lines] == [
        (-1, "campaign.unstocked", running),
        (-1, "award.stock", won.award.id),
        (3, "campaign.stocked", running),
    ]
    assert (
        world.read(queries.stock_history, campaign_id=running, prize="big", before=lines[1].id) == lines[2:]
    )
    assert world.read(queries.stock_history, campaign_id=running, prize="yuan") == []
    assert world.left(running)["stock:big"] == 1


def test_what_is_promised_stays_while_the_campaign_runs(world: CampaignWorld, running: int) -> None:
    move(world, funding.stock_out, running, prize="big", pieces=1)
    with pytest.raises(PromiseNotBacked):
        move(world, funding.stock_out, running, "r-2", prize="big", pieces=1)
    move(world, funding.defund, running, amount_fen=900)
    with pytest.raises(PromiseNotBacked):
        move(world, funding.defund, running, "r-2", amount_fen=1)
    left = world.left(running)
    assert (left["budget"], left["stock:big"]) == (2100, 2)


def test_what_was_won_is_promised_no_more(world: CampaignWorld, running: int) -> None:
    world.set_aside(running, "gold", 2000)
    gold = world.member(tier="gold")
    world.draw(gold)
    world.draw(gold)
    move(world, funding.stock_out, running, prize="big", pieces=1)
    move(world, funding.defund, running, amount_fen=900)
    assert world.left(running)["budget"] == 100


def test_after_the_end_the_rest_can_be_taken_out_and_nothing_added(
    world: CampaignWorld, running: int
) -> None:
    world.do(campaigns.stop, campaign_id=running, reason="x", actor=OLGA)
    world.do(campaigns.end, campaign_id=running, reason="x", actor=PETER)
    with pytest.raises(WrongState):
        move(world, funding.fund, running, amount_fen=1)
    with pytest.raises(WrongState):
        move(world, funding.stock_in, running, prize="big", pieces=1)
    move(world, funding.defund, running, amount_fen=3000)
    move(world, funding.stock_out, running, prize="big", pieces=3)
    assert set(world.left(running).values()) == {0}


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        (funding.fund, {"amount_fen": 0}),
        (funding.fund, {"amount_fen": -1}),
        (funding.fund, {"amount_fen": 1, "reference": " "}),
        (funding.fund, {"amount_fen": 1, "reference": "x" * 41}),
        (funding.set_aside, {"amount_fen": 0, "pool": "gold"}),
        (funding.stock_in, {"pieces": 1, "prize": "yuan"}),
        (funding.stock_in, {"pieces": 1, "prize": "gold"}),
        (funding.stock_in, {"pieces": 0, "prize": "big"}),
    ],
)
def test_what_is_no_movement_is_refused(
    world: CampaignWorld, draft: int, operation: Any, more: dict[str, Any]
) -> None:
    with pytest.raises(InvalidCampaign):
        move(world, operation, draft, **more)


def test_without_rules_there_is_nothing_to_fund(world: CampaignWorld) -> None:
    with pytest.raises(NothingToChange):
        world.fund(world.create(), 100)
