"""A world of campaigns on MariaDB, emptied afterwards; and one on SQLite."""

import pytest

from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.factories.campaign_world import CampaignWorld


@pytest.fixture
def world(clean_db: Database, clock: ManualClock) -> CampaignWorld:
    return CampaignWorld.build(clean_db, clock)


@pytest.fixture
def embedded_world(sqlite_db: Database, clock: ManualClock) -> CampaignWorld:
    return CampaignWorld.build(sqlite_db, clock)
