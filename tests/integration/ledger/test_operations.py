"""Posting: all or nothing, once per key, never below zero, hot rows last."""

from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.engine import Database, Replay
from app.ledger.errors import AlreadyPosted, InsufficientBalance
from app.ledger.models import Account, AccountKind, Asset, TransferRow
from app.ledger.operations import AccountRef, Transfer, ensure_account, hold_personal, hot_rows_last, post
from app.ledger.queries import audit, balances, is_posted, open_balance
from tests.support.statements import statements

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _account(
    session: Session, kind: AccountKind, purpose: str, owner: int, asset: Asset = Asset.FEN
) -> AccountRef:
    return ensure_account(
        session, kind=kind, asset=asset, purpose=purpose, owner_id=owner, brand_id=1, now=NOW
    )


@pytest.fixture
def funding(session: Session) -> AccountRef:
    return _account(session, AccountKind.OPEN, "funding", 1)


@pytest.fixture
def budget(session: Session, funding: AccountRef) -> AccountRef:
    account = _account(session, AccountKind.GUARDED, "budget", 1)
    post(session, [Transfer("fund", funding, account, 1000, "fund", 1)], now=NOW)
    return account


def test_a_transfer_moves_value(session: Session, funding: AccountRef, budget: AccountRef) -> None:
    assert balances(session, [budget.id]) == {budget.id: 1000}
    assert open_balance(session, funding.id) == -1000
    assert audit(session) == []


def test_an_account_is_opened_once(session: Session, budget: AccountRef) -> None:
    assert _account(session, AccountKind.GUARDED, "budget", 1) == budget
    with pytest.raises(ValueError, match="guarded"):
        _account(session, AccountKind.OPEN, "budget", 1)


def test_a_guarded_account_never_goes_below_zero(session: Session, budget: AccountRef) -> None:
    committed = _account(session, AccountKind.OPEN, "committed", 1)
    savepoint = session.begin_nested()
    with pytest.raises(InsufficientBalance) as refused:
        post(session, [Transfer("a", budget, committed, 1001, "draw", 1)], now=NOW)
    savepoint.rollback()
    assert refused.value.accounts == (budget.id,)
    assert not is_posted(session, "a")
    post(session, [Transfer("a", budget, committed, 1000, "draw", 1)], now=NOW)
    assert balances(session, [budget.id]) == {budget.id: 0}
    assert audit(session) == []


def test_a_key_posts_once(session: Session, funding: AccountRef, budget: AccountRef) -> None:
    with pytest.raises(AlreadyPosted):
        post(session, [Transfer("fund", funding, budget, 1, "fund", 1)], now=NOW)


