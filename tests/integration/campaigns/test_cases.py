"""Campaigns for the codes of cases: who draws with them, and what that tells of the channel (CODE-03)."""

from typing import Any

import pytest
from sqlalchemy import select

from app.campaigns import queries
from app.campaigns.errors import CodeNotDrawable, NoCampaign, NotEligible
from app.campaigns.models import Draw
from app.campaigns.play import Played
from app.identity.queries import Principal
from app.incentives import operations as incentives
from app.organisation.operations import save_store
from tests.factories.campaign_world import CampaignWorld
from tests.factories.campaigns import money, pool, text
from tests.factories.store_world import StoreWorld
from tests.support.statements import statements

FOR_CASES: dict[str, Any] = {
    "participation": {"conditions": {}, "how": text("扫描箱码", "Scan the code of a case"), "codes": "case"},
    "prizes": [money("ten", 1000)],
    "pools": [pool("everybody", 0, {"ten": 1})],
}


@pytest.fixture
def stores(world: CampaignWorld) -> StoreWorld:
    return StoreWorld.build(world)


def draw(stores: StoreWorld, who: Principal, case: int) -> Played:
    scanned = stores.scan(who, case)
    return stores.world.play(who, scanned.result.scan_id)


def test_whoever_works_where_a_case_was_sent_draws_with_it_once(stores: StoreWorld) -> None:
    world = stores.world
    campaign = world.run("cases", **FOR_CASES)
    clerk, colleague = stores.staff("S-1"), stores.staff("S-1")
    scanned = stores.scan(clerk, 0)
    assert scanned.offer is not None
    assert scanned.offer.campaign_id == campaign
    late = stores.scan(colleague, 0).result.scan_id

    won = world.play(clerk, scanned.result.scan_id)
    assert won.award is not None
    assert won.award.amount_fen == 1000
    assert draw(stores, clerk, 0).draw == won.draw
    assert stores.scan(colleague, 0).offer is None
    with pytest.raises(CodeNotDrawable) as refused:
        world.play(colleague, late)
    assert refused.value.extra["outcome"] == "drawn_by_another"
    with world.db.read() as session:
        (facts,) = session.scalars(select(Draw.facts))
    assert facts["store"] == "S-1", "the draw tells where the case is"
    assert all(not check.mismatches for check in world.read(queries.verify_draws, campaign_id=campaign))


def test_nobody_else_does(stores: StoreWorld) -> None:
    world = stores.world
    world.run("cases", **FOR_CASES)
    for who in (world.member(), stores.staff("S-2")):
        scanned = stores.scan(who, 0)
        assert scanned.offer is None
        with pytest.raises(NotEligible):
            world.play(who, scanned.result.scan_id)
    clerk = stores.staff("S-1")
    scan = stores.scan(clerk, 50).result.scan_id
    with pytest.raises(NotEligible):
        world.play(clerk, scan)
    scan = stores.scan(clerk, 0).result.scan_id
    world.do(lambda session, now: incentives.dismiss(session, person_id=clerk.person_id))
    with pytest.raises(NotEligible):
        world.play(clerk, scan)
    with world.db.read() as session:
        assert session.scalars(select(Draw.id)).all() == []


def test_items_and_cases_have_campaigns_of_their_own(stores: StoreWorld) -> None:
    """They are held beside each other without anybody's approval, and never for the other's codes."""
    world = stores.world
    clerk = stores.staff("S-1")
    items = world.create("items")
    world.save(items)
    world.fund(items, 1000)
    assert world.publish(items).published
    scan = stores.scan(clerk, 0)
    assert scan.offer is None
    with pytest.raises(CodeNotDrawable) as refused:
        world.play(clerk, scan.result.scan_id)
    assert refused.value.extra["outcome"] == "package"

    cases = world.create("cases")
    world.save(cases, **FOR_CASES)
    world.fund(cases, 10_000)
    assert world.publish(cases).published
    assert world.play(clerk, scan.result.scan_id).draw.prize == "ten"
    assert world.draw(clerk).draw.pool == "everybody"
    drawn = {it.key: it.version for it in world.read(queries.campaigns)}
    assert drawn == {"items": 1, "cases": 1}


def test_without_a_campaign_for_items_a_bottle_gives_none(stores: StoreWorld) -> None:
    stores.world.run("cases", **FOR_CASES)
    with pytest.raises(NoCampaign):
        stores.world.draw(stores.staff("S-1"))


def test_a_campaign_for_cases_says_so(stores: StoreWorld) -> None:
    world = stores.world
    campaign = world.run("cases", **FOR_CASES)
    published = world.read(queries.published, campaign_id=campaign)
    assert "codes on cases" in published.text.en
    assert "箱码" in published.text.zh
    assert "stores that are supplied by the dealer whom the case was shipped to" in published.text.en
    assert "该箱所发往的经销商供货的门店的登记店员" in published.text.zh


def test_every_store_of_the_dealer_may_draw_as_the_text_says(stores: StoreWorld) -> None:
    """A shipment names a dealer and no store, so neither text nor draw asks which store has the case."""
    world = stores.world
    world.run("cases", **FOR_CASES)
    world.do(save_store, code="S-3", name="S-3", dealer_code="EAST", region="310000")
    stores.scan(stores.staff("S-1"), 0)
    assert draw(stores, stores.staff("S-3"), 0).fresh


def test_the_scan_of_a_case_looks_once_where_its_scanner_works(stores: StoreWorld) -> None:
    """Whoever works in no store pays one statement for it, and staff are not looked up twice."""
    world = stores.world
    world.run("cases", **FOR_CASES)
    shopper, clerk = world.member(), stores.staff("S-1")
    with statements(world.db.engine) as seen:
        assert stores.scan(shopper, 0).offer is None
        assert len([text for text in seen if "store_staff" in text]) == 1
        assert stores.scan(clerk, 0).offer is not None
    assert len([text for text in seen if "store_staff" in text]) == 2
