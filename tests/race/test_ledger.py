"""A guarded account under 64 connections: exactly what is there goes out, and never a fen more."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.ledger import operations
from app.ledger.errors import InsufficientBalance
from app.ledger.models import Account, AccountKind, Asset
from app.ledger.operations import AccountRef, Transfer, ensure_account, post
from app.ledger.queries import audit, balances
from tests.support.racing import CONNECTIONS, race

pytestmark = pytest.mark.race(seeds=5)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
STOCK = 10


def _accounts(db: Database) -> tuple[AccountRef, AccountRef]:
    def work(session: Session) -> tuple[AccountRef, AccountRef]:
        def account(kind: AccountKind, purpose: str) -> AccountRef:
            return ensure_account(
                session, kind=kind, asset=Asset.STOCK, purpose=purpose, owner_id=1, brand_id=1, now=NOW
            )

        source, stock = account(AccountKind.OPEN, "works"), account(AccountKind.GUARDED, "stock")
        taken = account(AccountKind.OPEN, "awarded")
        post(session, [Transfer("in", source, stock, STOCK, "stock", 1)], now=NOW)
        return stock, taken

    return db.transact(work)


def _take_all(db: Database, seed: int) -> tuple[int, int, int]:
    """Let 64 runners take one piece each; return winners, pieces left and lock waits."""
    stock, taken = _accounts(db)

    def take(number: int) -> None:
        db.transact(
            lambda session: post(
                session, [Transfer(f"take:{number}", stock, taken, 1, "draw", number)], now=NOW
            )
        )

    result = race(db, [lambda number=number: take(number) for number in range(CONNECTIONS)], seed=seed)
    assert all(isinstance(error, InsufficientBalance) for error in result.errors), result.errors
    with db.read() as session:
        left = balances(session, [stock.id])[stock.id]
    return len(result.values), left, result.lock_waits


def test_a_stock_of_ten_gives_exactly_ten(wide_db: Database, race_seed: int) -> None:
    winners, left, waits = _take_all(wide_db, race_seed)
    assert (winners, left) == (STOCK, 0)
    assert waits > 0, "nobody waited for anybody: this was no race"
    with wide_db.read() as session:
        assert audit(session) == []


def _check_then_write(session: Session, changes: Mapping[int, Any], *, lost: Callable[[], Exception]) -> None:
    """The guard taken out: what most systems do, a check in the program and a write of what it saw."""
    connection = session.connection()
    for account, change in changes.items():
        left = connection.execute(select(Account.balance).where(Account.id == account)).scalar_one()
        if left + change.amount < 0:
            raise lost()
        connection.execute(text("SELECT SLEEP(0.002)"))
        connection.execute(update(Account).where(Account.id == account).values(balance=left + change.amount))


def test_without_the_guard_more_than_ten_win(wide_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_apply", _check_then_write)
    winners, _left, _waits = _take_all(wide_db, seed=0)
    assert winners > STOCK
    with wide_db.read() as session:
        assert audit(session) != []


def test_one_key_posts_once_among_64(wide_db: Database, race_seed: int) -> None:
    stock, taken = _accounts(wide_db)

    def take() -> None:
        wide_db.transact(
            lambda session: post(session, [Transfer("once", stock, taken, 1, "draw", 1)], now=NOW)
        )

    result = race(wide_db, [take] * CONNECTIONS, seed=race_seed)
    assert len(result.values) == 1
    with wide_db.read() as session:
        assert balances(session, [stock.id]) == {stock.id: STOCK - 1}
        assert audit(session) == []
