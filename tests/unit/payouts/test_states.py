"""The tables of states: every state listed, ends final, nothing ever goes back."""

import pytest

from app.payouts.interfaces import FINAL_STATES, TransferState
from app.payouts.news import STATES
from app.payouts.states import (
    BILL_TRANSITIONS,
    PAYER_TRANSITIONS,
    PAYOUT_TRANSITIONS,
    BillState,
    PayerState,
    PayoutState,
)


def test_each_state_of_the_platform_is_one_of_ours() -> None:
    assert set(STATES) == set(TransferState)
    assert set(STATES.values()) == set(BillState) - {BillState.NEW}
    for theirs, ours in STATES.items():
        assert ours.value == theirs.value.lower()
        assert BILL_TRANSITIONS.final(ours) is (theirs in FINAL_STATES)


def test_a_bill_never_comes_back_to_where_it_was() -> None:
    def reachable(state: BillState) -> set[BillState]:
        found: set[BillState] = set()
        ahead = [state]
        while ahead:
            here = ahead.pop()
            for there in BillState:
                if BILL_TRANSITIONS.allows(here, there) and there not in found:
                    found.add(there)
                    ahead.append(there)
        return found

    for state in BillState:
        assert state not in reachable(state)
        assert BillState.NEW not in reachable(state)


def test_every_bill_that_has_not_ended_may_still_end_in_every_way() -> None:
    ends = [state for state in BillState if BILL_TRANSITIONS.final(state)]
    assert len(ends) == 3
    for state in BillState:
        if state not in ends:
            assert all(BILL_TRANSITIONS.allows(state, end) for end in ends)


@pytest.mark.parametrize("state", list(PayoutState))
def test_a_payout_opens_again_only_after_a_failure(state: PayoutState) -> None:
    assert PAYOUT_TRANSITIONS.allows(state, PayoutState.OPEN) is (state is PayoutState.FAILED)
    assert PAYOUT_TRANSITIONS.final(state) is (state is PayoutState.SETTLED)


def test_money_alone_never_ends_an_operators_pause() -> None:
    assert not PAYER_TRANSITIONS.allows(PayerState.PAUSED_OPERATOR, PayerState.PAUSED_BALANCE)
    assert PAYER_TRANSITIONS.sources(PayerState.ACTIVE) == {
        PayerState.PAUSED_BALANCE,
        PayerState.PAUSED_OPERATOR,
    }
