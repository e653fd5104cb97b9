"""Money that its winner unlocks by drawing again: promised at once, paid after the steps, or returned."""

from datetime import timedelta
from typing import Any

import pytest

from app.campaigns.queries import draws_since
from app.identity import operations as identity
from app.identity.queries import Principal, cluster
from app.kernel.actor import Actor, ActorKind
from app.rewards import operations as rewards
from app.rewards.errors import AwardLapsed, DrawsWanted
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import money, pool

RULES: dict[str, Any] = {
    "prizes": [money("yuan", 100, unlock_draws=2, claim_window_days=7)],
    "pools": [pool("everybody", 0, {"yuan": 1})],
}


def _win(world: CampaignWorld, who: Principal) -> AwardView:
    won = world.draw(who).award
    assert won is not None
    world.wait(minutes=1)
    return won


def _collect(world: CampaignWorld, who: Principal, won: AwardView) -> AwardState:
    people = world.read(cluster, person_id=who.person_id)
    made = world.read(
        draws_since, campaign_id=won.campaign_id, person_ids=people.person_ids, moment=won.granted_at
    )
    return world.do(
        rewards.collect,
        award_id=won.id,
        person_id=who.person_id,
        cluster=people,
        app_id=world.app_id,
        actor=Actor(ActorKind.PERSON, "shopper", who.person_id),
        draws_made=made,
    ).award.state


def test_it_is_collected_after_as_many_further_draws_as_were_published(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1000)
    who, other = world.member(), world.member()
    won = _win(world, who)
    assert (won.state, won.unlock_draws) == (AwardState.COLLECTIBLE, 2)
    assert world.left(campaign)["committed"] == 100
    _win(world, other)
    for missing in (2, 1):
        with pytest.raises(DrawsWanted) as refused:
            _collect(world, who, won)
        assert refused.value.extra["missing"] == missing
        _win(world, who)
    assert _collect(world, who, won) is AwardState.LOCKED


def test_without_the_draws_it_lapses_and_its_budget_returns(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1000)
    who = world.member()
    won = _win(world, who)
    world.wait(days=7)
    with pytest.raises(AwardLapsed):
        _collect(world, who, won)
    assert world.do(rewards.lapse_due) == 1
    assert world.left(campaign)["budget"] == 1000


def test_draws_of_everybody_whom_the_winner_is_count(world: CampaignWorld) -> None:
    world.run(**RULES, fen=1000)
    who, again = world.member(), world.member()
    won = _win(world, who)
    for person in (who, again):
        _win(world, person)
    with pytest.raises(DrawsWanted):
        _collect(world, who, won)
    world.do(
        identity.merge,
        person_id=who.person_id,
        other_id=again.person_id,
        reason="one",
        actor=OLGA,
        force=True,
    )
    assert _collect(world, who, won) is AwardState.LOCKED


def test_draws_in_another_campaign_do_not_unlock(world: CampaignWorld) -> None:
    world.run(**RULES, fen=1000)
    won = _win(world, world.member())
    elsewhere = world.read(
        draws_since,
        campaign_id=won.campaign_id + 1,
        person_ids=[won.person_id],
        moment=won.granted_at - timedelta(days=1),
    )
    assert elsewhere == 0
