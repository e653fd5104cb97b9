"""What is published, what a scan shows, winners, and checking draws from their records."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from app.campaigns import operations as campaigns
from app.campaigns import queries
from app.campaigns.book import CampaignBook
from app.campaigns.context import read_code
from app.campaigns.errors import NothingPublished, UnknownDraw
from app.campaigns.parser import parse_rules
from app.campaigns.rules import PhonePolicy, Rules
from app.members.queries import membership
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import document, money, points, pool, random_money
from tests.support.statements import statements

ONE_YUAN: dict[str, Any] = {"prizes": [money("yuan", 100)], "pools": [pool("everybody", 0, {"yuan": 1})]}


def offer(world: CampaignWorld) -> queries.Offer | None:
    with world.db.read() as session:
        parsed, now = world.code_book.read(world.code(session, 0)), world.clock.now()
        seen = read_code(session, book=world.code_book, parsed=parsed, person_ids=[1], now=now)
        assert seen is not None
        return queries.on_offer(session, book=world.campaign_book, code=seen.code, shelf=seen.shelf, now=now)


# --- what a scan shows ------------------------------


def test_a_scan_shows_the_campaign_that_its_code_can_be_drawn_for(world: CampaignWorld) -> None:
    assert offer(world) is None
    everyday = world.run("everyday", **ONE_YUAN, phone_policy="before_draw")
    how = document()["participation"]["how"]
    later = document()["period"] | {"starts_at": "2026-06-01T06:00:00+08:00"}
    premium = {"conditions": {"which": {"lines": ["premium"]}}, "how": how}
    world.run("premium", **ONE_YUAN, period=later, participation=premium)
    found = offer(world)
    assert found is not None
    assert (found.campaign_id, found.phone_policy, found.location_counts) == (
        everyday,
        PhonePolicy.BEFORE_DRAW,
        False,
    )
    world.do(campaigns.stop, campaign_id=everyday, reason="x", actor=OLGA)
    assert offer(world) is None


def test_when_the_phone_is_asked_for(world: CampaignWorld) -> None:
    default = world.run("default", **ONE_YUAN)
    never = world.run("never", **ONE_YUAN, phone_policy="never")
    assert world.read(queries.phone_at_collection, campaign_id=default)
    assert not world.read(queries.phone_at_collection, campaign_id=never)
    assert not world.read(queries.phone_at_collection, campaign_id=1)


# --- draws ------------------------------


def test_a_draw_is_shown_to_whom_it_belongs(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    who, other = world.member(), world.member()
    drawn = world.draw(who).draw
    asked = {"book": world.campaign_book, "draw_id": drawn.id}
    assert world.read(queries.draw, person_ids=[who.person_id], **asked) == drawn
    assert (drawn.prize_name.zh, drawn.pool_name.en) == ("现金红包yuan", "Pool everybody")
    with pytest.raises(UnknownDraw):
        world.read(queries.draw, person_ids=[other.person_id], **asked)


def test_a_draw_keeps_the_names_of_its_own_version(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    who = world.member()
    drawn = world.draw(who).draw
    world.save(campaign, **(ONE_YUAN | {"prizes": [money("yuan", 200)]}))
    world.do(campaigns.change, campaign_id=campaign, actor=OLGA)
    world.draw(who)
    again = world.read(queries.draw, book=CampaignBook(), draw_id=drawn.id, person_ids=[who.person_id])
    assert again == drawn


# --- winners ------------------------------


def test_winners_above_500_yuan_are_published_masked(world: CampaignWorld) -> None:
    """Interim Provisions, art. 13: more than, not from, 500 yuan; points by their worth."""
    campaign = world.run(
        prizes=[money("exact", 50_000), money("more", 50_001), points("many", 60_000), money("yuan", 100)],
        pools=[
            pool("first", 3, {"exact": 1}, conditions={"what": {"draw_to": 1}}),
            pool("second", 2, {"more": 1}, conditions={"what": {"draw_to": 2}}),
            pool("third", 1, {"many": 1}, conditions={"what": {"draw_to": 3}}),
            pool("later", 0, {"yuan": 1}),
        ],
        fen=10**7,
    )
    who = world.member()
    drawn = [world.draw(who) for _ in range(4)]
    found = world.read(queries.winners, campaign_id=campaign)
    assert [(line.draw_id, line.worth_fen) for line in found] == [
        (drawn[2].draw.id, 60_000),
        (drawn[1].draw.id, 50_001),
    ]
    member = world.read(membership, person_ids=[who.person_id])
    assert member is not None
    number = member.member_no
    assert {line.member for line in found} == {f"{number[:3]}******{number[-3:]}"}
    assert world.read(queries.winners, campaign_id=campaign, before=found[0].draw_id) == found[1:]
    assert world.read(queries.winners, campaign_id=campaign, limit=1) == found[:1]


def test_a_page_of_winners_parses_each_version_once(
    world: CampaignWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is public, and large rules take long to read."""
    campaign = world.run(prizes=[money("more", 50_001)], pools=[pool("everybody", 0, {"more": 1})], fen=10**7)
    who = world.member()
    for _ in range(5):
        world.draw(who)
    parsed: list[object] = []

    def parse(rules: object) -> Rules:
        parsed.append(rules)
        return parse_rules(rules)

    monkeypatch.setattr(queries, "parse_rules", parse)
    assert len(world.read(queries.winners, campaign_id=campaign)) == 5
    assert len(parsed) == 2


