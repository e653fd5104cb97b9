"""A red packet that friends unlock: each by a draw of their own, once, all their accounts together."""

from typing import Any

import pytest

from app.campaigns import helping
from app.campaigns.errors import HelpedAlready, HelpNotWanted, OwnAward, StepWanted
from app.identity import operations as identity
from app.identity.errors import VirtualPerson
from app.identity.queries import Principal, cluster
from app.kernel.actor import Actor, ActorKind
from app.rewards import operations as rewards
from app.rewards.errors import AwardLapsed, HelpersWanted
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import money, pool
from tests.factories.people import EVERYTHING

RULES: dict[str, Any] = {
    "prizes": [money("yuan", 100, unlock_helpers=2, claim_window_days=7)],
    "pools": [pool("everybody", 0, {"yuan": 1})],
}


def _win(world: CampaignWorld, who: Principal) -> AwardView:
    won = world.draw(who).award
    assert won is not None
    world.wait(minutes=1)
    return won


def _help(world: CampaignWorld, friend: Principal, won: AwardView) -> None:
    world.do(helping.help_award, award_id=won.id, principal=friend)


def _friend(world: CampaignWorld) -> Principal:
    """Somebody who has drawn, too."""
    friend = world.member()
    _win(world, friend)
    return friend


def _helpers(world: CampaignWorld, won: AwardView) -> int:
    people = world.read(cluster, person_id=won.person_id)
    return world.read(helping.helpers, award_id=won.id, person_ids=people.person_ids)


def _collect(world: CampaignWorld, who: Principal, won: AwardView) -> AwardState:
    return world.do(
        rewards.collect,
        award_id=won.id,
        person_id=who.person_id,
        cluster=world.read(cluster, person_id=who.person_id),
        app_id=world.app_id,
        actor=Actor(ActorKind.PERSON, "shopper", who.person_id),
        helpers=_helpers(world, won),
    ).award.state


def _merge(world: CampaignWorld, one: Principal, other: Principal) -> None:
    world.do(
        identity.merge,
        person_id=one.person_id,
        other_id=other.person_id,
        reason="one",
        actor=OLGA,
        although=EVERYTHING,
    )


def test_it_is_collected_after_as_many_friends_as_were_published(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1000)
    who = world.member()
    won = _win(world, who)
    assert won.unlock_helpers == 2
    first, second = _friend(world), _friend(world)
    for friend, missing in ((first, 2), (second, 1)):
        with pytest.raises(HelpersWanted) as refused:
            _collect(world, who, won)
        assert refused.value.extra["missing"] == missing
        _help(world, friend, won)
        _help(world, friend, won)
    assert _collect(world, who, won) is AwardState.LOCKED
    assert world.left(campaign)["committed"] == 300
    with pytest.raises(HelpNotWanted):
        _help(world, _friend(world), won)


def test_opening_a_link_is_no_help_and_an_earlier_draw_neither(world: CampaignWorld) -> None:
    """Contract 13.7: only a real step of the friend's own, after the award was won."""
    world.run(**RULES, fen=1000)
    friend = _friend(world)
    won = _win(world, world.member())
    for idle in (friend, world.member()):
        with pytest.raises(StepWanted):
            _help(world, idle, won)
    with pytest.raises(VirtualPerson):
        _help(world, world.visitor(virtual=True), won)
    _win(world, friend)
    _help(world, friend, won)
    assert _helpers(world, won) == 1


def test_a_friend_helps_once_in_a_campaign_with_all_accounts_together(world: CampaignWorld) -> None:
    world.run(**RULES, fen=1000)
    won, another = _win(world, world.member()), _win(world, world.member())
    friend, account = _friend(world), _friend(world)
    _help(world, friend, won)
    with pytest.raises(HelpedAlready):
        _help(world, friend, another)
    _merge(world, friend, account)
    _help(world, account, won)
    with pytest.raises(HelpedAlready):
        _help(world, account, another)
    assert _helpers(world, won) == 1


def test_friends_who_turn_out_to_be_one_count_once_and_the_winner_never(world: CampaignWorld) -> None:
    world.run(**RULES, fen=1000)
    who = world.member()
    won = _win(world, who)
    with pytest.raises(OwnAward):
        _help(world, who, won)
    one, two, three = (_friend(world) for _ in range(3))
    for friend in (one, two, three):
        _help(world, friend, won)
    assert _helpers(world, won) == 3
    _merge(world, one, two)
    assert _helpers(world, won) == 2
    _merge(world, who, three)
    assert _helpers(world, won) == 1
    with pytest.raises(HelpersWanted):
        _collect(world, who, won)


def test_without_enough_friends_it_lapses_and_its_budget_returns(world: CampaignWorld) -> None:
    campaign = world.run(**RULES, fen=1000)
    who = world.member()
    won = _win(world, who)
    friend = world.member()
    world.wait(days=7)
    with pytest.raises(HelpNotWanted):
        _help(world, friend, won)
    with pytest.raises(AwardLapsed):
        _collect(world, who, won)
    assert world.do(rewards.lapse_due) == 1
    assert world.left(campaign)["budget"] == 1000


def test_an_award_that_nobody_need_unlock_takes_no_help(world: CampaignWorld) -> None:
    world.run(prizes=[money("yuan", 100)], pools=[pool("everybody", 0, {"yuan": 1})], fen=1000)
    won = _win(world, world.member())
    with pytest.raises(HelpNotWanted):
        _help(world, _friend(world), won)
