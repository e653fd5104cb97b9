"""Awards outside of a draw: once each, out of money and pieces that nobody was promised."""

from typing import Any

import pytest

from app.campaigns import funding, granting
from app.campaigns import operations as campaigns
from app.campaigns.errors import GrantedAlready, InvalidGrant, PromiseNotBacked, WrongState
from app.campaigns.granting import Grant, GrantView, grants
from app.campaigns.queries import winners
from app.identity.errors import UnknownPerson, VirtualPerson
from app.identity.queries import Principal, cluster
from app.kernel.actor import Actor, ActorKind
from app.ledger.errors import InsufficientBalance
from app.members.errors import NotAMember
from app.payouts import operations as payouts
from app.points.models import PointsKind
from app.points.queries import balance
from app.rewards import operations as rewards
from app.rewards.models import AwardKind, AwardState
from app.rewards.queries import AwardView, award_of_draw, awards
from tests.factories.campaign_world import OLGA, PETER, CampaignWorld
from tests.factories.campaigns import document, goods, money, pool, voucher
from tests.factories.prizes import payer_details

ONE_YUAN: dict[str, Any] = {
    "prizes": [money("yuan", 100)],
    "pools": [pool("everybody", 0, {"yuan": 1})],
}


def _give(world: CampaignWorld, campaign: int, who: Principal, reference: str, **what: Any) -> AwardView:
    """Give as Olga proposed and Peter approved."""
    return world.do(
        granting.grant_by_hand,
        grant=Grant(campaign, who.person_id, reference, **what),
        approval_id=next(world.numbers),
        reason="parcel lost",
        proposed_by=OLGA.label,
        actor=PETER,
    )


def _rehearse(world: CampaignWorld, campaign: int, person_id: int, **what: Any) -> None:
    world.do(granting.rehearse, grant=Grant(campaign, person_id, "CASE-1", **what))


def _end(world: CampaignWorld, campaign: int) -> None:
    world.do(campaigns.stop, campaign_id=campaign, reason="over", actor=OLGA)
    world.do(campaigns.end, campaign_id=campaign, reason="over", actor=PETER)


def test_money_comes_out_of_the_budget_and_is_collected_like_any_other(world: CampaignWorld) -> None:
    campaign, who = world.run(**ONE_YUAN, fen=1000), world.member()
    given = _give(world, campaign, who, "CASE-1", amount_fen=60_0, days=14)
    assert (given.kind, given.state, given.draw_id) == (AwardKind.MONEY, AwardState.COLLECTIBLE, None)
    assert world.read(awards, person_ids=[who.person_id]) == [given]
    assert world.left(campaign) == {"budget": 400, "committed": 600, "funding": -1000}
    collected = world.do(
        rewards.collect,
        award_id=given.id,
        person_id=who.person_id,
        cluster=world.read(cluster, person_id=who.person_id),
        app_id=world.app_id,
        actor=Actor(ActorKind.PERSON, "shopper", who.person_id),
    )
    assert (collected.award.state, collected.bill.amount_fen) == (AwardState.LOCKED, 600)


def test_what_is_not_collected_in_time_returns(world: CampaignWorld) -> None:
    campaign, who = world.run(**ONE_YUAN, fen=1000), world.member()
    _give(world, campaign, who, "CASE-1", amount_fen=500, days=14)
    world.wait(days=13)
    assert world.do(rewards.lapse_due) == 0
    world.wait(days=1)
    assert world.do(rewards.lapse_due) == 1
    assert world.left(campaign) == {"budget": 1000, "committed": 0, "funding": -1000}


def test_points_are_there_at_once(world: CampaignWorld) -> None:
    campaign, who = world.run(), world.member()
    given = _give(world, campaign, who, "CASE-1", points=50)
    assert (given.kind, given.state) == (AwardKind.POINTS, AwardState.FULFILLED)
    assert world.do(balance, person_ids=[who.person_id], kind=PointsKind.SPENDABLE) == 50
    assert world.left(campaign)["budget"] == 1_000_00