def test_a_campaign_that_has_published_nothing_has_no_winners(world: CampaignWorld) -> None:
    with pytest.raises(NothingPublished):
        world.read(queries.winners, campaign_id=world.create())


# --- checking ------------------------------


def test_every_draw_verifies_from_the_database(world: CampaignWorld) -> None:
    campaign = world.run(
        prizes=[random_money("lucky", 100, 500), points("ten", 10)],
        pools=[pool("everybody", 0, {"lucky": 1, "ten": 1})],
    )
    who = world.member()
    drawn = [world.draw(who).draw.id for _ in range(6)]
    checked = world.read(queries.verify_draws, campaign_id=campaign)
    assert [check.draw_id for check in checked] == drawn
    assert all(check.mismatches == () for check in checked)
    assert world.read(queries.verify_draws, campaign_id=campaign, after=drawn[1], limit=2) == checked[2:4]
    assert world.read(queries.verify_draw, draw_id=drawn[0]) == checked[0]
    with pytest.raises(UnknownDraw):
        world.read(queries.verify_draw, draw_id=1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("amount_fen = amount_fen + 1", "amount_fen"),
        ("points = 7", "points"),
        ("worth_fen = 1", "worth_fen"),
        ("result = 'nothing'", "result"),
        ("prize = 'ten'", "prize"),
        ("pool = 'other'", "pool"),
        ("person_id = person_id + 1", "seal"),
        ("scan_id = scan_id + 1", "seal"),
        ("code_index = code_index + 1", "seal"),
        ("at = DATE_ADD(at, INTERVAL 1 SECOND)", "facts.at"),
        ("seal = REPEAT('0', 64)", "seal"),
        ("facts = JSON_SET(facts, '$.tier', 'diamond')", "seal"),
        ("outcome = JSON_SET(outcome, '$.amount_fen', 5)", "outcome.amount_fen"),
    ],
)
def test_whoever_writes_to_the_database_is_found_out(world: CampaignWorld, change: str, field: str) -> None:
    world.run(**ONE_YUAN)
    drawn = world.draw(world.member()).draw
    with world.db.unit_of_work() as session:
        session.execute(text(f"UPDATE draws SET {change} WHERE id = :id"), {"id": drawn.id})
    found = world.read(queries.verify_draw, draw_id=drawn.id).mismatches
    assert field in {mismatch.field for mismatch in found}


def test_changed_rules_are_found_out_even_with_a_fitting_hash(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    drawn = world.draw(world.member()).draw
    forged = parse_rules(document(**(ONE_YUAN | {"caps": {"per_day": 1}})))
    with world.db.unit_of_work() as session:
        session.execute(
            text("UPDATE campaign_versions SET rules = :rules, sha256 = :sha256 WHERE campaign_id = :id"),
            {"rules": json.dumps(forged.to_json()), "sha256": forged.sha256, "id": campaign},
        )
    found = world.read(queries.verify_draw, draw_id=drawn.id).mismatches
    assert {mismatch.field for mismatch in found} == {"seal"}


# --- rules at hand ------------------------------


def test_published_versions_are_read_once(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    book = CampaignBook()
    with statements(world.db.engine) as seen, world.db.read() as session:
        first = book.version(session, campaign_id=campaign, version=1)
        assert len(seen) == 3
        assert book.version(session, campaign_id=campaign, version=1) is first
        assert len(seen) == 3
        assert "seed" not in repr(first)
        with pytest.raises(NothingPublished):
            book.version(session, campaign_id=campaign, version=2)


def test_a_draft_is_never_drawn_by(world: CampaignWorld) -> None:
    campaign = world.run(**ONE_YUAN)
    world.save(campaign, **(ONE_YUAN | {"prizes": [money("yuan", 200)]}))
    with world.db.read() as session, pytest.raises(NothingPublished):
        CampaignBook().version(session, campaign_id=campaign, version=2)
    with pytest.raises(NothingPublished):
        world.read(queries.published, campaign_id=campaign, version=2)


def test_the_book_forgets_what_is_used_least(world: CampaignWorld) -> None:
    one, two, three = (world.run(key, **ONE_YUAN) for key in ("one", "two", "three"))
    book = CampaignBook(capacity=2)
    with world.db.read() as session:
        first = book.version(session, campaign_id=one, version=1)
        book.version(session, campaign_id=two, version=1)
        book.version(session, campaign_id=one, version=1)
        book.version(session, campaign_id=three, version=1)
        assert book.version(session, campaign_id=one, version=1) is first
        kept: Any = book._versions
        assert [key for key, _ in kept] == [three, one]
