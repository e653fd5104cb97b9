"""Workers die on the way of a callback: while it is read, and while it is turned into an award's end."""

import pytest

from app.payouts.states import BillState
from app.rewards.models import AwardState
from tests.crash.town import Town
from tests.crash.workers import WAITING

pytestmark = pytest.mark.crash

# Before the commit everything still waits; after it, nothing.
COMMITS = {"before-commit": {WAITING}, "after-commit": set()}


def _receive(town: Town, kill: int, *, fail_reason: str = "") -> None:
    """Let callbacks about one bill or two arrive and be recorded."""
    for award in town.wait_for_confirmation(1 + kill % 2):
        town.confirm(award, fail_reason=fail_reason)
    town.await_callbacks()


def _end(town: Town, kill: int) -> None:
    """Clear up after every other death, so that some deaths meet what the one before left."""
    if kill % 2 == 0:
        town.finish()
        assert town.faults() == []


def _all_is_well(town: Town) -> None:
    town.finish()
    assert town.faults() == []
    assert town.unresolved() == []


@pytest.mark.parametrize("commit", COMMITS)
def test_handling_a_recorded_callback(town: Town, kills: int, commit: str) -> None:
    for kill in range(kills):
        _receive(town, kill)
        town.workers.die("drain", at=f"inbox.pay.{commit}")
        assert town.workers.standing("inbox.pay") == COMMITS[commit]
        _end(town, kill)
    _all_is_well(town)


@pytest.mark.parametrize("commit", COMMITS)
def test_settling_an_award(town: Town, kills: int, commit: str) -> None:
    for kill in range(kills):
        _receive(town, kill)
        town.workers.die("drain", at=f"fact.rewards.settle.{commit}")
        assert town.workers.standing("fact.rewards.settle") == COMMITS[commit]
        _end(town, kill)
    _all_is_well(town)


@pytest.mark.parametrize("commit", COMMITS)
def test_unlocking_an_award_whose_bill_failed(town: Town, kills: int, commit: str) -> None:
    for kill in range(kills):
        _receive(town, kill, fail_reason="ACCOUNT_ERROR")
        town.workers.die("drain", at=f"fact.rewards.unlock.{commit}")
        assert town.workers.standing("fact.rewards.unlock") == COMMITS[commit]
        town.drain()
        assert {town.world.now_award(award).state for award in town.unresolved()} == {AwardState.COLLECTIBLE}
        assert town.faults() == []
        _end(town, kill)
    _all_is_well(town)
    states = [bill.state for bill in town.world.bill_rows()]
    assert states.count(BillState.SUCCESS) == states.count(BillState.FAIL) == len(town.awards)
