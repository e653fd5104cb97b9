"""A campaign published over another one: stated, reasoned, approved by somebody else (DRAW-16, art. 13)."""

from typing import Any

import pytest

from app.campaigns import operations as campaigns
from app.campaigns import queries
from app.campaigns.errors import (
    NothingToChange,
    OverlapsCampaigns,
    ProposalChanged,
    SecondOperatorNeeded,
    WrongState,
)
from app.campaigns.models import Action, CampaignState
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.kernel.transitions import TransitionRefused
from tests.factories.campaign_world import OLGA, PETER, CampaignWorld
from tests.factories.campaigns import SEED, document, money, pool
from tests.factories.campaigns import text as words

ONE_YUAN: dict[str, Any] = {"prizes": [money("yuan", 100)], "pools": [pool("everybody", 0, {"yuan": 1})]}
TEN_FEN: dict[str, Any] = {"prizes": [money("fen", 10)], "pools": [pool("everybody", 0, {"fen": 1})]}
JUNE = document()["period"]
JULY = {"starts_at": JUNE["ends_at"], "ends_at": "2026-08-01T00:00:00+08:00"}


def do(world: CampaignWorld, operation: Any, campaign: int, actor: Actor = OLGA, **more: Any) -> Any:
    return world.do(operation, campaign_id=campaign, actor=actor, **more)


def held_for(**which: Any) -> dict[str, Any]:
    return {"participation": {"conditions": {"which": which}, "how": words("扫码", "Scan")}}


def draft(world: CampaignWorld, key: str = "cheap", **rules: Any) -> int:
    campaign = world.create(key)
    world.save(campaign, **(TEN_FEN | rules))
    world.fund(campaign, 1000)
    return campaign


def test_nothing_is_published_over_a_promise_without_a_reason(world: CampaignWorld) -> None:
    """The loophole: a cheaper campaign for the same codes would empty the one that was promised."""
    world.run(**ONE_YUAN)
    cheap = draft(world)
    for reason in (None, " "):
        with pytest.raises(OverlapsCampaigns) as refused:
            world.publish(cheap, reason)
        assert [fault.path for fault in refused.value.faults] == ["overlaps.june"]
    assert world.read(queries.campaign, campaign_id=cheap).state is CampaignState.DRAFT
    assert world.draw(world.member()).draw.amount_fen == 100


def test_with_a_reason_it_waits_for_somebody_else(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN, name=words("六月一元", "A yuan in June"))
    cheap = draft(world)
    came = world.publish(cheap, "the stock of yuan runs out")
    assert (came.published, [item.path for item in came.changed]) == (False, ["overlaps.june"])
    assert world.draw(world.member()).draw.amount_fen == 100, "until somebody else has approved"
    robot = Actor(ActorKind.PLATFORM, "peter")
    for same in (OLGA, SYSTEM, robot):
        with pytest.raises(SecondOperatorNeeded):
            do(world, campaigns.approve, cheap, same, rules_sha256=came.sha256)
    with pytest.raises(TransitionRefused):
        world.publish(cheap, "once more, and faster")
    assert do(world, campaigns.approve, cheap, PETER, rules_sha256=came.sha256).published
    assert world.draw(world.member()).draw.amount_fen == 10
    shown = world.read(queries.published, campaign_id=cheap)
    assert "六月一元" in shown.text.zh
    assert "A yuan in June (2026-06-01" in shown.text.en
    last = world.read(queries.history, campaign_id=cheap)[:2]
    assert [(event.action, event.by, event.reason) for event in last] == [
        (Action.PUBLISHED, "peter", "the stock of yuan runs out"),
        (Action.PROPOSED, "olga", "the stock of yuan runs out"),
    ]
    assert last[1].detail["changed"] == [["overlaps.june", False]]


