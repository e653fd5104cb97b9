"""The brand of the campaign tests, with a case batch on its way to two dealers and one store of each."""

import pytest

from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.factories.campaign_world import CampaignWorld
from tests.factories.store_world import StoreWorld


@pytest.fixture
def stores(clean_db: Database, clock: ManualClock) -> StoreWorld:
    return StoreWorld.build(CampaignWorld.build(clean_db, clock))
