"""From the first draft to the published seed: what operators may do, and when they need each other."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.campaigns import operations as campaigns
from app.campaigns import queries
from app.campaigns.errors import (
    CampaignExists,
    DisclosureIncomplete,
    InvalidCampaign,
    NoCampaign,
    NothingPublished,
    NothingToChange,
    PromiseNotBacked,
    ProposalChanged,
    RulesInvalid,
    RulesRefused,
    SecondOperatorNeeded,
    UnknownCampaign,
    WrongState,
)
from app.campaigns.models import Action, CampaignState, VersionState
from app.campaigns.seed import Commitment
from app.kernel.actor import SYSTEM, Actor
from app.kernel.transitions import TransitionRefused
from app.organisation.operations import create_brand
from app.payouts.errors import UnknownPayer
from app.payouts.operations import save_payer
from tests.factories.campaign_world import OLGA, PETER, CampaignWorld
from tests.factories.campaigns import SEED, document, money, multiplier, points, pool, rules
from tests.factories.campaigns import text as words
from tests.factories.prizes import payer_details

ONE_YUAN: dict[str, Any] = {"prizes": [money("yuan", 100)], "pools": [pool("everybody", 0, {"yuan": 1})]}
TWO_YUAN = ONE_YUAN | {"prizes": [money("yuan", 200)]}
HALF_YUAN = ONE_YUAN | {"prizes": [money("yuan", 50)]}
LATER = document()["period"] | {"ends_at": "2026-08-01T00:00:00+08:00"}


def do(world: CampaignWorld, operation: Any, campaign: int, actor: Actor = OLGA, **more: Any) -> Any:
    return world.do(operation, campaign_id=campaign, actor=actor, **more)


def actions(world: CampaignWorld, campaign: int) -> list[tuple[Action, str]]:
    history = world.read(queries.history, campaign_id=campaign)
    return [(event.action, event.by) for event in reversed(history)]


# --- drafts ------------------------------


def test_a_campaign_begins_empty(world: CampaignWorld) -> None:
    campaign = world.create()
    view = world.read(queries.campaign, campaign_id=campaign)
    assert (view.state, view.version, view.key) == (CampaignState.DRAFT, 0, "june")
    assert world.read(queries.campaign_by_key, brand_id=world.brand_id, key="june") == view
    assert world.read(queries.campaigns, brand_id=world.brand_id) == [view]
    assert actions(world, campaign) == [(Action.CREATED, "olga")]
    with pytest.raises(NothingPublished):
        world.read(queries.published, campaign_id=campaign)


@pytest.mark.parametrize("key", ["", "June", "-june", "x" * 33, "六月"])
def test_a_key_is_small_and_plain(world: CampaignWorld, key: str) -> None:
    with pytest.raises(InvalidCampaign):
        world.create(key)


def test_a_key_is_the_brands_only_one(world: CampaignWorld) -> None:
    world.create()
    with pytest.raises(CampaignExists):
        world.create()


def test_an_unknown_payer_or_campaign_is_refused(world: CampaignWorld) -> None:
    with pytest.raises(UnknownPayer):
        world.do(campaigns.create, brand_id=world.brand_id, key="june", payer_id=1, actor=OLGA)
    with pytest.raises(UnknownCampaign):
        world.save(1)
    with pytest.raises(UnknownCampaign):
        world.read(queries.campaign, campaign_id=1)
    with pytest.raises(UnknownCampaign):
        world.read(queries.published, campaign_id=1)


def test_a_brand_is_not_paid_for_by_another_one(world: CampaignWorld) -> None:
    """PAY-02: the money of one brand is not spent by a slip of another one's operator."""
    campaign = world.create()
    coffee = world.do(create_brand, slug="coffee", name_zh="咖啡", name_en="Coffee")
    theirs = payer_details((world.app_id,), mchid="1900000002", brand_id=coffee)
    other = world.do(save_payer, payer=theirs, actor=OLGA)
    with pytest.raises(InvalidCampaign, match="another brand"):
        world.do(campaigns.create, brand_id=world.brand_id, key="july", payer_id=other, actor=OLGA)
    with pytest.raises(InvalidCampaign, match="another brand"):
        do(world, campaigns.choose_payer, campaign, payer_id=other)
    own = payer_details((world.app_id,), mchid="1900000003", brand_id=world.brand_id)
    do(world, campaigns.choose_payer, campaign, payer_id=world.do(save_payer, payer=own, actor=OLGA))
    assert world.do(campaigns.create, brand_id=coffee, key="june", payer_id=other, actor=OLGA)


