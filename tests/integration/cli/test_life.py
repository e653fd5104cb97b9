"""The life of a code that was scanned and drawn, told without naming anybody."""

from app.cli.life import as_page, life_of
from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.trace.queries import CodeRef
from tests.factories.campaign_world import CampaignWorld
from tests.factories.campaigns import money, text


def test_scans_award_and_draw_are_told_with_numbers_for_persons(
    sqlite_db: Database, clock: ManualClock
) -> None:
    world = CampaignWorld.build(sqlite_db, clock)
    weights = [{"prize": "one", "weight": 1}]
    pool = {"key": "all", "name": text("全部", "Everybody"), "priority": 0, "weights": weights}
    world.run(prizes=[money("one", 100)], pools=[pool])
    winner, other = world.member(), world.member()
    world.scan(other, index=7, region_hint="310000")
    world.draw(winner, index=7)
    life = world.read(life_of, code=CodeRef(world.batch_id, 7))
    assert [(scan["person"], scan["outcome"]) for scan in life["scans"]] == [(1, "ok"), (2, "ok")]
    assert life["code"][0]["drawn by person"] == 2
    assert [(won["kind"], won["amount_fen"]) for won in life["award"]] == [("money", 100)]
    page = as_page(life)
    assert str(winner.person_id) not in page
    assert str(life["award"][0]["prize"]) in page
