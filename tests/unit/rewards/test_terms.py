"""An award's ways out of "committed" share one key; its states are all accounted for."""

from datetime import UTC, datetime

import pytest

from app.ledger.models import AccountKind, Asset
from app.ledger.operations import AccountRef
from app.rewards.models import AWARD_TRANSITIONS, AwardKind, AwardState
from app.rewards.terms import Terms

NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
MONEY = Terms(
    id=5,
    brand_id=1,
    campaign_id=2,
    person_id=3,
    kind=AwardKind.MONEY,
    amount_fen=100,
    points=0,
    points_expire_at=None,
    delivery=None,
    remark="",
    payer_id=4,
    state=AwardState.LOCKED,
    budget_account=10,
    committed_account=11,
    stock_account=12,
    awarded_account=13,
    unlock_draws=0,
    unlock_helpers=0,
    granted_at=NOON,
    deadline_at=NOON,
)


def test_money_is_paid_or_returned_under_one_key() -> None:
    paid = MONEY.paid_to(AccountRef(99, AccountKind.OPEN, Asset.FEN))
    returned, restocked = MONEY.returned()
    assert paid.key == returned.key == "award:5:resolve"
    assert restocked.key == "award:5:restock"
    assert (paid.debit, paid.credit.id, paid.amount) == (returned.debit, 99, 100)
    assert returned.credit == AccountRef(10, AccountKind.GUARDED, Asset.FEN)
    assert (restocked.debit.id, restocked.credit.id, restocked.amount) == (13, 12, 1)


def test_what_took_nothing_returns_nothing() -> None:
    bare = MONEY._replace(
        budget_account=None, committed_account=None, stock_account=None, awarded_account=None
    )
    assert bare.returned() == []


@pytest.mark.parametrize("state", list(AwardState))
def test_only_a_locked_award_is_paid_and_only_an_unlocked_one_lapses(state: AwardState) -> None:
    assert AWARD_TRANSITIONS.allows(state, AwardState.LAPSED) is (state is AwardState.COLLECTIBLE)
    assert AWARD_TRANSITIONS.allows(state, AwardState.LOCKED) is (state is AwardState.COLLECTIBLE)
    assert AWARD_TRANSITIONS.allows(state, AwardState.FULFILLED) is (
        # From collectible a voucher is; money goes through locked, which `settle` insists on.
        state in {AwardState.LOCKED, AwardState.HELD, AwardState.COLLECTIBLE}
    )
    assert AWARD_TRANSITIONS.final(state) is (
        state in {AwardState.FULFILLED, AwardState.LAPSED, AwardState.REFUSED}
    )