def test_saving_tells_what_is_missing_and_replaces_the_draft(world: CampaignWorld) -> None:
    campaign = world.create()
    first = world.save(campaign, organiser={"contact": ""})
    assert [fault.path for fault in first.missing] == ["organiser.name", "organiser.contact"]
    second = world.save(campaign)
    assert (first.version, second.version, second.missing) == (1, 1, ())
    assert [view.sha256 for view in world.read(queries.versions, campaign_id=campaign)] == [second.sha256]


def test_what_cannot_be_read_or_is_not_allowed_is_not_saved(world: CampaignWorld) -> None:
    campaign = world.create()
    with pytest.raises(RulesInvalid):
        world.save(campaign, market="xx")
    with pytest.raises(RulesRefused) as refused:
        world.save(campaign, pools=[pool("everybody", 0, {"car": 1})], prizes=[money("car", 5_000_001)])
    assert {fault.code for fault in refused.value.faults} == {
        "prize_above_legal_maximum",
        "prize_above_payer_limit",
    }
    assert world.read(queries.versions, campaign_id=campaign) == []


def test_the_highest_prize_must_fit_the_payers_product(world: CampaignWorld) -> None:
    """The factory's payer sends 5,000 yuan at once."""
    campaign = world.create()
    fits = ONE_YUAN | {"prizes": [money("yuan", 250_000)], "multiplier_cap_bps": 20_000}
    world.save(campaign, **fits)
    with pytest.raises(RulesRefused):
        world.save(campaign, **(fits | {"multiplier_cap_bps": 20_001}))
    without = world.create("free", payer=False)
    with pytest.raises(RulesRefused):
        world.save(without)
    world.save(without, prizes=[points("ten", 10)], pools=[pool("everybody", 0, {"ten": 1})])


def test_another_payer_must_be_able_to_pay_what_is_promised(world: CampaignWorld) -> None:
    campaign = world.run(**(ONE_YUAN | {"prizes": [money("yuan", 40_000)]}))
    small = payer_details((world.app_id,), mchid="1900000002", product_max_fen=20_000)
    large = payer_details((world.app_id,), mchid="1900000003", product_max_fen=40_000)
    small_id = world.do(save_payer, payer=small, actor=OLGA)
    large_id = world.do(save_payer, payer=large, actor=OLGA)
    with pytest.raises(RulesRefused):
        do(world, campaigns.choose_payer, campaign, payer_id=small_id)
    do(world, campaigns.choose_payer, campaign, payer_id=large_id)
    assert world.read(queries.campaign, campaign_id=campaign).payer_id == large_id
    with pytest.raises(UnknownPayer):
        do(world, campaigns.choose_payer, campaign, payer_id=1)


# --- publishing ------------------------------


def test_publishing_freezes_hashes_and_commits(world: CampaignWorld) -> None:
    campaign = world.create()
    saved = world.save(campaign, **ONE_YUAN)
    world.fund(campaign, 1000)
    in_force = world.publish(campaign)
    assert (in_force.version, in_force.published, in_force.sha256) == (1, True, saved.sha256)
    shown = world.read(queries.published, campaign_id=campaign)
    assert shown.rules_sha256 == saved.sha256
    assert shown.rules_sha256 in shown.text.zh
    assert shown.seed_sha256 in shown.text.zh
    assert shown.seed_sha256 in shown.text.en
    assert (shown.seed, shown.salt) == (None, None)
    assert Commitment(SEED, SEED, shown.seed_sha256).holds
    assert len(shown.text_sha256) == 64
    published = world.read(queries.history, campaign_id=campaign)[0]
    assert published.detail == {
        "sha256": shown.rules_sha256,
        "text_sha256": shown.text_sha256,
        "seed_sha256": shown.seed_sha256,
    }