def test_however_many_are_posted_all_are_or_none(session: Session, budget: AccountRef) -> None:
    committed = _account(session, AccountKind.OPEN, "committed", 1)
    many = [Transfer(f"many:{n}", budget, committed, n, "draw", n) for n in range(1, 36)]
    savepoint = session.begin_nested()
    with pytest.raises(AlreadyPosted):
        post(session, [*many, many[0]], now=NOW)
    savepoint.rollback()
    assert not is_posted(session, "many:1")
    post(session, many, now=NOW)
    assert balances(session, [budget.id]) == {budget.id: 1000 - 35 * 36 // 2}
    assert audit(session) == []


def test_personal_accounts_keep_sequence_and_balance_after(session: Session) -> None:
    issued = _account(session, AccountKind.OPEN, "issued", 0, Asset.POINTS)
    person = _account(session, AccountKind.PERSONAL, "points", 7, Asset.POINTS)
    post(
        session,
        [Transfer("p1", issued, person, 10, "draw", 1), Transfer("p2", issued, person, 5, "draw", 2)],
        now=NOW,
    )
    post(session, [Transfer("p3", person, issued, 4, "spend", 3)], now=NOW)
    rows = session.execute(
        text(
            "SELECT credit_sequence, credit_balance, debit_sequence, debit_balance"
            " FROM ledger_transfers ORDER BY id"
        )
    ).all()
    assert [tuple(row) for row in rows] == [(1, 10, None, None), (2, 15, None, None), (None, None, 3, 11)]
    with pytest.raises(InsufficientBalance):
        post(session, [Transfer("p4", person, issued, 12, "spend", 4)], now=NOW)
    assert balances(session, [person.id]) == {person.id: 11}


def test_two_guarded_accounts_take_one_statement(session: Session, budget: AccountRef) -> None:
    committed = _account(session, AccountKind.OPEN, "committed", 1)
    works = _account(session, AccountKind.OPEN, "works", 1, Asset.STOCK)
    stock = _account(session, AccountKind.GUARDED, "stock", 1, Asset.STOCK)
    awarded = _account(session, AccountKind.OPEN, "awarded", 1, Asset.STOCK)
    post(session, [Transfer("s", works, stock, 2, "stock", 1)], now=NOW)
    with statements(session.connection()) as seen:
        post(
            session,
            [
                Transfer("b1", budget, committed, 100, "draw", 1),
                Transfer("s1", stock, awarded, 1, "draw", 1),
            ],
            now=NOW,
        )
    assert [statement.split()[0] for statement in seen] == ["INSERT", "UPDATE"]
    assert balances(session, [budget.id, stock.id]) == {budget.id: 900, stock.id: 1}


def test_when_one_guard_fails_the_post_fails(session: Session, budget: AccountRef) -> None:
    committed = _account(session, AccountKind.OPEN, "committed", 1)
    stock = _account(session, AccountKind.GUARDED, "stock", 1, Asset.STOCK)
    awarded = _account(session, AccountKind.OPEN, "awarded", 1, Asset.STOCK)
    savepoint = session.begin_nested()
    with pytest.raises(InsufficientBalance):
        post(
            session,
            [
                Transfer("b1", budget, committed, 100, "draw", 1),
                Transfer("s1", stock, awarded, 1, "draw", 1),
            ],
            now=NOW,
        )
    savepoint.rollback()
    assert balances(session, [budget.id]) == {budget.id: 1000}
    assert audit(session) == []


def _shop(session: Session) -> tuple[AccountRef, AccountRef]:
    funding = _account(session, AccountKind.OPEN, "funding", 1)
    budget = _account(session, AccountKind.GUARDED, "budget", 1)
    post(session, [Transfer("fund", funding, budget, 1000, "fund", 1)], now=NOW)
    return budget, _account(session, AccountKind.OPEN, "committed", 1)


def test_hot_rows_are_taken_once_at_the_very_end(clean_db: Database) -> None:
    budget, committed = clean_db.transact(_shop)
    last = ExitStack()
    seen: list[str] = []

    def work(session: Session) -> None:
        nonlocal seen
        with hot_rows_last(session):
            for key in ("a", "b"):
                post(session, [Transfer(key, budget, committed, 100, "draw", 1)], now=NOW)
        assert balances(session, [budget.id]) == {budget.id: 1000}
        seen = last.enter_context(statements(session.get_bind()))

    with last:
        clean_db.transact(work)
    assert [statement.split()[0] for statement in seen] == ["UPDATE"]
    with clean_db.read() as session:
        assert balances(session, [budget.id]) == {budget.id: 800}
        assert audit(session) == []


def test_too_little_at_the_end_is_a_lost_race(clean_db: Database) -> None:
    budget, committed = clean_db.transact(_shop)

    def work(session: Session) -> None:
        with hot_rows_last(session):
            post(session, [Transfer("a", budget, committed, 1001, "draw", 1)], now=NOW)

    with pytest.raises(Replay), clean_db.unit_of_work() as session:
        work(session)
    with clean_db.read() as session:
        assert not is_posted(session, "a")
        assert balances(session, [budget.id]) == {budget.id: 1000}


def test_a_purse_is_written_with_the_hot_rows_and_numbered_on_the_way(clean_db: Database) -> None:
    budget, committed = clean_db.transact(_shop)
    last = ExitStack()
    seen: list[str] = []

    def work(session: Session) -> None:
        nonlocal seen
        issued = _account(session, AccountKind.OPEN, "issued", 0, Asset.POINTS)
        with hot_rows_last(session):
            for key in ("p", "q"):
                held = hold_personal(
                    session, asset=Asset.POINTS, purpose="points", owner_id=7, brand_id=None, now=NOW
                )
                moved = [
                    Transfer(key, issued, held.account, 10, "draw", 1),
                    Transfer(f"{key}:fen", budget, committed, 100, "draw", 1),
                ]
                post(session, moved, now=NOW, held=[held])
        seen = last.enter_context(statements(session.get_bind()))

    with last:
        clean_db.transact(work)
    # The second transfers, which nobody has waited for, and all accounts at once.
    assert [statement.split()[0] for statement in seen] == ["INSERT", "UPDATE"]
    with clean_db.read() as session:
        purse = session.execute(select(Account).where(Account.purpose == "points")).scalar_one()
        assert (purse.balance, purse.sequence) == (20, 2)
        numbers = select(TransferRow.credit_sequence, TransferRow.credit_balance).where(
            TransferRow.key.in_(["p", "q"])
        )
        assert sorted(session.execute(numbers)) == [(1, 10), (2, 20)]
        assert balances(session, [budget.id]) == {budget.id: 800}
        assert audit(session) == []


def test_nonsense_is_refused(session: Session, funding: AccountRef, budget: AccountRef) -> None:
    stock = _account(session, AccountKind.GUARDED, "stock", 1, Asset.STOCK)
    for transfer in (
        Transfer("x", funding, budget, 0, "x", 1),
        Transfer("x", funding, budget, -5, "x", 1),
        Transfer("x", funding, stock, 5, "x", 1),
    ):
        with pytest.raises(ValueError, match="positive amount of one asset"):
            post(session, [transfer], now=NOW)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_accounts SET balance = -1",
        "UPDATE ledger_accounts SET kind = 'other'",
        "UPDATE ledger_transfers SET amount = 0",
        "UPDATE ledger_transfers SET credit_account = debit_account",
        "UPDATE ledger_transfers SET asset = 'gold'",
    ],
)
def test_the_database_itself_refuses(session: Session, budget: AccountRef, statement: str) -> None:
    with pytest.raises((IntegrityError, Exception), match="CONSTRAINT"):
        session.execute(text(statement))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("UPDATE ledger_accounts SET balance = balance + 1 WHERE purpose = 'budget'", "balance 1001"),
        ("UPDATE ledger_accounts SET asset = 'stock' WHERE purpose = 'budget'", "another asset"),
        ("DELETE FROM ledger_transfers", "balance 1000, its transfers say 0"),
    ],
)
def test_the_audit_sees_damage(session: Session, budget: AccountRef, damage: str, complaint: str) -> None:
    session.execute(text(damage))
    assert any(complaint in fault for fault in audit(session))
