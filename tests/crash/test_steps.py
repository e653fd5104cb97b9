"""Processes die in the middle of a call, and at the knocks of the clock."""

from datetime import timedelta

import pytest

from app.payouts import operations as payouts
from app.payouts.operations import FIRST_POLL
from app.rewards.models import AwardState
from tests.crash.town import Town
from tests.crash.workers import IN_FLIGHT

pytestmark = pytest.mark.crash

TRANSFERS = "/v3/fund-app/mch-transfer/transfer-bills"
HELD_SECONDS = 8  # as long as a caller waits at most: nobody lives to see it


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after_commit"])
def test_in_the_middle_of_opening(town: Town, kills: int, fault: str) -> None:
    """The platform has the request and does not answer; whether it has the bill, nobody can know."""
    for _ in range(kills):
        (award,) = town.win()
        bill = town.world.collect(award).bill
        town.sandbox.fault(TRANSFERS, fault, times=1, hold_seconds=HELD_SECONDS)
        child = town.workers.bear("drain")
        town.await_fault()
        if fault == "timeout_after_commit":
            town.await_bill(bill.bill_no)
        town.workers.kill(child)
        assert town.workers.standing("payouts.open") == {IN_FLIGHT}
        town.finish()
        assert town.faults() == []
    assert town.unresolved() == []
    assert len(town.world.bill_rows()) == kills


def test_in_the_middle_of_asking(town: Town, kills: int) -> None:
    town.silence()
    for _ in range(kills):
        (award,) = town.wait_for_confirmation()
        town.confirm(award)
        town.world.clock.advance(2 * FIRST_POLL)
        town.world.do(payouts.poll_due)
        town.sandbox.fault(f"{TRANSFERS}/*", "timeout_before", times=1, hold_seconds=HELD_SECONDS)
        child = town.workers.bear("drain")
        town.await_fault()
        town.workers.kill(child)
        assert town.workers.standing("payouts.query") == {IN_FLIGHT}
        town.finish()
        assert town.faults() == []
    assert town.unresolved() == []


def test_enqueueing_the_queries(town: Town, kills: int) -> None:
    town.silence()
    for _ in range(kills):
        (award,) = town.wait_for_confirmation()
        town.confirm(award)
        town.world.clock.advance(2 * FIRST_POLL)
        town.workers.die("poll", at="payouts.polling")
        assert town.workers.standing("payouts.query") == set()
        town.finish()
        assert town.faults() == []
    assert town.unresolved() == []


def test_lapsing(town: Town, kills: int) -> None:
    for kill in range(kills):
        town.win(1 + kill % 2, deadline_at=town.world.clock.now() + timedelta(hours=1))
        town.world.clock.advance(timedelta(hours=2))
        town.workers.die("lapse", at="rewards.lapsing")
        assert len(town.unresolved()) == 1 + kill % 2
        assert town.workers.bear("lapse").end() == 0
        assert town.faults() == []
    assert {town.world.now_award(award).state for award in town.awards} == {AwardState.LAPSED}
    assert town.world.books() == {"budget": 100_000, "committed": 0, "paid": 0, "stock": 100, "awarded": 0}
