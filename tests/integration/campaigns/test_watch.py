"""A budget that holds less than it keeps is told of until it is whole (DRAW-18, art. 15)."""

from typing import Any

from app.alerts.queries import open_alerts
from app.campaigns import operations as campaigns
from app.campaigns.watch import SHORT_ALERT, watch_budgets
from app.rewards.operations import lapse_due
from tests.factories.campaign_world import OLGA, PETER, CampaignWorld
from tests.factories.campaigns import money, multiplier, points, pool

GOLD: dict[str, Any] = {"who": {"tiers": ["gold"]}}
SILVER: dict[str, Any] = {"who": {"tiers": ["silver"]}}


def look(world: CampaignWorld) -> list[tuple[str, str]]:
    """What is told of after a look, by subject."""
    short = world.do(watch_budgets, book=world.campaign_book)
    alerts = world.read(open_alerts)
    assert all(alert.kind == SHORT_ALERT for alert in alerts)
    found = sorted((alert.subject, alert.detail.split()[0]) for alert in alerts)
    assert len(found) == short
    return found


def spend(world: CampaignWorld, draws: int) -> None:
    """Draw prizes without a number."""
    who = world.member()
    assert [world.draw(who).draw.prize for _ in range(draws)] == ["yuan"] * draws
    assert world.draw(who).draw.prize == "ten", "no more of them"


def lapse(world: CampaignWorld) -> None:
    """The large prize lapses, the small ones do not yet."""
    world.wait(days=3)
    assert world.do(lapse_due) == 1


def short_by_multiplier(world: CampaignWorld) -> int:
    """A piece that may cost ten yuan was won for five; others were paid what was kept no more; it lapses."""
    campaign = world.run(
        prizes=[money("big", 500, stock=1, claim_window_days=2), money("yuan", 100), points("ten", 10)],
        pools=[
            pool("gold", 1, {"big": 1}, conditions=GOLD),
            pool("everybody", 0, {"yuan": 1}, fallback=["ten"]),
        ],
        multipliers=[multiplier("twice", 20_000, "money", who={"tiers": ["silver"]})],
        multiplier_cap_bps=20_000,
        fen=1200,
    )
    assert world.draw(world.member(tier="gold")).draw.amount_fen == 500
    spend(world, 7)
    lapse(world)
    left = world.left(campaign)
    assert (left["budget"], left["stock:big"]) == (500, 1)
    return campaign


def test_money_that_went_before_a_lapse_is_told_of_until_it_is_there(world: CampaignWorld) -> None:
    campaign = short_by_multiplier(world)
    assert look(world) == [("tea/june", "5.00")]
    assert look(world) == [("tea/june", "5.00")]
    world.fund(campaign, 499)
    assert look(world) == [("tea/june", "0.01")]
    world.fund(campaign, 1)
    assert look(world) == []


def test_an_ended_campaign_is_told_of_no_more(world: CampaignWorld) -> None:
    campaign = short_by_multiplier(world)
    world.do(campaigns.stop, campaign_id=campaign, reason="x", actor=OLGA)
    assert look(world) == [("tea/june", "5.00")], "it may go on"
    world.do(campaigns.end, campaign_id=campaign, reason="x", actor=PETER)
    assert look(world) == []


def test_a_lapse_returns_a_piece_to_two_budgets_and_its_money_to_one(world: CampaignWorld) -> None:
    campaign = world.create()
    world.save(
        campaign,
        prizes=[money("big", 1000, stock=1, claim_window_days=2), money("yuan", 100), points("ten", 10)],
        pools=[
            pool("gold", 2, {"big": 1}, conditions=GOLD, own_budget=True),
            pool("silver", 1, {"big": 1}, conditions=SILVER),
            pool("everybody", 0, {"yuan": 1}, fallback=["ten"]),
        ],
    )
    world.stock(campaign, "big", 1)
    world.fund(campaign, 2100)
    world.set_aside(campaign, "gold", 1000)
    world.publish(campaign)
    assert look(world) == []
    assert world.draw(world.member(tier="gold")).draw.prize == "big"
    spend(world, 11)
    assert look(world) == [], "nothing is in stock"
    lapse(world)
    left = world.left(campaign)
    assert (left["budget"], left["pool_budget:gold"]) == (0, 1000)
    assert look(world) == [("tea/june", "10.00")]
    assert world.draw(world.member(tier="gold")).draw.prize == "big"
    assert look(world) == [], "won: nothing is kept any more"


def test_a_pools_budget_is_told_of_by_its_name(world: CampaignWorld) -> None:
    campaign = world.create()
    world.save(
        campaign,
        prizes=[money("big", 1000, stock=1, claim_window_days=2), money("yuan", 100), points("ten", 10)],
        pools=[
            pool("gold", 2, {"big": 1}, conditions=GOLD),
            pool("everybody", 0, {"yuan": 1}, fallback=["big", "ten"], own_budget=True),
        ],
    )
    world.stock(campaign, "big", 1)
    world.fund(campaign, 2100)
    world.set_aside(campaign, "everybody", 1100)
    world.publish(campaign)
    assert world.draw(world.member(tier="gold")).draw.prize == "big"
    spend(world, 11)
    lapse(world)
    assert look(world) == [("tea/june:everybody", "10.00")]
