"""The method sees faults: with a guard taken out, the same deaths leave something for the auditors."""

import pytest

from tests.crash.town import Town
from tests.support.doomed import SABOTAGES

pytestmark = pytest.mark.crash


def test_a_new_number_for_each_attempt_is_seen(town: Town) -> None:
    """The number is what protects against paying twice; most home-made payouts draw a new one."""
    with SABOTAGES["a_new_number_for_each_attempt"]():
        (award,) = town.win()
        town.world.collect(award)
        town.workers.die("drain", at="payouts.open.performed", sabotage="a_new_number_for_each_attempt")
        town.finish()
    unknown = [fault for fault in town.faults() if "none of ours" in fault]
    assert len(unknown) == 2, "two bills for one award wait at the platform"


def test_a_message_that_leaves_the_queue_too_early_is_seen(town: Town) -> None:
    (award,) = town.win()
    town.world.collect(award)
    town.workers.die("drain", at="payouts.open.prepared", sabotage="messages_gone_once_claimed")
    town.finish()
    assert f"award {award.id} is locked and nothing is at work for it" in town.faults()
    assert town.unresolved() == [award]


def test_without_a_death_nothing_is_wrong(town: Town) -> None:
    """The auditors do not cry wolf."""
    town.win(2)
    town.finish()
    assert town.workers.bear("drain").end() == 0
    assert town.faults() == []
    assert town.unresolved() == []
