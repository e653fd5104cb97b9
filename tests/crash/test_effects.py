"""Workers die at each boundary of the three phases: prepare, call, settle."""

import pytest

from app.payouts import closing
from app.payouts import operations as payouts
from app.payouts.operations import FIRST_POLL
from app.payouts.states import BillState
from tests.crash.town import Town
from tests.crash.workers import IN_FLIGHT, WAITING
from tests.factories.prizes import OPERATOR

pytestmark = pytest.mark.crash

# What a death leaves behind is the proof that it came where it was meant to.
PHASES = {
    "preparing": {WAITING},  # not committed
    "prepared": {IN_FLIGHT},  # the call not made
    "performed": {IN_FLIGHT},  # the platform has the bill, we do not know it
    "settling": {IN_FLIGHT},  # known, not committed
    "settled": set(),
}


@pytest.mark.parametrize("phase", PHASES)
def test_opening_bills(town: Town, kills: int, phase: str) -> None:
    for kill in range(kills):
        for award in town.win(1 + kill % 2):
            town.world.collect(award)
        town.workers.die("drain", at=f"payouts.open.{phase}")
        assert town.workers.standing("payouts.open") == PHASES[phase]
        town.workers.let_leases_run_out()
        # Now and then the next worker dies at the same place, with the same messages and new ones.
        if kill % 2 == 0:
            town.finish()
            assert town.faults() == []
    town.finish()
    assert town.faults() == []
    assert town.unresolved() == []
    assert town.world.books()["paid"] == 100 * len(town.awards)
    assert len(town.world.bill_rows()) == len(town.awards)


@pytest.mark.parametrize("phase", PHASES)
def test_asking_about_bills(town: Town, kills: int, phase: str) -> None:
    """Callbacks get lost, bills succeed and fail; a failed one is collected again with a new number."""
    town.silence()
    for kill in range(kills):
        won = town.wait_for_confirmation(1 + kill % 2)
        town.confirm(won[0], fail_reason="ACCOUNT_ERROR" if kill % 2 else "")
        town.world.clock.advance(2 * FIRST_POLL)
        town.world.do(payouts.poll_due)
        town.workers.die("drain", at=f"payouts.query.{phase}")
        assert town.workers.standing("payouts.query") == PHASES[phase]
        town.workers.let_leases_run_out()
        if kill % 2 == 0:
            town.finish()
            assert town.faults() == []
    town.finish()
    assert town.faults() == []
    assert town.unresolved() == []
    states = [bill.state for bill in town.world.bill_rows()]
    assert states.count(BillState.SUCCESS) == len(town.awards)
    assert states.count(BillState.FAIL) == kills // 2


@pytest.mark.parametrize("phase", PHASES)
def test_closing_bills(town: Town, kills: int, phase: str) -> None:
    """An operator closes bills that wait; they are cancelled once, and collected again with a new number."""
    for kill in range(kills):
        for award in town.wait_for_confirmation(1 + kill % 2):
            bill_no = town.world.bill(award).bill_no
            town.world.do(closing.close_bill, bill_no=bill_no, reason="no way on", actor=OPERATOR)
        town.workers.die("drain", at=f"payouts.close.{phase}")
        # Being cancelled is not its end: the message that was settled asks again.
        assert town.workers.standing("payouts.close") == (PHASES[phase] or {WAITING})
        town.workers.let_leases_run_out()
        if kill % 2 == 0:
            town.finish()
            assert town.faults() == []
    town.finish()
    assert town.faults() == []
    assert town.unresolved() == []
    states = [bill.state for bill in town.world.bill_rows()]
    assert states.count(BillState.SUCCESS) == states.count(BillState.CANCELLED) == len(town.awards)