def test_the_seed_is_sealed_in_the_database(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    with world.db.read() as session:
        row = session.execute(text("SELECT * FROM campaigns WHERE id = :id"), {"id": campaign}).one()
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    assert SEED not in stored
    assert SEED.hex().encode() not in stored


def test_nothing_is_published_before_everything_is_told(world: CampaignWorld) -> None:
    campaign = world.create()
    with pytest.raises(NothingToChange):
        world.publish(campaign)
    world.save(campaign, **ONE_YUAN, claim={})
    world.fund(campaign, 1000)
    with pytest.raises(DisclosureIncomplete) as refused:
        world.publish(campaign)
    assert len(refused.value.faults) == 4
    assert world.read(queries.campaign, campaign_id=campaign).state is CampaignState.DRAFT


def test_nothing_is_published_that_stock_and_budget_do_not_hold(world: CampaignWorld) -> None:
    """No invented prizes (Interim Provisions, art. 15)."""
    campaign = world.create()
    world.save(
        campaign,
        prizes=[money("big", 1000, stock=3), money("yuan", 100)],
        pools=[pool("everybody", 0, {"big": 1, "yuan": 9})],
        multipliers=[multiplier("double", 20_000)],
        multiplier_cap_bps=20_000,
    )
    world.stock(campaign, "big", 2)
    world.fund(campaign, 6199)  # three times 20 yuan and once 2 yuan, less a fen
    with pytest.raises(PromiseNotBacked) as refused:
        world.publish(campaign)
    assert [(fault.path, fault.detail) for fault in refused.value.faults] == [
        ("prizes.big.stock", "1 more are promised"),
        ("budget", "0.01 yuan more are promised than are there"),
    ]
    world.stock(campaign, "big", 1)
    world.fund(campaign, 1)
    world.publish(campaign)


def test_a_campaign_is_published_once_and_not_when_it_is_over(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    with pytest.raises(WrongState):
        world.publish(campaign)
    late = world.create("late")
    world.save(late, **ONE_YUAN)
    world.fund(late, 1000)
    world.wait(days=31)
    with pytest.raises(WrongState):
        world.publish(late)


# --- changes while it runs ------------------------------


def test_a_favourable_change_is_published_at_once(world: CampaignWorld) -> None:
    """DRAW-16."""
    campaign = world.run(**ONE_YUAN)
    before = world.read(queries.published, campaign_id=campaign)
    saved = world.save(campaign, **TWO_YUAN, period=LATER)
    assert {(item.path, item.favours_shoppers) for item in saved.changed} == {
        ("prizes.yuan.amount", True),
        ("period.ends_at", True),
    }
    came = do(world, campaigns.change, campaign)
    assert (came.version, came.published) == (2, True)
    after = world.read(queries.published, campaign_id=campaign)
    assert (after.version, after.seed_sha256) == (2, before.seed_sha256)
    assert world.read(queries.published, campaign_id=campaign, version=1) == before
    assert world.draw(world.member()).draw.amount_fen == 200
    assert world.read(queries.campaign, campaign_id=campaign).ends_at == rules(period=LATER).period.ends_at


def test_any_other_change_needs_a_reason_and_a_second_operator(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    saved = world.save(campaign, **HALF_YUAN)
    with pytest.raises(InvalidCampaign):
        do(world, campaigns.change, campaign)
    came = do(world, campaigns.change, campaign, reason="the supplier withdrew")
    assert not came.published
    who = world.member()
    assert world.draw(who).draw.amount_fen == 100, "until somebody else has approved"
    with pytest.raises(SecondOperatorNeeded):
        do(world, campaigns.approve, campaign, rules_sha256=saved.sha256)
    with pytest.raises(SecondOperatorNeeded):
        do(world, campaigns.approve, campaign, SYSTEM, rules_sha256=saved.sha256)
    with pytest.raises(ProposalChanged):
        do(world, campaigns.approve, campaign, PETER, rules_sha256="0" * 64)
    assert do(world, campaigns.approve, campaign, PETER, rules_sha256=saved.sha256).published
    assert world.draw(who).draw.amount_fen == 50
    version = world.read(queries.versions, campaign_id=campaign)[0]
    assert (version.state, version.reason, version.proposed_by, version.approved_by) == (
        VersionState.PUBLISHED,
        "the supplier withdrew",
        "olga",
        "peter",
    )
    assert actions(world, campaign)[-2:] == [(Action.PROPOSED, "olga"), (Action.CHANGED, "peter")]


def test_a_proposal_can_be_turned_down_or_replaced(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    saved = world.save(campaign, **HALF_YUAN)
    do(world, campaigns.change, campaign, reason="why not")
    do(world, campaigns.withdraw, campaign, PETER, reason="shoppers were promised more")
    with pytest.raises(NothingToChange):
        do(world, campaigns.approve, campaign, PETER, rules_sha256=saved.sha256)
    do(world, campaigns.change, campaign, reason="once more")
    world.save(campaign, **TWO_YUAN)
    with pytest.raises(NothingToChange):
        do(world, campaigns.approve, campaign, PETER, rules_sha256=saved.sha256)
    assert do(world, campaigns.change, campaign).published


def test_a_change_must_be_a_change_and_be_backed(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN, fen=1000)
    with pytest.raises(NothingToChange):
        do(world, campaigns.change, campaign)
    world.save(campaign, **ONE_YUAN)
    with pytest.raises(NothingToChange):
        do(world, campaigns.change, campaign)
    world.save(campaign, **(ONE_YUAN | {"prizes": [money("yuan", 1001)]}))
    with pytest.raises(PromiseNotBacked):
        do(world, campaigns.change, campaign)
    assert world.draw(world.member()).draw.amount_fen == 100
    draft = world.create("draft")
    world.save(draft)
    with pytest.raises(WrongState):
        do(world, campaigns.change, draft)


def test_a_new_prize_brings_its_stock_along(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    world.save(
        campaign,
        prizes=[money("yuan", 100), money("bonus", 300, stock=1)],
        pools=[pool("everybody", 0, {"yuan": 1}), pool("gold", 1, {"bonus": 1, "yuan": 1},
               conditions={"who": {"tiers": ["gold"]}})],
    )  # fmt: skip
    with pytest.raises(PromiseNotBacked):
        do(world, campaigns.change, campaign, reason="a bonus for gold members")
    world.stock(campaign, "bonus", 1)
    came = do(world, campaigns.change, campaign, reason="a bonus for gold members")
    do(world, campaigns.approve, campaign, PETER, rules_sha256=came.sha256)
    gold = world.member(tier="gold")
    assert "bonus" in {world.draw(gold).draw.prize for _ in range(8)}
    assert world.left(campaign)["stock:bonus"] == 0


def test_the_database_knows_that_nobody_approves_their_own_proposal(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    world.save(campaign, **HALF_YUAN)
    do(world, campaigns.change, campaign, reason="x")
    with pytest.raises(DBAPIError), world.db.unit_of_work() as session:
        session.execute(text("UPDATE campaign_versions SET approved_by = proposed_by WHERE version = 2"))


# --- stopping and ending ------------------------------


def test_a_stop_is_an_act_of_its_own_with_a_reason(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    with pytest.raises(InvalidCampaign):
        do(world, campaigns.stop, campaign, reason=" ")
    do(world, campaigns.stop, campaign, reason="wrong picture")
    with pytest.raises(TransitionRefused):
        do(world, campaigns.stop, campaign, reason="again")
    do(world, campaigns.resume, campaign, reason="right picture")
    with pytest.raises(WrongState):
        do(world, campaigns.resume, campaign, reason="again")
    assert actions(world, campaign)[-2:] == [(Action.STOPPED, "olga"), (Action.RESUMED, "olga")]


def test_the_end_publishes_the_seed(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    who = world.member()
    world.draw(who)
    with pytest.raises(WrongState):
        do(world, campaigns.end, campaign)
    world.wait(days=31)
    assert world.do(campaigns.end_due) == 1
    assert world.do(campaigns.end_due) == 0
    shown = world.read(queries.published, campaign_id=campaign)
    assert (shown.state, shown.seed, shown.salt) == (CampaignState.ENDED, SEED.hex(), SEED.hex())
    assert Commitment(bytes.fromhex(shown.seed or ""), SEED, shown.seed_sha256).holds
    with pytest.raises(NoCampaign):
        world.draw(who)
    assert actions(world, campaign)[-1] == (Action.ENDED, "system")


def test_a_campaign_that_is_not_over_is_not_ended_by_the_clock(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    world.wait(days=29)
    assert world.do(campaigns.end_due) == 0


def test_ending_early_takes_a_stop_a_reason_and_a_second_operator(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    do(world, campaigns.stop, campaign, reason="recall")
    with pytest.raises(SecondOperatorNeeded):
        do(world, campaigns.end, campaign, reason="recall")
    with pytest.raises(InvalidCampaign):
        do(world, campaigns.end, campaign, PETER)
    do(world, campaigns.end, campaign, PETER, reason="recall")
    with pytest.raises(TransitionRefused):
        do(world, campaigns.end, campaign, PETER, reason="recall")
    with pytest.raises(WrongState):
        world.save(campaign, **ONE_YUAN)
    with pytest.raises(WrongState):
        do(world, campaigns.choose_payer, campaign, payer_id=world.payer_id)


def test_names_and_notes_are_kept_as_they_were(world: CampaignWorld) -> None:
    campaign = world.run(
        **ONE_YUAN, name=words("夏日🍉有礼", "Summer 🍉"), multipliers=[multiplier("m", 20_000)]
    )
    assert "夏日🍉有礼" in world.read(queries.published, campaign_id=campaign).text.zh