@pytest.mark.parametrize("prize", [voucher("card", 1000, stock=2), goods("cup", 1000, stock=2)])
def test_a_piece_comes_out_of_the_reserve_and_never_out_of_the_promise(
    world: CampaignWorld, prize: dict[str, Any]
) -> None:
    key, who = prize["key"], world.member()
    campaign = world.create()
    world.save(campaign, prizes=[prize], pools=[pool("everybody", 0, {key: 1})])
    _stock(world, campaign, key, 3)
    world.publish(campaign)
    given = _give(world, campaign, who, "CASE-1", prize=key)
    assert (given.name_en, given.state) == (prize["name"]["en"], AwardState.COLLECTIBLE)
    left = world.left(campaign)
    assert (left[f"stock:{key}"], left[f"granted:{key}"], left[f"awarded:{key}"]) == (2, 1, 0)
    with pytest.raises(PromiseNotBacked):
        _give(world, campaign, who, "CASE-2", prize=key)
    world.wait(days=31)
    assert world.do(rewards.lapse_due) == 1
    assert world.left(campaign)[f"stock:{key}"] == 3


def _stock(world: CampaignWorld, campaign: int, key: str, pieces: int) -> None:
    world.do(
        funding.stock_in,
        campaign_id=campaign,
        prize=key,
        pieces=pieces,
        reference=f"stock-{next(world.numbers)}",
        actor=OLGA,
        coded=key == "card",
    )


def test_a_reference_and_an_approval_each_give_once(world: CampaignWorld) -> None:
    campaign, who = world.run(**ONE_YUAN, fen=1000), world.member()
    given = _give(world, campaign, who, "CASE-1", amount_fen=100)
    with pytest.raises(GrantedAlready):
        _rehearse(world, campaign, who.person_id, amount_fen=200)
    with pytest.raises(GrantedAlready):
        _give(world, campaign, world.member(), "CASE-1", amount_fen=200)
    approval = {"approval_id": 77, "reason": "lost", "proposed_by": "olga", "actor": PETER}
    for reference, refused in (("CASE-2", False), ("CASE-3", True)):
        grant = Grant(campaign, who.person_id, reference, amount_fen=100)
        if refused:
            with pytest.raises(GrantedAlready):
                world.do(granting.grant_by_hand, grant=grant, **approval)
        else:
            world.do(granting.grant_by_hand, grant=grant, **approval)
    assert world.left(campaign)["committed"] == 200
    second, first = world.read(grants, campaign_id=campaign)
    assert (second.reference, first.reference) == ("CASE-2", "CASE-1")
    assert first == GrantView(
        reference="CASE-1",
        award_id=given.id,
        person_id=who.person_id,
        name_en="Compensation",
        amount_fen=100,
        points=0,
        state=AwardState.COLLECTIBLE,
        granted_at=given.granted_at,
        proposed_by="olga",
        approved_by="peter",
        reason="parcel lost",
    )


def test_nothing_is_left_of_a_rehearsal(world: CampaignWorld) -> None:
    campaign, who = world.run(**ONE_YUAN, fen=1000), world.member()
    before = world.left(campaign)
    _rehearse(world, campaign, who.person_id, amount_fen=500)
    assert world.left(campaign) == before
    assert world.read(awards, person_ids=[who.person_id]) == []


