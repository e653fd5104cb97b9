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
    withheld_fen=0,
    borne_fen=0,
)


def test_money_is_paid_or_returned_under_one_key() -> None:
    paid = MONEY.paid_to(AccountRef(99, AccountKind.OPEN, Asset.FEN))
    returned, restocked = MONEY.returned()
    assert paid.key == returned.key == "award:5:resolve"
    assert restocked.key == "award:5:restock"
    assert (paid.debit, paid.credit.id, paid.amount) == (returned.debit, 99, 100)
    assert returned.credit == AccountRef(10, AccountKind.GUARDED, Asset.FEN)
    assert (restocked.debit.id, restocked.credit.id, restocked.amount) == (13, 12, 1)


def test_a_tax_leaves_committed_beside_the_money_and_alone_under_the_one_key_of_a_thing() -> None:
    paid, withheld = (AccountRef(number, AccountKind.OPEN, Asset.FEN) for number in (99, 98))
    taxed = MONEY._replace(withheld_fen=20)
    assert taxed.paid_to(paid).amount + taxed.tax_to(withheld).amount == taxed.returned()[0].amount == 100
    borne = MONEY._replace(borne_fen=25)
    assert borne.paid_to(paid).amount + borne.tax_to(withheld).amount == borne.returned()[0].amount == 125
    assert borne.tax_to(withheld).key == "award:5:tax"
    thing = borne._replace(kind=AwardKind.GOODS, amount_fen=0)
    # Else it could be both owed and returned.
    assert thing.tax_to(withheld).key == thing.returned()[0].key == "award:5:resolve"
    assert thing.tax_to(withheld).amount == thing.returned()[0].amount == 25


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
