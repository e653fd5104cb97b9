"""What a draw sees: of the person, the product, the place, and of the lists."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns.errors import (
    DrawRefused,
)
from app.campaigns.models import Draw
from app.campaigns.play import Visit
from app.codes import operations as codes
from app.codes.errors import UnknownScan
from app.risk.lists import Level, ListKind, SubjectKind
from app.risk.operations import put_on_list
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import document, money, multiplier, nothing, points, pool, random_money
from tests.integration.campaigns.drawing import ONE_YUAN, draws

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


def _black(world: CampaignWorld, about: SubjectKind, subject: str, **more: Any) -> None:
    said = {"kind": ListKind.BLACK, "reason": "test"} | more
    world.do(put_on_list, subject_kind=about, subject=subject, actor=OLGA, **said)
