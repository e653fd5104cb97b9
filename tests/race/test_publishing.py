"""Campaigns for the same codes published at the same moment: one is first, the others need approval."""

from collections.abc import Callable

import pytest

from app.campaigns import operations as campaigns
from app.campaigns.errors import OverlapsCampaigns
from app.campaigns.operations import InForce
from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.factories.campaign_world import CampaignWorld
from tests.factories.campaigns import money, pool
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

DRAFTS = 8


def _draft(world: CampaignWorld) -> int:
    campaign = world.create(f"race-{next(world.numbers)}")
    world.save(campaign, prizes=[money("yuan", 100)], pools=[pool("everybody", 0, {"yuan": 1})])
    world.fund(campaign, 1000)
    return campaign


def _publish_all(world: CampaignWorld, seed: int) -> RaceResult:
    drafts = [_draft(world) for _ in range(DRAFTS)]

    def publishing(campaign: int) -> Callable[[], InForce]:
        return lambda: world.publish(campaign)

    return race(world.db, [publishing(campaign) for campaign in drafts], seed=seed)


def test_of_eight_at_once_one_is_published(wide_db: Database, clock: ManualClock, race_seed: int) -> None:
    result = _publish_all(CampaignWorld.build(wide_db, clock), race_seed)
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert [type(error) for error in result.errors] == [OverlapsCampaigns] * (DRAFTS - 1)
    assert [came.published for came in result.values] == [True]


def test_without_the_brands_lock_several_are(
    wide_db: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "close_ranks", lambda session, brand_id: None)
    result = _publish_all(CampaignWorld.build(wide_db, clock), seed=1)
    assert len(result.values) > 1
