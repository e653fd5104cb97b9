"""A world of prizes on MariaDB, emptied afterwards."""

import pytest

from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.factories.prizes import PrizeWorld


@pytest.fixture
def world(clean_db: Database, clock: ManualClock) -> PrizeWorld:
    return PrizeWorld.build(clean_db, clock)
