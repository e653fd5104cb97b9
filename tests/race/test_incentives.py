"""A case that many of the staff scan at the same moment is paid for once."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Insert, func, select, text
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.db.once import insert_once
from app.incentives import operations
from app.incentives.models import StaffCaseReward
from app.incentives.operations import CaseOutcome
from app.kernel.clock import ManualClock
from app.ledger.errors import AlreadyPosted
from app.ledger.queries import audit
from app.points.models import PointsLot
from tests.factories.campaign_world import CampaignWorld
from tests.factories.store_world import POINTS, StoreWorld
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

STAFF = 16


def _scan_all(db: Database, stores: StoreWorld, seed: int) -> tuple[RaceResult, int]:
    """Let everybody in the store scan one case at once; return also the points that were granted."""
    crowd = [stores.staff() for _ in range(STAFF)]
    result = race(db, [lambda who=who: stores.scan(who, 0).staff_reward for who in crowd], seed=seed)
    with db.read() as session:
        assert audit(session) == []
        granted = session.execute(select(func.sum(PointsLot.granted))).scalar()
    return result, int(granted or 0)


@pytest.fixture
def stores(wide_db: Database, clock: ManualClock) -> StoreWorld:
    return StoreWorld.build(CampaignWorld.build(wide_db, clock))


def test_a_case_is_paid_for_once(wide_db: Database, stores: StoreWorld, race_seed: int) -> None:
    result, granted = _scan_all(wide_db, stores, race_seed)
    assert result.errors == []
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    outcomes = Counter(reward.outcome for reward in result.values)
    assert outcomes == {CaseOutcome.GRANTED: 1, CaseOutcome.GRANTED_TO_ANOTHER: STAFF - 1}
    assert granted == POINTS


def test_without_the_key_of_the_case_scans_fail_at_the_ledger(
    wide_db: Database, stores: StoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(session: Session, statement: Insert, values: Mapping[str, Any]) -> bool:
        if statement.table.name != StaffCaseReward.__tablename__:
            return insert_once(session, statement, values)
        found = select(StaffCaseReward.person_id).where(
            StaffCaseReward.batch_id == values["batch_id"],
            StaffCaseReward.code_index == values["code_index"],
        )
        rewarded = session.execute(found).first() is not None
        session.execute(text("SELECT SLEEP(0.05)"))
        return not rewarded

    monkeypatch.setattr(operations, "insert_once", look)
    result, granted = _scan_all(wide_db, stores, seed=0)
    assert {type(error) for error in result.errors} == {AlreadyPosted}
    assert granted == POINTS, "the movement's key is the second lock"
