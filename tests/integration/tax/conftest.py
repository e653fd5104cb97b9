"""A world of prizes, and one of campaigns, on either database."""

import pytest

from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.factories.campaign_world import CampaignWorld
from tests.factories.prizes import PrizeWorld


@pytest.fixture(params=["clean_db", "sqlite_db"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def world(database: Database, clock: ManualClock) -> PrizeWorld:
    return PrizeWorld.build(database, clock)


@pytest.fixture
def campaign_world(database: Database, clock: ManualClock) -> CampaignWorld:
    return CampaignWorld.build(database, clock)