def test_whoever_proposed_cannot_come_round_by_withdrawing_or_saving_again(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    cheap = draft(world)
    came = world.publish(cheap, "why not")
    do(world, campaigns.withdraw, cheap, reason="to try again")
    with pytest.raises(NothingToChange):
        do(world, campaigns.approve, cheap, OLGA, rules_sha256=came.sha256)
    with pytest.raises(OverlapsCampaigns):
        world.publish(cheap)
    came = world.publish(cheap, "why not")
    world.save(cheap, **TEN_FEN)
    with pytest.raises(NothingToChange):
        do(world, campaigns.approve, cheap, OLGA, rules_sha256=came.sha256)
    with pytest.raises(OverlapsCampaigns):
        world.publish(cheap)
    came = world.publish(cheap, "why not")
    with pytest.raises(SecondOperatorNeeded):
        do(world, campaigns.approve, cheap, OLGA, rules_sha256=came.sha256)
    with pytest.raises(WrongState):
        do(world, campaigns.change, cheap, reason="by another door")


@pytest.mark.parametrize("others", ["scheduled", "stopped"])
def test_what_is_to_run_counts_as_what_runs(world: CampaignWorld, others: str) -> None:
    later = {"starts_at": "2026-06-20T00:00:00+08:00", "ends_at": JUNE["ends_at"]}
    june = world.run(**ONE_YUAN, period=later if others == "scheduled" else JUNE)
    if others == "stopped":
        do(world, campaigns.stop, june, reason="wrong picture")
    with pytest.raises(OverlapsCampaigns):
        world.publish(draft(world))


def test_what_cannot_meet_is_published_at_once(world: CampaignWorld) -> None:
    june = world.run(**ONE_YUAN, **held_for(skus=["T-330"]))
    assert world.publish(draft(world, "july", period=JULY)).published
    assert world.publish(draft(world, "can", **held_for(skus=["T-500"]))).published
    do(world, campaigns.stop, june, reason="recall")
    do(world, campaigns.end, june, PETER, reason="recall")
    assert world.publish(draft(world, "bottle", **held_for(skus=["T-330"]))).published


def test_a_change_that_reaches_over_another_campaign_needs_approval_too(world: CampaignWorld) -> None:
    """A longer period and fewer conditions favour shoppers, unless they take codes from another promise."""
    world.run(**ONE_YUAN, **held_for(skus=["T-330"]))
    can = draft(world, "can", **held_for(skus=["T-500"]))
    world.publish(can)
    saved = world.save(can, **TEN_FEN)
    assert ("overlaps.june", False) in {(item.path, item.favours_shoppers) for item in saved.changed}
    with pytest.raises(OverlapsCampaigns):
        do(world, campaigns.change, can)
    came = do(world, campaigns.change, can, reason="for every bottle")
    assert not came.published
    with pytest.raises(SecondOperatorNeeded):
        do(world, campaigns.approve, can, rules_sha256=came.sha256)
    assert world.draw(world.member()).draw.amount_fen == 100
    do(world, campaigns.approve, can, PETER, rules_sha256=came.sha256)
    # What was approved is not asked for again while the reach stays the same.
    world.save(can, **(TEN_FEN | {"prizes": [money("fen", 20)]}))
    assert do(world, campaigns.change, can).published


def test_an_approval_covers_only_what_the_proposal_named(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    cheap = draft(world)
    came = world.publish(cheap, "why not")
    world.run("july", **ONE_YUAN)
    with pytest.raises(ProposalChanged):
        do(world, campaigns.approve, cheap, PETER, rules_sha256=came.sha256)
    do(world, campaigns.withdraw, cheap, PETER, reason="there is another one now")
    came = world.publish(cheap, "why not")
    assert len(came.changed) == 2
    assert do(world, campaigns.approve, cheap, PETER, rules_sha256=came.sha256).published


def test_a_proposal_is_not_approved_after_its_time(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    cheap = draft(world)
    came = world.publish(cheap, "why not")
    world.wait(days=31)
    with pytest.raises(WrongState):
        do(world, campaigns.approve, cheap, PETER, rules_sha256=came.sha256)


def test_what_has_ended_is_changed_by_no_approval(world: CampaignWorld) -> None:
    june = world.run(**ONE_YUAN)
    world.save(june, **(ONE_YUAN | {"prizes": [money("yuan", 50)]}))
    came = do(world, campaigns.change, june, reason="the supplier withdrew")
    do(world, campaigns.stop, june, reason="recall")
    do(world, campaigns.end, june, PETER, reason="recall")
    with pytest.raises(WrongState):
        do(world, campaigns.approve, june, PETER, rules_sha256=came.sha256)
    assert world.read(queries.published, campaign_id=june).seed == SEED.hex()
    assert world.read(queries.campaign, campaign_id=june).version == 1
