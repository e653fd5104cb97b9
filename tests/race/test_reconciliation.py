"""Many close one day at once: it is closed once, its differences are written once, its balances compared."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from threading import Event
from unittest import mock

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.kernel.actor import SYSTEM
from app.kernel.clock import ManualClock
from app.outbox.models import MessageState, OutboxMessage
from app.payouts.interfaces import PayerCredentials
from app.reconciliation import balances, operations
from app.reconciliation.asking import BALANCE_TOPIC
from app.reconciliation.handlers import UNCLOSED_LONGEST, FetchBalances
from app.reconciliation.interfaces import AccountType, BalanceAnswer, BalanceOutcome
from app.reconciliation.models import DayBalance, ReconciledDay
from app.reconciliation.states import BalanceState
from tests.factories.prizes import PrizeWorld
from tests.factories.statements import Ledgers, Move
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

DAY = date(2026, 6, 1)
RUNNERS = 16


def _close_at_once(books: Ledgers, day: date, *, seed: int) -> RaceResult:
    books.told(day)
    # Each runner streams the book on one connection and looks numbers up on another.
    return race(books.world.db, [lambda: books.close(day)] * RUNNERS, seed=seed)


def _rows(books: Ledgers) -> int:
    counted = select(func.count()).select_from(ReconciledDay)
    return books.world.read(lambda session: int(session.scalar(counted) or 0))


def test_a_day_is_closed_once(wide_db: Database, clock: ManualClock, tmp_path: Path, race_seed: int) -> None:
    books = Ledgers(PrizeWorld.build(wide_db, clock), tmp_path)
    missing = books.paid(DAY)
    result = _close_at_once(books, DAY, seed=race_seed)
    assert result.errors == []
    assert sum(result.values) == 1
    assert result.lock_waits > 0
    assert _rows(books) == 1
    assert list(books.differences()) == [missing]


def test_without_the_key_a_day_is_closed_more_than_once(
    without_key: Callable[..., Database], clock: ManualClock, tmp_path: Path
) -> None:
    change = "ADD INDEX ix_payer (payer_id), DROP INDEX uq_reconciled_days_payer_id_day"
    books = Ledgers(PrizeWorld.build(without_key("reconciled_days", change), clock), tmp_path)
    for after in range(5):
        _close_at_once(books, DAY + timedelta(days=after), seed=after)
        if _rows(books) > after + 1:
            return
    pytest.fail("five days were closed once each without the key")


def _compare_at_once(books: Ledgers, day: date, *, seed: int) -> RaceResult:
    """The two balances of a closed day come at the same moment; the platform holds less than the books."""
    world, name = books.world, day.isoformat()
    books.told(day, Move("", 10_000, f"T{seed}"))
    books.close(day)
    world.do(balances.ask_balances, payer_id=world.payer_id, day=day)

    def come(account: AccountType) -> int:
        def work(session: Session) -> int:
            told = {"state": BalanceState.KNOWN, "available_fen": 7, "pending_fen": 0}
            this = (DayBalance.day == name, DayBalance.account == account)
            session.execute(update(DayBalance).where(*this).values(told))
            return balances.compare(session, payer_id=world.payer_id, day=name, now=world.clock.now())

        return world.db.transact(work)

    return race(world.db, [lambda account=account: come(account) for account in AccountType], seed=seed)


def _bank(db: Database, clock: ManualClock, folder: Path) -> Ledgers:
    books = Ledgers(PrizeWorld.build(db, clock), folder)
    books.world.do(balances.set_balance, payer_id=books.world.payer_id, asks=True, actor=SYSTEM)
    return books


def test_balances_that_come_together_are_compared(
    wide_db: Database, clock: ManualClock, tmp_path: Path, race_seed: int
) -> None:
    books = _bank(wide_db, clock, tmp_path)
    result = _compare_at_once(books, DAY, seed=race_seed)
    assert result.errors == []
    assert result.lock_waits > 0
    assert sorted(bool(off) for off in result.values) == [False, True]
    assert list(books.differences()) == [balances.NUMBER]


def test_without_the_lock_nobody_compares_them(wide_db: Database, clock: ManualClock, tmp_path: Path) -> None:
    books = _bank(wide_db, clock, tmp_path)
    with mock.patch.object(balances, "_lock"):
        for after in range(5):
            _compare_at_once(books, DAY + timedelta(days=after), seed=after)
            if len(books.differences()) <= after:
                return
    pytest.fail("the race does not show what the lock is for")


@dataclass
class Slow:
    """A platform that knows no balance, and says so when somebody is about to have closed the day."""

    asked: Event = field(default_factory=Event)
    closing: Event = field(default_factory=Event)

    def day_end(self, payer: PayerCredentials, *, day: date, account: AccountType) -> BalanceAnswer:
        """Answer in time."""
        self.asked.set()
        assert self.closing.wait(10)
        return BalanceAnswer(BalanceOutcome.ABSENT, code="INVALID_REQUEST")


def _answer_while_it_closes(
    books: Ledgers, ask_again: Callable[..., None], *, seed: int
) -> tuple[RaceResult, list[MessageState]]:
    """A balance that waits for its day for a week is answered; return how the messages stand afterwards."""
    world, slow = books.world, Slow()
    world.registry.add(effects=[FetchBalances(slow)])
    books.told(DAY, Move("", 10_000, "T1"))
    message_id, _ = world.do(balances.ask_balances, payer_id=world.payer_id, day=DAY)
    world.clock.advance(UNCLOSED_LONGEST + timedelta(hours=1))

    def close() -> None:
        assert slow.asked.wait(10)
        books.close(DAY)

    def told(session: Session, **details: object) -> None:
        ask_again(session, **details)
        slow.closing.set()

    with mock.patch.object(operations, "ask_again", told):
        result = race(world.db, [close, lambda: world.drainer.deliver(BALANCE_TOPIC, message_id)], seed=seed)
    left = select(OutboxMessage.state).where(OutboxMessage.id == message_id)
    return result, world.read(lambda session: list(session.scalars(left)))


def test_a_balance_is_not_given_up_while_its_day_is_closed(
    wide_db: Database, clock: ManualClock, tmp_path: Path, race_seed: int
) -> None:
    books = _bank(wide_db, clock, tmp_path)
    result, left = _answer_while_it_closes(books, operations.ask_again, seed=race_seed)
    assert result.errors == []
    assert result.lock_waits > 0
    assert left == [], "it has been answered: there is none"


def test_without_the_lock_on_its_message_it_is(wide_db: Database, clock: ManualClock, tmp_path: Path) -> None:
    books = _bank(wide_db, clock, tmp_path)
    _, left = _answer_while_it_closes(books, lambda _session, **_details: None, seed=0)
    assert left == [MessageState.PARKED]
