"""The draw transaction: who may draw, what is written, what is guarded."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from threading import Timer
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from app.campaigns import operations as campaigns
from app.campaigns import play as playing
from app.campaigns import queries
from app.campaigns.context import DrawContext
from app.campaigns.draw import Result
from app.campaigns.errors import (
    CodeNotDrawable,
    DrawCapReached,
    DrawRefused,
    NoCampaign,
    NotEligible,
    SoldOut,
)
from app.campaigns.models import Draw
from app.campaigns.play import Visit
from app.campaigns.seed import Chance, DrawStream
from app.codes import operations as codes
from app.codes.errors import CodeAlreadyDrawn, UnknownScan
from app.db.engine import Replay
from app.db.prepared import Asked, send_waiting
from app.identity.errors import VirtualPerson
from app.identity.models import IdentitySource
from app.identity.operations import attach, merge, unmerge
from app.identity.values import phone_claim
from app.kernel.errors import DomainError
from app.members import operations as members
from app.members.errors import NotAMember, PolicyOutdated
from app.organisation.operations import create_brand
from app.points.queries import balance
from app.rewards.errors import PhoneWanted
from app.rewards.models import AwardKind, AwardState
from app.risk.lists import Level, ListKind, SubjectKind
from app.risk.operations import put_on_list
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import SEED, document, money, multiplier, nothing, points, pool, random_money

ONE_YUAN = {"prizes": [money("yuan", 100)], "pools": [pool("everybody", 0, {"yuan": 1})]}
SURE = {
    "prizes": [money("yuan", 100)],
    "pools": [pool("everybody", 0, {"yuan": 1}, hundred_percent_win=True)],
}


def draws(world: CampaignWorld) -> int:
    return world.read(lambda session: session.scalar(select(func.count()).select_from(Draw)) or 0)


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
    merged = world.do(merge, **pair, reason="told so at the till", force=True, actor=OLGA)
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


# --- what a draw sees ------------------------------


def test_the_first_three_draws_then_points(world: CampaignWorld) -> None:
    """DRAW-06, over the database: counted per person and campaign, refusals not counted."""
    world.run(
        prizes=[money("yuan", 100), points("ten", 10)],
        pools=[
            pool("first_three", 1, {"yuan": 1}, conditions={"what": {"draw_to": 3}}),
            pool("later", 0, {"ten": 1}),
        ],
    )
    who, other = world.member(), world.member()
    won = []
    for number in range(5):
        if number == 2:
            with pytest.raises(UnknownScan):
                world.play(who, 1)
        won.append(world.draw(who).draw.prize)
    assert won == ["yuan", "yuan", "yuan", "ten", "ten"]
    assert world.draw(other).draw.prize == "yuan"


def test_tier_region_and_product_reach_the_rules(world: CampaignWorld) -> None:
    world.run(
        prizes=[money("yuan", 100), nothing()],
        pools=[
            pool(
                "special",
                1,
                {"yuan": 1},
                conditions={
                    "who": {"tiers": ["diamond"], "customer": "new"},
                    "where": {"areas": ["310000"]},
                    "which": {"skus": ["T-330"], "lines": ["classic"], "tags": ["gift"]},
                    "own": {"channels": ["mall"], "origins": ["330100"], "cases": ["C-1"], "orders": ["O-1"]},
                },
            ),
            pool("everybody", 0, {"thanks": 1}),
        ],
        regions_stated=True,
    )
    shipment = {"channel": "mall", "case": "C-1", "order": "O-1"}
    world.do(codes.ship, batch_id=world.batch_id, region="310115", attributes=shipment, actor=OLGA)
    diamond = world.member(tier="diamond")
    assert world.draw(diamond).draw.pool == "special"
    assert world.draw(diamond).draw.pool == "everybody", "not a new customer any more"
    assert world.draw(world.member()).draw.pool == "everybody", "no diamond"


@pytest.mark.parametrize(
    ("visit", "location_counts", "expected"),
    [
        (Visit(), False, "elsewhere"),
        (Visit(address_region="310000"), False, "shanghai"),
        (Visit(address_region="320500"), False, "elsewhere"),
        (Visit(location_region="310115"), False, "elsewhere"),
        (Visit(location_region="310115"), True, "shanghai"),
        (Visit(address_region="310000", location_region="320500"), True, "elsewhere"),
    ],
)
def test_the_region_works_without_a_position(
    world: CampaignWorld, visit: Visit, location_counts: bool, expected: str
) -> None:
    """DRAW-03."""
    world.run(
        prizes=[money("disney", 475_00), points("ten", 10)],
        pools=[
            pool("shanghai", 1, {"disney": 1}, conditions={"where": {"areas": ["310000"]}}),
            pool("elsewhere", 0, {"ten": 1}),
        ],
        regions_stated=True,
        location_counts=location_counts,
    )
    assert world.draw(world.member(), visit=visit).draw.pool == expected


def test_the_region_of_the_scan_counts_where_the_draw_brings_none(world: CampaignWorld) -> None:
    world.run(
        prizes=[money("yuan", 100), nothing()],
        pools=[
            pool("shanghai", 1, {"yuan": 1}, conditions={"where": {"areas": ["310000"]}}),
            pool("elsewhere", 0, {"thanks": 1}),
        ],
        regions_stated=True,
    )
    assert world.draw(world.member(), region_hint="310000").draw.pool == "shanghai"


class FanTags:
    """Everybody is a fan, and much else that the rules do not ask for."""

    asked = 0

    def tags_of(self, session: Session, *, person_ids: Any) -> list[str]:
        self.asked += 1
        return ["fan", "pregnant", "rich"]


def test_tags_are_asked_for_only_where_the_rules_name_them_and_no_other_is_kept(world: CampaignWorld) -> None:
    tags = FanTags()
    who = world.member()
    world.run("plain", **ONE_YUAN)
    world.play(who, world.scan(who), tags=tags)
    assert tags.asked == 0
    world.wait(minutes=1)
    rich = multiplier("rich", 20_000, who={"tags_any": ["rich"]})
    period = document()["period"] | {"starts_at": "2026-06-01T12:00:30+08:00"}
    world.run("other", **ONE_YUAN, period=period, multipliers=[rich])
    period = document()["period"] | {"starts_at": "2026-06-01T12:01:00+08:00"}
    world.run(
        "tagged",
        period=period,
        prizes=[money("yuan", 100), nothing()],
        pools=[
            pool("fans", 1, {"yuan": 1}, conditions={"who": {"tags_any": ["fan"]}}),
            pool("everybody", 0, {"thanks": 1}),
        ],
    )
    played = world.play(who, world.scan(who), tags=tags)
    assert (tags.asked, played.draw.pool) == (1, "fans")
    facts = world.read(lambda session: session.scalars(select(Draw.facts).order_by(Draw.id.desc())).first())
    assert facts is not None
    assert facts["tags"] == ["fan"]


# --- risk ------------------------------


@pytest.mark.parametrize("about", [SubjectKind.PERSON, SubjectKind.BATCH, SubjectKind.ADDRESS])
def test_marked_persons_codes_and_addresses_get_the_published_strategy(
    world: CampaignWorld, about: SubjectKind
) -> None:
    """DRAW-09, RISK-03."""
    world.run(
        prizes=[random_money("lucky", 500, 1000), points("ten", 10)],
        pools=[pool("everybody", 0, {"lucky": 999, "ten": 1})],
        abnormal={"strategy": "smallest"},
    )
    who = world.member()
    marked = {
        SubjectKind.PERSON: str(who.person_id),
        SubjectKind.BATCH: str(world.batch_id),
        SubjectKind.ADDRESS: "203.0.113.7",
    }
    visit = Visit(address="203.0.113.7")
    assert world.draw(who, visit=visit).draw.prize == "lucky"
    _black(world, about, marked[about])
    assert world.draw(who, visit=visit).draw.prize == "ten"
    _black(world, SubjectKind.PERSON, str(who.person_id), kind=ListKind.WHITE)
    assert world.draw(who, visit=visit).draw.prize == "lucky"


def test_who_is_refused_is_told_the_reason_and_uses_up_nothing(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN, fen=1000)
    who = world.member()
    scan = world.scan(who)
    _black(world, SubjectKind.PERSON, str(who.person_id), effect=Level.REFUSE)
    with pytest.raises(DrawRefused) as refused:
        world.play(who, scan)
    assert refused.value.extra["reasons"] == ["black_person"]
    assert draws(world) == 0
    assert world.left(campaign)["budget"] == 1000


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


# --- guards ------------------------------


def test_a_lost_race_for_the_last_of_the_budget_is_decided_again_on_fresh_facts(
    world: CampaignWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = world.run(
        prizes=[money("yuan", 100), points("ten", 10)],
        pools=[pool("everybody", 0, {"yuan": 1}, fallback=["ten"])],
        fen=100,
    )
    loser, winner = world.member(), world.member()
    lost_scan, won_scan = world.scan(loser), world.scan(winner)
    grant, calls = playing.grant, []

    def overtaken(session: Session, **arguments: Any) -> Any:
        calls.append(arguments["award"].kind)
        if len(calls) == 1:
            # Between the reading of the budget and its guard somebody else wins and commits.
            monkeypatch.setattr(playing, "grant", grant)
            assert world.play(winner, won_scan).draw.prize == "yuan"
            monkeypatch.setattr(playing, "grant", overtaken)
        return grant(session, **arguments)

    monkeypatch.setattr(playing, "grant", overtaken)
    played = world.play(loser, lost_scan)
    assert played.draw.prize == "ten"
    assert calls == [AwardKind.MONEY, AwardKind.POINTS]
    assert world.left(campaign)["budget"] == 0
    assert draws(world) == 2


def test_the_guard_holds_whatever_was_read(world: CampaignWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """With balances that are always read too high, nothing is overspent and nothing half written."""
    campaign = world.run(**SURE, fen=150)
    who = world.member()
    ask = playing.ask_context

    def too_high(session: Session, **arguments: Any) -> Callable[[], DrawContext]:
        context = ask(session, **arguments)()
        return lambda: replace(context, balances=dict.fromkeys(context.balances, 10_000))

    monkeypatch.setattr(playing, "ask_context", too_high)
    world.draw(who)
    scan = world.scan(who)
    with pytest.raises(Replay):
        world.play(who, scan)
    assert draws(world) == 1
    assert world.left(campaign) == {"budget": 50, "committed": 100, "funding": -150}


def test_two_shoppers_at_one_code_have_one_winner(
    world: CampaignWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = world.run(**ONE_YUAN, fen=1000)
    slow, fast = world.member(), world.member()
    slow_scan, fast_scan = world.scan(slow, index=9), world.scan(fast, index=9)
    ask, won = playing.ask_context, []

    def overtaken(session: Session, **arguments: Any) -> Asked[DrawContext]:
        if not won:
            won.append(None)
            won.append(world.play(fast, fast_scan))
        return ask(session, **arguments)

    monkeypatch.setattr(playing, "ask_context", overtaken)
    with pytest.raises(CodeAlreadyDrawn):
        world.play(slow, slow_scan)
    assert draws(world) == 1
    assert world.left(campaign)["budget"] == 900


def test_a_version_that_is_not_in_force_any_more_writes_no_draw(
    world: CampaignWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DRAW-16: a change takes effect at the next draw, also for one that is on its way."""
    campaign = world.run(**ONE_YUAN, fen=10_000)
    who = world.member()
    scan = world.scan(who)
    world.save(campaign, prizes=[money("yuan", 200)], pools=ONE_YUAN["pools"])
    claim, done = playing.claim, []

    def changed_meanwhile(session: Session, **arguments: Any) -> None:
        claim(session, **arguments)
        if not done:
            done.append(world.do(campaigns.change, campaign_id=campaign, actor=OLGA))

    monkeypatch.setattr(playing, "claim", changed_meanwhile)
    played = world.play(who, scan)
    assert (played.draw.version, played.draw.amount_fen) == (2, 200)
    assert draws(world) == 1


