"""The tax on an award from its grant to its end: its record, and where its money is."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns import operations as campaigns
from app.campaigns.errors import PromiseNotBacked
from app.identity.queries import Principal
from app.ledger.errors import InsufficientBalance
from app.rewards import operations as rewards
from app.rewards.models import AwardKind, AwardState, DeliveryWay
from app.tax.models import AwardTax, TaxState
from app.tax.terms import TaxBearer, TaxedKind, TaxMode
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import goods, money, nothing, pool
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.factories.taxes import taxed
from tests.support.scripted_pay import FAIL
from tests.support.statements import statements

WITHHELD = {"amount_fen": 1_000, "tax": taxed(1_000)}
BORNE = {"amount_fen": 1_000, "tax": taxed(1_000, mode=TaxMode.INCIDENTAL_COMPANY_BEARS)}
THING = {
    "kind": AwardKind.GOODS,
    "delivery": DeliveryWay.STORE,
    "tax": taxed(4_000, kind=TaxedKind.GOODS),
}


def record(world: PrizeWorld | CampaignWorld) -> AwardTax:
    def look(session: Session) -> AwardTax:
        found = session.scalars(select(AwardTax)).one()
        session.expunge(found)
        return found

    return world.read(look)


def pay(world: PrizeWorld, won: Any) -> None:
    number = world.collect(won).bill.bill_no
    world.drain()
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    assert world.now_award(won).state is AwardState.FULFILLED


def test_what_the_winner_bears_is_taken_out_of_what_is_paid(world: PrizeWorld) -> None:
    won = world.grant(world.person(), **WITHHELD)
    kept = record(world)
    assert (kept.gross_fen, kept.base_fen, kept.tax_fen, kept.net_fen) == (1_000, 1_000, 200, 800)
    assert (kept.bearer, kept.state, kept.due_at) == (TaxBearer.WINNER, TaxState.PROMISED, None)
    assert (won.withheld_fen, won.borne_fen) == (200, 0)
    assert won == world.now_award(won)
    assert world.books() == {"budget": 99_000, "committed": 1_000, "paid": 0, "stock": 99, "awarded": 1}
    pay(world, won)
    assert world.bill(won).amount_fen == 800
    books = world.books()
    assert (books["budget"], books["committed"], books["paid"], books["tax"]) == (99_000, 0, 800, 200)
    assert (record(world).state, record(world).due_at) == (TaxState.DUE, world.clock.now())


def test_what_the_brand_bears_is_charged_to_the_budget_on_top(world: PrizeWorld) -> None:
    won = world.grant(world.person(), **BORNE)
    assert (won.withheld_fen, won.borne_fen) == (0, 250)
    assert world.books()["committed"] == 1_250
    pay(world, won)
    assert world.bill(won).amount_fen == 1_000
    books = world.books()
    assert (books["budget"], books["committed"], books["paid"], books["tax"]) == (98_750, 0, 1_000, 250)


def test_a_budget_without_the_tax_grants_nothing(world: PrizeWorld) -> None:
    most = {"amount_fen": 80_100, "tax": taxed(80_100, mode=TaxMode.INCIDENTAL_COMPANY_BEARS)}
    person = world.person()
    with pytest.raises(InsufficientBalance):
        world.grant(person, **most)
    assert world.books()["budget"] == 100_000


@pytest.mark.parametrize("terms", [WITHHELD, BORNE, THING])
@pytest.mark.parametrize("end", ["lapsed", "refused"])
def test_what_nobody_gets_takes_no_tax(world: PrizeWorld, terms: dict[str, Any], end: str) -> None:
    won = world.grant(world.person(), **terms, held_reason="looked at" if end == "refused" else None)
    if end == "refused":
        world.do(rewards.refuse, award_id=won.id, reason="abuse", actor=OPERATOR)
    else:
        world.clock.advance(timedelta(days=8))
        assert world.do(rewards.lapse_due) == 1
    assert (record(world).state, record(world).due_at) == (TaxState.VOID, None)
    assert world.books() == {"budget": 100_000, "committed": 0, "paid": 0, "stock": 100, "awarded": 0}


def test_goods_are_taxed_when_they_are_handed_over(world: PrizeWorld) -> None:
    won = world.grant(world.person(), **THING)
    assert (won.amount_fen, won.borne_fen) == (0, 1_000)
    assert world.books()["committed"] == 1_000
    world.do(rewards.hand_over, award_id=won.id)
    assert world.books()["tax"] == 1_000
    assert record(world).state is TaxState.DUE


@pytest.mark.parametrize("sent", [True, False])
def test_goods_are_taxed_when_they_are_sent_and_not_when_they_come_back(
    world: PrizeWorld, sent: bool
) -> None:
    won = world.grant(world.person(), **THING | {"delivery": DeliveryWay.COURIER})
    claim = {"award_id": won.id, "person_id": won.person_id, "cluster": world.cluster(won.person_id)}
    world.do(rewards.claim_goods, **claim)
    world.do(rewards.end_delivery, award_id=won.id, sent=sent)
    assert record(world).state is (TaxState.DUE if sent else TaxState.PROMISED)
    assert world.books().get("tax", 0) == (1_000 if sent else 0)


def test_a_bill_that_fails_leaves_the_tax_promised(world: PrizeWorld) -> None:
    won = world.grant(world.person(), **WITHHELD)
    number = world.collect(won).bill.bill_no
    world.drain()
    world.pay.end(number, FAIL, "ACCOUNT_FROZEN")
    world.call_back(number)
    world.drain()
    assert world.now_award(won).state is AwardState.COLLECTIBLE
    assert record(world).state is TaxState.PROMISED
    assert world.books()["committed"] == 1_000


# --- through a campaign --------------------------------------------------------------------------------


def test_a_draw_assesses_by_the_published_terms(campaign_world: CampaignWorld) -> None:
    world = campaign_world
    campaign = world.run(
        fen=10_000,
        prizes=[money("ten", 1_000)],
        pools=[pool("all", 0, {"ten": 1})],
        tax={"mode": "incidental_company_bears", "identity_over_fen": 5_000},
    )
    won = world.draw(world.member()).award
    assert won is not None
    kept = record(world)
    assert (kept.award_id, kept.campaign_id, kept.person_id) == (won.id, campaign, won.person_id)
    assert (kept.mode, kept.kind, kept.rate_bps) == (
        TaxMode.INCIDENTAL_COMPANY_BEARS,
        TaxedKind.MONEY,
        2_000,
    )
    assert (kept.gross_fen, kept.tax_fen, kept.identity_over_fen) == (1_250, 250, 5_000)
    left = world.left(campaign)
    assert (left["budget"], left["committed"]) == (8_750, 1_250)


def test_below_the_threshold_a_draw_writes_no_tax(campaign_world: CampaignWorld) -> None:
    world = campaign_world
    world.run(
        prizes=[money("little", 999)],
        pools=[pool("all", 0, {"little": 1})],
        tax={"mode": "incidental_withhold", "from_fen": 1_000},
    )
    won = world.draw(world.member()).award
    assert won is not None
    assert (won.withheld_fen, won.borne_fen) == (0, 0)
    assert world.read(lambda session: session.scalars(select(AwardTax)).all()) == []


def test_the_last_fen_of_a_budget_pays_the_tax_too(campaign_world: CampaignWorld) -> None:
    world = campaign_world
    campaign = world.run(
        fen=2_000,
        prizes=[money("ten", 1_000), nothing()],
        pools=[pool("all", 0, {"ten": 1}, fallback=["thanks"])],
        tax={"mode": "incidental_company_bears"},
    )
    who = world.member()
    assert world.draw(who).award is not None
    assert world.draw(who).award is None
    assert world.left(campaign)["budget"] == 750


def test_goods_whose_tax_the_brand_bears_are_backed_by_a_budget(campaign_world: CampaignWorld) -> None:
    world = campaign_world
    campaign = world.create()
    terms = {
        "prizes": [goods("cup", 4_000, stock=2)],
        "pools": [pool("all", 0, {"cup": 1})],
        "tax": {"mode": "incidental_withhold"},
    }
    world.save(campaign, **terms)
    world.stock(campaign, "cup", 2)
    world.fund(campaign, 1_999)
    with pytest.raises(PromiseNotBacked):
        world.publish(campaign)
    world.fund(campaign, 1)
    world.publish(campaign)
    who = world.member()
    won = world.draw(who).award
    assert won is not None
    assert (won.kind, won.amount_fen, won.borne_fen) == (AwardKind.GOODS, 0, 1_000)
    assert world.left(campaign)["budget"] == 1_000


def test_only_a_draw_that_is_taxed_writes_more(campaign_world: CampaignWorld) -> None:
    world = campaign_world
    seen: dict[str, list[str]] = {}
    for name, tax in (
        ("off", {"mode": "none_discount"}),
        ("below", {"mode": "incidental_withhold", "from_fen": 1_001}),
        ("taxed", {"mode": "incidental_withhold"}),
    ):
        campaign = world.run(name, prizes=[money("ten", 1_000)], pools=[pool("all", 0, {"ten": 1})], tax=tax)
        who = world.member()
        world.draw(who)
        seen[name] = sent_by_a_draw(world, who, world.scan(who))
        world.do(campaigns.stop, campaign_id=campaign, reason="another", actor=OLGA)
    assert len(seen["off"]) == len(seen["below"])
    assert len(seen["taxed"]) - len(seen["off"]) <= 1
    assert [name for name, said in seen.items() if any("award_taxes" in it for it in said)] == ["taxed"]


def sent_by_a_draw(world: CampaignWorld, who: Principal, scan: int) -> list[str]:
    with statements(world.db.engine) as said:
        world.play(who, scan)
    return said