def test_what_rules_promise_stays(world: CampaignWorld) -> None:
    """Of 10 yuan one must stay, the dearest prize; after the end nothing is promised any more."""
    campaign, who = world.run(**ONE_YUAN, fen=1000), world.member()
    with pytest.raises(PromiseNotBacked):
        _give(world, campaign, who, "CASE-1", amount_fen=901)
    _give(world, campaign, who, "CASE-1", amount_fen=900)
    _end(world, campaign)
    with pytest.raises(InsufficientBalance):
        _give(world, campaign, who, "CASE-2", amount_fen=101)
    _give(world, campaign, who, "CASE-2", amount_fen=100)
    world.fund(campaign, 300)
    _give(world, campaign, who, "CASE-3", amount_fen=300)
    assert world.left(campaign) == {"budget": 0, "committed": 1300, "funding": -1300}


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"amount_fen": 100, "points": 1},
        {"amount_fen": -1},
        {"amount_fen": 9},
        {"amount_fen": 50_001},
        {"amount_fen": 5_000_001},
        {"points": 5_000_001},
        {"amount_fen": 100, "days": 0},
        {"amount_fen": 100, "days": 366},
        {"prize": "yuan"},
        {"prize": "none"},
    ],
)
def test_what_cannot_be_given_is_not_proposed(world: CampaignWorld, what: dict[str, Any]) -> None:
    campaign, who = world.run(**ONE_YUAN, fen=100_000_00), world.member()
    details = payer_details((world.app_id,), product_max_fen=50_000)
    world.do(payouts.save_payer, payer=details, actor=OLGA)
    with pytest.raises(InvalidGrant):
        _rehearse(world, campaign, who.person_id, **what)


@pytest.mark.parametrize("reference", ["", " CASE-1", "x" * 41])
def test_a_reference_is_told(world: CampaignWorld, reference: str) -> None:
    campaign, who = world.run(**ONE_YUAN, fen=1000), world.member()
    with pytest.raises(InvalidGrant):
        world.do(granting.rehearse, grant=Grant(campaign, who.person_id, reference, amount_fen=100))


def test_points_have_a_worth_or_are_not_given(world: CampaignWorld) -> None:
    campaign, who = world.run(**ONE_YUAN, points_terms=None, fen=1000), world.member()
    with pytest.raises(InvalidGrant, match="worth"):
        _rehearse(world, campaign, who.person_id, points=5)


def test_without_a_payer_there_is_no_money(world: CampaignWorld) -> None:
    campaign = world.create("points", payer=False)
    rules = document()
    world.save(campaign, prizes=rules["prizes"][1:], pools=[pool("everybody", 0, {"ten": 1, "thanks": 1})])
    world.publish(campaign)
    with pytest.raises(InvalidGrant, match="payer"):
        _rehearse(world, campaign, world.member().person_id, amount_fen=100)


def test_only_members_are_given_something_and_only_by_what_was_published(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN, fen=1000)
    with pytest.raises(NotAMember):
        _rehearse(world, campaign, world.visitor().person_id, amount_fen=100)
    with pytest.raises(VirtualPerson):
        _rehearse(world, campaign, world.visitor(virtual=True).person_id, amount_fen=100)
    with pytest.raises(UnknownPerson):
        _rehearse(world, campaign, 4711, amount_fen=100)
    with pytest.raises(WrongState):
        _rehearse(world, world.create("draft"), world.member().person_id, amount_fen=100)


def test_it_is_no_prize_of_the_promotion(world: CampaignWorld) -> None:
    """Nobody drew it, so nobody is published as its winner, whatever it is worth (contract 14.1)."""
    campaign, who = world.run(**ONE_YUAN, fen=10_000_00), world.member()
    _give(world, campaign, who, "CASE-1", amount_fen=600_00)
    assert world.read(winners, campaign_id=campaign) == []
    played = world.draw(who)
    assert played.award is not None
    assert world.read(award_of_draw, draw_id=played.draw.id) == played.award


def test_on_sqlite_too(embedded_world: CampaignWorld) -> None:
    world = embedded_world
    campaign, who = world.run(**ONE_YUAN, fen=1000), world.member()
    for reference in ("CASE-1", "CASE-2"):
        _give(world, campaign, who, reference, amount_fen=100)
    with pytest.raises(GrantedAlready):
        _give(world, campaign, who, "CASE-2", amount_fen=100)
    assert world.left(campaign)["committed"] == 200