def test_a_draw_holds_its_campaign_until_it_has_committed(world: CampaignWorld) -> None:
    """Once a stop has been answered no draw follows it: the stop waits for the draws on their way."""
    campaign = world.run(**ONE_YUAN)
    who = world.member()
    scan = world.scan(who)
    waited: list[Exception] = []

    def stop_meanwhile() -> None:
        try:
            with world.db.unit_of_work() as rival:
                rival.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
                campaigns.stop(rival, campaign_id=campaign, reason="now", now=world.clock.now(), actor=OLGA)
        except Exception as error:  # noqa: BLE001 - looked at below
            waited.append(error)

    with world.db.unit_of_work() as session:
        played = playing.play(
            session, book=world.campaign_book, scan_id=scan, principal=who, now=world.clock.now()
        )
        send_waiting(session)
        stop_meanwhile()
    assert played.fresh
    assert len(waited) == 1
    assert "Lock wait timeout" in str(waited[0])


def test_a_stop_on_its_way_is_waited_for(world: CampaignWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that has locked the campaign but not committed: the draw waits, looks again, and is refused."""
    campaign = world.run(**ONE_YUAN)
    who = world.member()
    scan = world.scan(who)
    claim, timers = playing.claim, []

    def stop_meanwhile(session: Session, **arguments: Any) -> None:
        claim(session, **arguments)
        if not timers:
            rival = Session(world.db.engine)
            campaigns.stop(rival, campaign_id=campaign, reason="now", now=world.clock.now(), actor=OLGA)
            timers.append(Timer(0.3, lambda: (rival.commit(), rival.close())))
            timers[0].start()

    monkeypatch.setattr(playing, "claim", stop_meanwhile)
    with pytest.raises(NoCampaign):
        world.play(who, scan)
    timers[0].join()
    assert draws(world) == 0


# --- cost ------------------------------


@pytest.fixture
def statements(world: CampaignWorld) -> Iterator[Callable[[Callable[[], Any]], list[str]]]:
    """Run something and return the statements that it took."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    def count(work: Callable[[], Any]) -> list[str]:
        seen.clear()
        work()
        return list(seen)

    event.listen(world.db.engine, "before_cursor_execute", note)
    yield count
    event.remove(world.db.engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("prizes", "most"),
    [
        ([money("yuan", 100)], 8),
        ([money("yuan", 100, stock=5)], 8),
        ([points("yuan", 10)], 10),
        ([points("yuan", 10, stock=5)], 10),
        ([nothing("yuan")], 5),
    ],
)
def test_a_draw_takes_eight_statements(
    world: CampaignWorld, statements: Any, prizes: list[dict[str, Any]], most: int
) -> None:
    """Ten with the edge's two for money, twelve for points; multipliers and regional pools cost no more."""
    world.run(
        prizes=prizes,
        pools=[
            pool("special", 1, {"yuan": 1}, conditions={"who": {"tiers": ["diamond"]}}),
            pool("everybody", 0, {"yuan": 1}),
        ],
        multipliers=[multiplier("m", 20_000, who={"tiers": ["diamond"]})],
        multiplier_cap_bps=20_000,
    )
    who = world.member(tier="diamond")
    world.draw(who)
    scan = world.scan(who)
    seen = statements(lambda: world.play(who, scan, visit=Visit(address="203.0.113.7")))
    assert len(seen) <= most, seen


def test_only_a_campaign_that_asks_for_the_phone_first_looks_for_one(
    world: CampaignWorld, statements: Any
) -> None:
    def seen(phone_policy: str, *, declined: bool) -> int:
        campaign = world.run(f"phone-{next(world.numbers)}", **ONE_YUAN, phone_policy=phone_policy)
        who = world.member()
        world.draw(who, visit=Visit(phone_declined=True))
        world.do(
            attach,
            person_id=who.person_id,
            identifiers=[phone_claim(f"138{next(world.numbers):08}")],
            source=IdentitySource.PHONE_BUTTON,
            actor=OLGA,
        )
        scan = world.scan(who)
        taken = statements(lambda: world.play(who, scan, visit=Visit(phone_declined=declined)))
        world.do(campaigns.stop, campaign_id=campaign, reason="enough", actor=OLGA)
        return len(taken)

    never = seen("never", declined=False)
    assert seen("at_collection", declined=False) == never
    assert seen("before_draw", declined=True) == never
    assert seen("before_draw", declined=False) == never + 1


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


def test_every_look_up_of_a_draw_has_a_key(world: CampaignWorld, statements: Any) -> None:
    """Whatever the tables grow to: each table that a draw reads is reached by an index."""
    world.run(**ONE_YUAN)
    who = world.member()
    world.draw(who)
    scan = world.scan(who)
    reads: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "(SELECT")):
            reads.append((statement, parameters))

    event.listen(world.db.engine, "before_cursor_execute", note)
    world.play(who, scan)
    event.remove(world.db.engine, "before_cursor_execute", note)
    with world.db.engine.connect() as connection:
        plans = [
            (row["table"], row["possible_keys"] or row["key"], statement)
            for statement, parameters in reads
            for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings()
            if row["table"] is not None and not row["table"].startswith("<")
        ]
    assert len(plans) > 12
    assert [plan for plan in plans if plan[1] is None] == []


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


# --- helpers ------------------------------


def _black(world: CampaignWorld, about: SubjectKind, subject: str, **more: Any) -> None:
    said = {"kind": ListKind.BLACK, "reason": "test"} | more
    world.do(put_on_list, subject_kind=about, subject=subject, actor=OLGA, **said)
