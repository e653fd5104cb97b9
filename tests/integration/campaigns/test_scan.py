"""What a scan shows, in two statements."""

from typing import Any

from sqlalchemy import select

from app.campaigns import scan as scanning
from app.campaigns.scan import Scanned
from app.codes import operations as codes
from app.codes.models import Scan
from app.codes.outcome import ScanOutcome
from app.identity.queries import Principal
from app.members import operations as members
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import money, pool
from tests.support.statements import statements

ONE_YUAN: dict[str, Any] = {"prizes": [money("yuan", 100)], "pools": [pool("everybody", 0, {"yuan": 1})]}


def scan(world: CampaignWorld, who: Principal, index: int = 0, *, text: str | None = None) -> Scanned:
    if text is None:
        with world.db.read() as session:
            text = world.code(session, index)
    return world.do(
        scanning.scan,
        code_book=world.code_book,
        campaign_book=world.campaign_book,
        text=text,
        principal=who,
        region_hint="310000",
    )


def test_a_scan_shows_product_campaign_and_whether_its_scanner_may_draw(world: CampaignWorld) -> None:
    member, visitor = world.member(), world.visitor()
    before = scan(world, member)
    assert (before.result.outcome, before.offer, before.may_draw) == (ScanOutcome.OK, None, True)
    campaign = world.run(**ONE_YUAN)
    shown = scan(world, visitor)
    assert shown.product is not None
    assert shown.offer is not None
    assert (shown.offer.campaign_id, shown.may_draw, shown.result.earlier_scans) == (campaign, False, 1)
    with world.db.read() as session:
        row = session.execute(select(Scan).where(Scan.id == shown.result.scan_id)).scalar_one()
        assert (row.person_id, row.region, row.outcome) == (visitor.person_id, "310000", ScanOutcome.OK)


def test_who_withdrew_the_consent_may_not_draw(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    who = world.member()
    assert scan(world, who).may_draw
    world.do(members.withdraw_consent, person_id=who.person_id)
    assert not scan(world, who).may_draw


def test_a_code_that_gives_no_draw_shows_its_product_and_no_campaign(world: CampaignWorld) -> None:
    world.run(**ONE_YUAN)
    who, another = world.member(), world.member()
    world.play(who, world.scan(who, index=0))
    taken = scan(world, another)
    assert (taken.result.outcome, taken.offer) == (ScanOutcome.DRAWN_BY_ANOTHER, None)
    assert taken.product is not None
    world.do(codes.freeze, batch_id=world.batch_id, reason="leaked", actor=OLGA)
    assert (scan(world, who).result.outcome, scan(world, who, 1).result.outcome) == (
        ScanOutcome.DRAWN_BY_ME,
        ScanOutcome.FROZEN,
    )


def test_what_is_no_code_of_ours_shows_nothing_and_is_recorded(world: CampaignWorld) -> None:
    who = world.member()
    with world.db.read() as session:
        code = world.code(session, 0)
    altered = ("0" if code[0] != "0" else "1") + code[1:]
    found = scan(world, who, text=altered)
    assert found.result.outcome in {ScanOutcome.ALTERED, ScanOutcome.UNKNOWN}
    assert (found.product, found.offer, found.may_draw) == (None, None, False)
    with world.db.read() as session:
        assert session.execute(select(Scan.batch_id)).scalars().all() == [None]


def test_a_scan_takes_two_statements(world: CampaignWorld) -> None:
    """Three with the edge's; however many campaigns run."""
    for key in ("june", "july", "august"):
        world.run(key, **ONE_YUAN)
    who = world.member()
    scan(world, who, 1)
    with world.db.read() as session:
        text = world.code(session, 2)
    with statements(world.db.engine) as seen:
        shown = scan(world, who, text=text)
    assert shown.offer is not None
    assert len(seen) == 2, seen
