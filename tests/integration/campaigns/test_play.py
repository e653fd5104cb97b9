"""The draw transaction: what a draw gives, what it writes, what its roll depends on."""

from datetime import timedelta

import pytest

from app.campaigns import operations as campaigns
from app.campaigns import queries
from app.campaigns.draw import Result
from app.campaigns.errors import (
    SoldOut,
)
from app.campaigns.seed import Chance, DrawStream
from app.kernel.errors import DomainError
from app.points.queries import balance
from app.rewards.models import AwardKind, AwardState
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import SEED, money, nothing, points, pool, random_money
from tests.integration.campaigns.drawing import ONE_YUAN, SURE, draws

# --- what a draw does ------------------------------


def test_money_is_awarded_out_of_the_budget(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN, fen=1000)
    who = world.member()
    played = world.draw(who)
    assert (played.draw.prize, played.draw.amount_fen, played.draw.result) == ("yuan", 100, Result.AWARDED)
    assert played.fresh
    assert played.award is not None
    assert (played.award.kind, played.award.state) == (AwardKind.MONEY, AwardState.COLLECTIBLE)
    assert played.award.deadline_at == world.clock.now() + timedelta(days=30)
    assert world.left(campaign) == {"budget": 900, "committed": 100, "funding": -1000}


def test_points_are_granted_at_once(world: CampaignWorld) -> None:
    world.run(prizes=[points("ten", 10)], pools=[pool("everybody", 0, {"ten": 1})], fen=0)
    who = world.member()
    played = world.draw(who)
    assert played.award is not None
    assert (played.award.kind, played.award.state, played.award.points) == (
        AwardKind.POINTS,
        AwardState.FULFILLED,
        10,
    )
    assert world.read(balance, person_ids=[who.person_id], now=world.clock.now()) == 10


def test_winning_nothing_leaves_a_draw_and_no_award(world: CampaignWorld) -> None:
    campaign = world.run(prizes=[nothing()], pools=[pool("everybody", 0, {"thanks": 1})], fen=0)
    played = world.draw(world.member())
    assert played.award is None
    assert (played.draw.result, played.draw.prize) == (Result.NOTHING, "thanks")
    assert draws(world) == 1
    assert world.left(campaign)["budget"] == 0


def test_a_limited_prize_comes_out_of_its_stock_until_it_is_gone(world: CampaignWorld) -> None:
    """PAY-09: no draw gives a prize that is out of stock; DRAW-08: the fallback does."""
    campaign = world.run(
        prizes=[money("big", 500, stock=2), money("yuan", 100)],
        pools=[pool("everybody", 0, {"big": 1}, fallback=["yuan"])],
        fen=2000,
    )
    who = world.member()
    assert [world.draw(who).draw.prize for _ in range(4)] == ["big", "big", "yuan", "yuan"]
    assert world.left(campaign) == {
        "budget": 800,
        "committed": 1200,
        "funding": -2000,
        "stock:big": 0,
        "awarded:big": 2,
        "supply:big": -2,
    }


def test_the_budget_is_spent_to_the_last_fen_and_never_further(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN, fen=250)
    who = world.member()
    assert [world.draw(who).draw.amount_fen for _ in range(4)] == [100, 100, 0, 0]
    assert world.left(campaign)["budget"] == 50


def test_a_sure_win_that_cannot_be_paid_refuses_and_the_code_keeps_its_chance(world: CampaignWorld) -> None:
    campaign = world.run(**SURE, fen=100)
    who = world.member()
    world.draw(who)
    scan = world.scan(who)
    with pytest.raises(SoldOut):
        world.play(who, scan)
    assert draws(world) == 1
    world.fund(campaign, 100)
    assert world.play(who, scan).draw.amount_fen == 100


def test_a_pool_with_its_own_budget_leaves_the_campaigns_alone(world: CampaignWorld) -> None:
    """DRAW-18: campaign and pool budgets."""
    campaign = world.create()
    own = pool("everybody", 0, {"yuan": 1}, own_budget=True)
    world.save(campaign, prizes=[money("yuan", 100)], pools=[own])
    world.fund(campaign, 1000)
    world.set_aside(campaign, "everybody", 150)
    world.publish(campaign)
    who = world.member()
    assert [world.draw(who).draw.amount_fen for _ in range(2)] == [100, 0]
    assert world.left(campaign) == {
        "budget": 850,
        "pool_budget:everybody": 50,
        "committed": 100,
        "funding": -1000,
    }


# --- chance ------------------------------


def test_the_roll_depends_on_the_code_and_on_nothing_that_a_shopper_can_vary(world: CampaignWorld) -> None:
    """Whoever draws, whenever, after whatever other draws: the chance's number was fixed by the seed."""
    everything = {
        "prizes": [random_money("lucky", 10, 10_009)],
        "pools": [pool("everybody", 0, {"lucky": 1})],
    }
    campaign = world.run(**everything, fen=10**8)
    for index in (500, 3, 499):
        who = world.member()
        world.wait(hours=5)
        won = world.draw(who, index=index).draw.amount_fen
        stream = DrawStream(SEED, Chance(campaign, world.batch_id, index))
        assert won == 10 + stream.roll("amount:lucky", 10_000).value


# --- on SQLite ------------------------------


def test_the_embedded_mode_draws_alike(embedded_world: CampaignWorld) -> None:
    world = embedded_world
    campaign = world.run(
        prizes=[money("big", 500, stock=1), money("yuan", 100), points("ten", 10)],
        pools=[pool("everybody", 0, {"big": 1}, fallback=["yuan", "ten"])],
        fen=650,
    )
    who = world.member()
    assert [world.draw(who).draw.prize for _ in range(3)] == ["big", "yuan", "ten"]
    assert world.left(campaign)["budget"] == 50
    assert all(not check.mismatches for check in world.read(queries.verify_draws, campaign_id=campaign))
    world.do(campaigns.stop, campaign_id=campaign, reason="stop", actor=OLGA)
    with pytest.raises(DomainError):
        world.draw(who)
