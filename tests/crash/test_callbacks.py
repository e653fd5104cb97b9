"""Processes die on the way of a callback: while it is recorded, read, and turned into an award's end."""

import pytest
from sqlalchemy import select

from app.outbox.models import InboxMessage
from app.payouts.states import BillState
from app.rewards.models import AwardState
from tests.crash.town import WAITING, Town

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
        town.die("drain", at=f"inbox.pay.{commit}")
        assert town.standing("inbox.pay") == COMMITS[commit]
        _end(town, kill)
    _all_is_well(town)


@pytest.mark.parametrize("commit", COMMITS)
def test_settling_an_award(town: Town, kills: int, commit: str) -> None:
    for kill in range(kills):
        _receive(town, kill)
        town.die("drain", at=f"fact.rewards.settle.{commit}")
        assert town.standing("fact.rewards.settle") == COMMITS[commit]
        _end(town, kill)
    _all_is_well(town)


@pytest.mark.parametrize("commit", COMMITS)
def test_unlocking_an_award_whose_bill_failed(town: Town, kills: int, commit: str) -> None:
    for kill in range(kills):
        _receive(town, kill, fail_reason="ACCOUNT_ERROR")
        town.die("drain", at=f"fact.rewards.unlock.{commit}")
        assert town.standing("fact.rewards.unlock") == COMMITS[commit]
        town.drain()
        assert {town.world.now_award(award).state for award in town.unresolved()} == {AwardState.COLLECTIBLE}
        assert town.faults() == []
        _end(town, kill)
    _all_is_well(town)
    states = [bill.state for bill in town.world.bill_rows()]
    assert states.count(BillState.SUCCESS) == states.count(BillState.FAIL) == len(town.awards)


@pytest.mark.parametrize("boundary", ["edge.recording", "edge.recorded"])
def test_recording_a_callback_that_is_not_answered(town: Town, kills: int, boundary: str) -> None:
    """The platform gets no answer, so it sends the same notice again."""
    for kill in range(kills):
        town.edge_is_up = False
        (award,) = town.wait_for_confirmation()
        town.confirm(award)
        notice = town.await_missed_callback()
        town.die(
            "call_back",
            at=boundary,
            mchid=town.merchant.mchid,
            headers=notice.headers,
            body=notice.body.decode(),
        )
        assert town.standing("inbox.pay") == (set() if boundary == "edge.recording" else {WAITING})
        town.edge_is_up = True
        town.await_callbacks()
        _end(town, kill)
    _all_is_well(town)
    with town.container.db.read() as session:
        times = list(session.scalars(select(InboxMessage.received_times)))
    assert len(times) == kills
    assert set(times) == {1 if boundary == "edge.recording" else 2}
