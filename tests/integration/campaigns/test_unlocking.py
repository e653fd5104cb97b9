"""Money that its winner unlocks by drawing again: promised at once, paid after the steps, or returned."""

from datetime import timedelta
from typing import Any

import pytest

from app.campaigns import operations as campaigns
from app.campaigns import unlocking
from app.campaigns.queries import draws_since
from app.identity import operations as identity
from app.identity.queries import Principal, cluster
from app.kernel.actor import Actor, ActorKind
from app.organisation import penalties
from app.rewards import operations as rewards
from app.rewards import queries as awards_of
from app.rewards.errors import AwardLapsed, DrawsWanted
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from tests.factories.campaign_world import OLGA, PETER, CampaignWorld
from tests.factories.campaigns import money, pool
from tests.factories.people import EVERYTHING

RULES: dict[str, Any] = {
    "prizes": [money("yuan", 100, unlock_draws=2, claim_window_days=7)],
    "pools": [pool("everybody", 0, {"yuan": 1})],
}


def _win(world: CampaignWorld, who: Principal) -> AwardView:
    won = world.draw(who).award
    assert won is not None
    world.wait(minutes=1)
    return won


def _collect(world: CampaignWorld, who: Principal, won: AwardView, *, released: bool = False) -> AwardState:
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
        released=released,
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
        although=EVERYTHING,
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


def _sweep(world: CampaignWorld) -> int:
    """What the scheduler does each minute."""
    return world.do(
        lambda session, now: rewards.lapse_due(session, now=now, standstill=unlocking.standstill(session))
    )


def _now(world: CampaignWorld, won: AwardView) -> AwardView:
    """The award as its winner sees it."""
    found = world.read(awards_of.award, award_id=won.id, person_ids=[won.person_id])
    return world.read(unlocking.as_they_stand, awards=[found])[0]


def _stop(world: CampaignWorld, campaign: int) -> None:
    world.do(campaigns.stop, campaign_id=campaign, reason="a mistake", actor=OLGA)


def test_on_sqlite_too(embedded_world: CampaignWorld) -> None:
    world = embedded_world
    campaign = world.run(**RULES, fen=1000)
    won = _win(world, world.member())
    _stop(world, campaign)
    world.do(penalties.note_penalty, appid="wx1111111111111111", content={"punish_id": "p"})
    world.wait(days=8)
    assert _sweep(world) == 1
    assert _now(world, won).state is AwardState.COLLECTIBLE
    world.do(campaigns.end, campaign_id=campaign, reason="over", actor=PETER)
    world.wait(days=8)
    assert _sweep(world) == 1
    assert _now(world, won).state is AwardState.LAPSED


def test_while_its_campaign_is_stopped_it_does_not_lapse(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1000)
    who = world.member()
    won = _win(world, who)
    _stop(world, campaign)
    assert _sweep(world) == 0, "a week is left"
    world.wait(days=5)
    assert _sweep(world) == 1
    assert _sweep(world) == 0
    for _ in range(20):
        world.wait(days=1)
        _sweep(world)
        with pytest.raises(DrawsWanted):
            _collect(world, who, won)
    world.do(campaigns.resume, campaign_id=campaign, reason="mended", actor=OLGA)
    left = _now(world, won).deadline_at - world.clock.now()
    assert timedelta(days=3) <= left <= timedelta(days=7)
    assert world.left(campaign)["committed"] == 100
    world.wait(days=8)
    assert _sweep(world) == 1
    assert _now(world, won).state is AwardState.LAPSED
    assert world.left(campaign)["budget"] == 1000


def test_a_deadline_that_passes_before_the_first_sweep_is_kept_too(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1000)
    won = _win(world, world.member())
    _stop(world, campaign)
    world.wait(days=10)
    assert _sweep(world) == 1
    assert _now(world, won).state is AwardState.COLLECTIBLE


def test_what_needs_no_unlocking_lapses_although_its_campaign_is_stopped(world: CampaignWorld) -> None:
    prizes = [money("yuan", 100, claim_window_days=7)]
    campaign = world.run(prizes=prizes, pools=RULES["pools"], fen=1000)
    _win(world, world.member())
    _stop(world, campaign)
    world.wait(days=7)
    assert _sweep(world) == 1
    assert world.left(campaign)["budget"] == 1000


def test_once_its_campaign_has_ended_it_is_collected_without_the_draws(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1000)
    who = world.member()
    won = _win(world, who)
    assert _now(world, won).unlock_draws == 2
    _stop(world, campaign)
    assert _now(world, won).unlock_draws == 2, "it may go on"
    world.do(campaigns.end, campaign_id=campaign, reason="over", actor=PETER)
    assert _now(world, won).unlock_draws == 0
    assert _collect(world, who, won, released=True) is AwardState.LOCKED
    assert world.left(campaign)["committed"] == 100


def test_after_the_end_it_lapses_at_its_deadline(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1000)
    who = world.member()
    won = _win(world, who)
    _stop(world, campaign)
    world.do(campaigns.end, campaign_id=campaign, reason="over", actor=PETER)
    world.wait(days=7)
    assert _sweep(world) == 1
    with pytest.raises(AwardLapsed):
        _collect(world, who, won, released=True)
    assert world.left(campaign)["budget"] == 1000


def test_what_goes_on_again_is_not_kept(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1000)
    _win(world, world.member())
    _stop(world, campaign)
    world.do(campaigns.resume, campaign_id=campaign, reason="mended", actor=OLGA)
    assert world.read(unlocking.standstill).campaigns == []
    world.wait(days=7)
    assert _sweep(world) == 1
    assert world.left(campaign)["budget"] == 1000


def test_a_penalty_keeps_what_waits_for_friends_and_nothing_else(world: CampaignWorld) -> None:
    friends = [money("yuan", 100, unlock_helpers=2, claim_window_days=7)]
    campaign = world.run(prizes=friends, pools=RULES["pools"], fen=1000)
    won = _win(world, world.member())
    _stop(world, campaign)
    world.do(campaigns.end, campaign_id=campaign, reason="x", actor=PETER)
    world.do(penalties.note_penalty, appid="wx1111111111111111", content={"punish_id": "p"})
    drawn = world.run("july", **RULES, fen=1000)
    _win(world, world.member())
    world.wait(days=7)
    assert _sweep(world) == 2
    assert _now(world, won).state is AwardState.COLLECTIBLE
    assert world.left(drawn)["budget"] == 1000
    world.do(penalties.resume, appid="wx1111111111111111", reason="mended", actor=OLGA)
    world.wait(days=8)
    assert _sweep(world) == 1
    assert world.left(campaign)["budget"] == 1000
