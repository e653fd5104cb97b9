"""Who may draw, and in which campaign."""

from dataclasses import replace

import pytest

from app.campaigns import operations as campaigns
from app.campaigns.errors import (
    CodeNotDrawable,
    DrawCapReached,
    NoCampaign,
    NotEligible,
)
from app.campaigns.play import Visit
from app.codes import operations as codes
from app.codes.errors import UnknownScan
from app.db.engine import Replay
from app.identity.errors import VirtualPerson
from app.identity.operations import merge, unmerge
from app.members import operations as members
from app.members.errors import NotAMember, PolicyOutdated
from app.organisation.operations import create_brand
from app.rewards.errors import PhoneWanted
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import document
from tests.factories.people import EVERYTHING
from tests.integration.campaigns.drawing import ONE_YUAN, draws

# --- who may draw ------------------------------


def test_a_virtual_visitor_is_never_awarded_anything(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    ghost = world.visitor(virtual=True)
    scan = world.scan(ghost)
    with pytest.raises(VirtualPerson):
        world.play(ghost, scan)
    assert draws(world) == 0


def test_only_members_who_agree_to_the_current_policy_draw(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    guest, member = world.visitor(), world.member()
    scan = world.scan(guest)
    with pytest.raises(NotAMember):
        world.play(guest, scan)
    scan = world.scan(member)
    world.wait(hours=1)
    world.do(members.publish_policy, version="2026-2", text_zh="新", text_en="New")
    with pytest.raises(PolicyOutdated):
        world.play(member, scan)
    assert draws(world) == 0


def test_somebody_elses_scan_is_no_scan(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    mine, other = world.member(), world.member()
    with pytest.raises(UnknownScan):
        world.play(other, world.scan(mine))
    with pytest.raises(UnknownScan):
        world.play(other, 12345)


def test_a_code_is_drawn_once(world: CampaignWorld) -> None:
    """CODE-11; and the same shopper gets the same draw again, however often they ask."""
    world.run(**ONE_YUAN)
    mine, other = world.member(), world.member()
    first_scan, second_scan = world.scan(mine, index=7), world.scan(other, index=7)
    first = world.play(mine, first_scan)
    again = world.play(mine, first_scan)
    assert not again.fresh
    assert again.draw == first.draw
    assert again.award == first.award
    with pytest.raises(CodeNotDrawable) as refused:
        world.play(other, second_scan)
    assert refused.value.extra["outcome"] == "drawn_by_another"
    assert draws(world) == 1


def test_a_code_that_was_frozen_after_the_scan_gives_no_draw(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    who = world.member()
    scan = world.scan(who)
    world.do(codes.freeze, batch_id=world.batch_id, reason="stolen lorry", actor=OLGA)
    with pytest.raises(CodeNotDrawable) as refused:
        world.play(who, scan)
    assert refused.value.extra["outcome"] == "frozen"


def test_a_scan_that_read_no_code_gives_no_draw(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    who = world.member()
    with pytest.raises(CodeNotDrawable) as refused:
        world.play(who, world.scan(who, misread=True))
    assert refused.value.extra["outcome"] == "unknown"


def test_two_accounts_of_one_person_share_their_draws(world: CampaignWorld) -> None:
    """Merged clusters share counts; taken apart again, each has its own."""
    world.run(**ONE_YUAN, caps={"per_campaign": 2})
    one, two = world.member(), world.member()
    world.draw(one)
    world.draw(two)
    pair = {"person_id": one.person_id, "other_id": two.person_id}
    merged = world.do(merge, **pair, reason="told so at the till", although=EVERYTHING, actor=OLGA)
    with pytest.raises(DrawCapReached) as refused:
        world.draw(one)
    assert refused.value.extra["refusal"] == "campaign_cap"
    with pytest.raises(DrawCapReached):
        world.draw(replace(two, root_id=one.root_id))
    # Who was read before the merge is not known well enough any more: everything again.
    with pytest.raises(Replay):
        world.draw(two)
    world.do(unmerge, merge_id=merged, reason="two sisters", actor=OLGA)
    assert world.draw(two).fresh


def test_the_day_begins_at_midnight_of_the_market(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN, caps={"per_day": 1})
    who = world.member()
    world.draw(who)
    with pytest.raises(DrawCapReached) as refused:
        world.draw(who)
    assert refused.value.extra["refusal"] == "day_cap"
    # Noon in Shanghai: eleven hours and 59 minutes later it is still the same day, then it is not.
    world.wait(hours=11, minutes=59)
    with pytest.raises(DrawCapReached):
        world.draw(who)
    world.wait(minutes=1)
    assert world.draw(who).fresh


# --- which campaign ------------------------------


def test_without_a_campaign_there_is_no_draw(world: CampaignWorld) -> None:
    who = world.member()
    scan = world.scan(who)
    with pytest.raises(NoCampaign):
        world.play(who, scan)
    campaign = world.create()
    world.save(campaign, **ONE_YUAN)
    world.fund(campaign, 100)
    with pytest.raises(NoCampaign):
        world.play(who, scan)
    world.publish(campaign)
    assert world.play(who, scan).draw.campaign_id == campaign


def test_the_period_is_kept(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN, period=document()["period"] | {"starts_at": "2026-06-01T12:00:01+08:00"})
    who = world.member()
    with pytest.raises(NoCampaign):
        world.draw(who)
    world.wait(seconds=1)
    assert world.draw(who).fresh
    world.wait(days=30)
    with pytest.raises(NoCampaign):
        world.draw(who)


def test_of_several_campaigns_the_one_that_started_last_counts_where_its_conditions_are_met(
    world: CampaignWorld,
) -> None:
    everyday = world.run("everyday", **ONE_YUAN)
    how = document()["participation"]["how"]
    later = document()["period"] | {"starts_at": "2026-06-01T06:00:00+08:00"}
    themed = world.run(
        "new-customers",
        **ONE_YUAN,
        period=later,
        participation={
            "conditions": {"who": {"customer": "new"}, "which": {"lines": ["classic"]}},
            "how": how,
        },
    )
    world.run(
        "others",
        **ONE_YUAN,
        period=document()["period"] | {"starts_at": "2026-06-01T07:00:00+08:00"},
        participation={"conditions": {"which": {"lines": ["premium"]}}, "how": how},
    )
    who = world.member()
    assert [world.draw(who).draw.campaign_id for _ in range(2)] == [themed, everyday]


def test_a_campaign_whose_period_is_over_hides_no_other(world: CampaignWorld) -> None:
    everyday = world.run("everyday", **ONE_YUAN)
    flash = {"starts_at": "2026-06-01T11:00:00+08:00", "ends_at": "2026-06-01T13:00:00+08:00"}
    sale = world.run("flash", **ONE_YUAN, period=flash)
    who = world.member()
    assert world.draw(who).draw.campaign_id == sale
    world.wait(hours=1)
    assert world.draw(who).draw.campaign_id == everyday


def test_who_meets_no_campaigns_conditions_is_told_so(world: CampaignWorld) -> None:
    how = document()["participation"]["how"]
    world.run(**ONE_YUAN, participation={"conditions": {"who": {"tiers": ["diamond"]}}, "how": how})
    with pytest.raises(NotEligible):
        world.draw(world.member())


def test_another_brands_campaign_is_not_for_this_code(world: CampaignWorld) -> None:
    other = world.do(create_brand, slug="soap", name_zh="皂", name_en="Soap")
    mine = world.brand_id
    world.brand_id = other
    world.run(**ONE_YUAN)
    world.brand_id = mine
    with pytest.raises(NoCampaign):
        world.draw(world.member())


def test_a_stopped_campaign_gives_no_draw_and_goes_on_where_it_was(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    who = world.member()
    scan = world.scan(who)
    world.do(campaigns.stop, campaign_id=campaign, reason="wrong prize shown", actor=OLGA)
    with pytest.raises(NoCampaign):
        world.play(who, scan)
    world.do(campaigns.resume, campaign_id=campaign, reason="corrected", actor=OLGA)
    assert world.play(who, scan).fresh


def test_who_may_not_draw_is_not_asked_for_a_phone(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN, phone_policy="before_draw", caps={"per_campaign": 1, "per_day": None})
    who = world.member()
    scan = world.scan(who)
    with pytest.raises(PhoneWanted):
        world.play(who, scan)
    assert draws(world) == 0
    world.play(who, scan, visit=Visit(phone_declined=True))
    with pytest.raises(DrawCapReached):
        world.draw(who)
