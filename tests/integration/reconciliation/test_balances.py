"""The platform's balance beside its bills: compared once both are there, asked for only where it may be."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.outbox import queries as outbox_queries
from app.outbox.operations import replay
from app.payouts.interfaces import PayerCredentials
from app.reconciliation import balances, operations, queries, telling
from app.reconciliation.asking import BALANCE_TOPIC
from app.reconciliation.handlers import UNCLOSED_LONGEST, FetchBalances
from app.reconciliation.interfaces import AccountType, BalanceAnswer, BalanceOutcome
from app.reconciliation.models import DayBalance
from app.reconciliation.states import BalanceState, BalanceUse, DifferenceKind
from tests.factories.prizes import MCHID, OPERATOR, PrizeWorld
from tests.factories.statements import Ledgers, Move, moment

ONE, TWO = date(2026, 6, 1), date(2026, 6, 2)
TOP_UP = Move("", 10_000, "T1")
NOTHING = BalanceAnswer(BalanceOutcome.KNOWN)


@dataclass
class Bank:
    """A platform that says what it is told to; by default that the account holds nothing."""

    says: dict[AccountType, BalanceAnswer] = field(default_factory=dict)
    asked: list[tuple[date, AccountType]] = field(default_factory=list)

    def day_end(self, payer: PayerCredentials, *, day: date, account: AccountType) -> BalanceAnswer:
        """Answer."""
        self.asked.append((day, account))
        return self.says.get(account, NOTHING)

    def holds(self, fen: int, pending_fen: int = 0) -> None:
        """Say what the operation account holds."""
        self.says[AccountType.OPERATION] = BalanceAnswer(BalanceOutcome.KNOWN, fen, pending_fen)


@dataclass
class Desk:
    """Books, and a bank that is asked about them."""

    books: Ledgers
    bank: Bank = field(default_factory=Bank)

    def __post_init__(self) -> None:
        self.books.world.registry.add(effects=[FetchBalances(self.bank)])

    def switch(self, *, asks: bool = True) -> None:
        """Switch the asking on, or off."""
        world = self.books.world
        world.do(balances.set_balance, payer_id=world.payer_id, asks=asks, actor=OPERATOR)

    def use(self) -> BalanceUse:
        """How the switch stands."""
        return self.books.world.read(queries.balance_use, payer_id=self.books.world.payer_id)

    def ask(self, day: date) -> None:
        """Ask for a day's balances, and let the answers come."""
        world = self.books.world
        world.do(balances.ask_balances, payer_id=world.payer_id, day=day)
        self.answer()

    def answer(self) -> None:
        """Let what is asked for, and due, be answered."""
        wanted = select(DayBalance.message_id).where(DayBalance.state == BalanceState.PENDING)
        for message_id in self.books.world.read(lambda session: session.scalars(wanted).all()):
            self.books.world.drainer.deliver(BALANCE_TOPIC, message_id)

    def later(self) -> None:
        """Three hours on, let what is due be answered."""
        self.books.world.clock.advance(timedelta(hours=3))
        self.answer()

    def states(self) -> list[BalanceState]:
        """How the balances stand, in the order of the accounts."""
        wanted = select(DayBalance.state).order_by(DayBalance.day, DayBalance.account)
        return self.books.world.read(lambda session: list(session.scalars(wanted)))

    def alerts(self) -> list[tuple[str, str]]:
        """Open alerts."""
        return [(alert.kind, alert.subject) for alert in self.books.world.read(open_alerts)]

    def paid_day(self, day: date = ONE) -> None:
        """A day with one yuan paid, whose bills have come: 99 yuan are left of a hundred."""
        number = self.books.paid(day)
        self.books.told(day, TOP_UP, Move(number, -100))


@pytest.fixture(params=["clean_db", "sqlite_db"])
def desk(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Desk:
    db: Database = request.getfixturevalue(request.param)
    made = Desk(Ledgers(PrizeWorld.build(db, clock), tmp_path / "statements"))
    made.switch()
    return made


Order = Callable[[Desk], None]


def _ask_first(desk: Desk) -> None:
    desk.ask(ONE)
    desk.books.close(ONE)


def _close_first(desk: Desk) -> None:
    desk.books.close(ONE)
    desk.ask(ONE)


@pytest.mark.parametrize("order", [_ask_first, _close_first])
def test_a_balance_that_agrees_says_nothing(desk: Desk, order: Order) -> None:
    desk.paid_day()
    desk.bank.holds(9_900)
    order(desk)
    assert desk.states() == [BalanceState.KNOWN, BalanceState.KNOWN]
    assert (desk.books.differences(), desk.alerts()) == ({}, [])


@pytest.mark.parametrize("order", [_ask_first, _close_first])
@pytest.mark.parametrize("held_fen", [9_899, 9_901])
def test_one_fen_between_them_is_a_difference_of_its_own(desk: Desk, order: Order, held_fen: int) -> None:
    desk.paid_day()
    desk.bank.holds(held_fen)
    order(desk)
    (one,) = desk.books.differences().values()
    assert (one.kind, one.expected_fen, one.out_fen) == (DifferenceKind.BALANCE, 9_900, held_fen)
    assert desk.alerts() == [(balances.BALANCE_ALERT, f"{MCHID}:{ONE}")]
    assert desk.books.closed(ONE).unexplained_fen == 0
    # It neither explains the next day's books nor is told again with them.
    desk.bank.holds(9_900)
    desk.books.told(TWO)
    desk.books.close(TWO)
    desk.ask(TWO)
    assert desk.books.closed(TWO).unexplained_fen == 0
    assert len(desk.alerts()) == 1
    desk.books.world.do(operations.resolve, difference_id=one.id, reason="ticket", actor=OPERATOR)
    assert desk.alerts() == []


def test_what_differences_explain_is_not_told_twice(desk: Desk) -> None:
    """Money that left twice is missing from the balance too: one difference, not two."""
    number = desk.books.paid(ONE)
    desk.books.told(ONE, TOP_UP, Move(number, -100), Move(number, -100))
    desk.bank.holds(9_800)
    _close_first(desk)
    assert [one.kind for one in desk.books.differences().values()] == [DifferenceKind.DOUBLED]


@pytest.mark.parametrize(("available_fen", "agrees"), [(9_900, True), (9_000, True), (8_899, False)])
def test_pending_money_may_be_in_the_books_or_not(desk: Desk, available_fen: int, *, agrees: bool) -> None:
    desk.paid_day()
    desk.bank.holds(available_fen, pending_fen=1_000)
    _ask_first(desk)
    assert (desk.books.differences() == {}) is agrees


def test_an_account_that_no_bill_knows_is_left_aside(desk: Desk) -> None:
    desk.paid_day()
    desk.bank.holds(9_900)
    desk.bank.says[AccountType.BASIC] = BalanceAnswer(BalanceOutcome.KNOWN, 77_777)
    _ask_first(desk)
    assert desk.books.differences() == {}


def test_an_account_that_is_not_open_holds_nothing(desk: Desk) -> None:
    desk.paid_day()
    desk.bank.holds(9_900)
    desk.bank.says[AccountType.BASIC] = BalanceAnswer(BalanceOutcome.ABSENT, code="INVALID_REQUEST")
    _ask_first(desk)
    assert desk.states() == [BalanceState.PENDING, BalanceState.KNOWN], "the bill may know of money"
    desk.later()
    assert desk.states() == [BalanceState.ABSENT, BalanceState.KNOWN]
    assert desk.books.differences() == {}


def test_a_balance_that_is_not_made_yet_waits_for_the_bill(desk: Desk) -> None:
    """The bill that tells of the first day's money comes after the question, which has not failed by then."""
    desk.paid_day()
    desk.bank.says[AccountType.OPERATION] = BalanceAnswer(BalanceOutcome.ABSENT, code="INVALID_REQUEST")
    desk.ask(ONE)
    for _ in range(30):
        desk.later()
    assert desk.states() == [BalanceState.KNOWN, BalanceState.PENDING]
    desk.books.close(ONE)
    desk.later()
    assert desk.states() == [BalanceState.KNOWN, BalanceState.PENDING]
    desk.bank.holds(9_000)
    desk.later()
    assert [one.out_fen for one in desk.books.differences().values()] == [9_000]


def test_a_balance_of_a_day_that_never_closes_is_not_asked_for_for_ever(desk: Desk) -> None:
    """After a week it is an operator's: parked with a reason. Closing the day settles it, not a replay."""
    desk.paid_day()
    desk.bank.holds(9_900)
    desk.bank.says[AccountType.BASIC] = BalanceAnswer(BalanceOutcome.ABSENT, code="INVALID_REQUEST")
    desk.ask(ONE)
    while desk.books.world.clock.now() <= moment(TWO, 11) + UNCLOSED_LONGEST:
        assert desk.alerts() == []
        desk.later()
    ((kind, message),) = desk.alerts()
    assert kind == "outbox.parked"
    (parked,) = desk.books.world.read(outbox_queries.parked)
    for told in ("7 days", "saoma reconcile status"):
        assert told in parked.reason
    asked = len(desk.bank.asked)
    desk.later()
    assert len(desk.bank.asked) == asked
    # Too early: nothing has been mended.
    desk.books.world.do(replay, message_id=int(message), by="olga")
    desk.answer()
    assert len(desk.alerts()) == 1
    desk.books.close(ONE)
    assert desk.alerts() == []
    desk.answer()
    assert desk.states() == [BalanceState.ABSENT, BalanceState.KNOWN]


def test_who_mends_a_wrong_key_replays_no_balance(desk: Desk) -> None:
    """Ten days of refusals: the bills come, their days are closed one by one, and so are the balances."""
    days = [ONE + timedelta(days=after) for after in range(10)]
    desk.bank.says = dict.fromkeys(AccountType, BalanceAnswer(BalanceOutcome.REFUSED, code="SIGN_ERROR"))
    desk.books.told(ONE, TOP_UP)
    desk.ask(ONE)
    for day in days[1:]:
        desk.books.told(day)
        desk.ask(day)
    assert len(desk.alerts()) == 20
    desk.bank.holds(10_000)
    desk.bank.says[AccountType.BASIC] = BalanceAnswer(BalanceOutcome.ABSENT, code="INVALID_REQUEST")
    # Whoever replays all of them too early has those parked again that are older than a week.
    for message in desk.books.world.read(outbox_queries.parked)[:10]:
        desk.books.world.do(replay, message_id=message.id, by="olga")
    desk.answer()
    assert len(desk.alerts()) == 12
    for day in days:
        desk.books.close(day)
        desk.answer()
    assert desk.states() == [BalanceState.ABSENT, BalanceState.KNOWN] * 10
    assert (desk.books.differences(), desk.alerts()) == ({}, [])


def test_an_absent_balance_of_an_account_with_money_has_not_come(desk: Desk) -> None:
    """Both accounts hold money; one's balance was noted as absent. Nothing is compared with a half."""
    desk.books.told(ONE, Move("", 77, "T0"), account=AccountType.BASIC)
    desk.books.close(ONE)
    desk.books.balance_fen = 0
    desk.books.told(TWO, TOP_UP)
    desk.books.close(TWO)
    desk.bank.holds(10_000)
    desk.bank.says[AccountType.BASIC] = BalanceAnswer(BalanceOutcome.RETRY, code="timeout")
    desk.ask(TWO)
    absent = update(DayBalance).where(DayBalance.account == AccountType.BASIC)
    desk.books.world.db.transact(lambda session: session.execute(absent.values(state=BalanceState.ABSENT)))
    desk.books.world.do(balances.compare, payer_id=desk.books.world.payer_id, day=TWO.isoformat())
    assert desk.books.differences() == {}


def test_a_fen_that_nothing_explains_is_no_difference_of_the_balance(desk: Desk) -> None:
    """The bills begin a day with one fen more than they ended the day before with; it is there, too."""
    desk.paid_day()
    desk.books.close(ONE)
    desk.books.balance_fen += 1
    for day in (TWO, TWO + timedelta(days=1)):
        desk.books.told(day, TOP_UP)
        desk.books.close(day)
        desk.bank.holds(desk.books.balance_fen)
        desk.ask(day)
        assert desk.books.closed(day).unexplained_fen == 1
    assert desk.books.differences() == {}
    assert {kind for kind, _ in desk.alerts()} == {telling.DIFFERENCES_ALERT, telling.STANDING_ALERT}
    desk.bank.holds(desk.books.balance_fen - 1)
    last = TWO + timedelta(days=2)
    desk.books.told(last)
    desk.books.close(last)
    desk.ask(last)
    assert [one.day for one in desk.books.differences().values()] == [last.isoformat()]


def test_an_account_with_money_is_asked_again(desk: Desk) -> None:
    desk.paid_day()
    desk.books.close(ONE)
    desk.bank.says[AccountType.OPERATION] = BalanceAnswer(BalanceOutcome.ABSENT, code="INVALID_REQUEST")
    desk.ask(ONE)
    assert desk.states() == [BalanceState.KNOWN, BalanceState.PENDING]
    desk.bank.holds(9_000)
    desk.books.world.clock.advance(timedelta(hours=3))
    desk.answer()
    assert [one.out_fen for one in desk.books.differences().values()] == [9_000]


def test_nobody_is_asked_unless_the_switch_is_on(desk: Desk) -> None:
    desk.switch(asks=False)
    desk.books.world.clock.set(moment(TWO, 11))
    desk.books.world.do(operations.ask_due)
    desk.ask(ONE)
    assert desk.bank.asked == []
    desk.switch()
    desk.books.world.clock.set(moment(TWO + timedelta(days=1), 11))
    desk.books.world.do(operations.ask_due)
    waiting = desk.states()
    assert waiting == [BalanceState.PENDING, BalanceState.PENDING]
    desk.switch(asks=False)
    desk.answer()
    assert desk.bank.asked == []


def test_who_may_not_ask_is_told_once_and_asks_no_more(desk: Desk) -> None:
    """NO_AUTH: most merchant numbers (contract 11.4); a clear word, and no question a day for ever."""
    no = BalanceAnswer(BalanceOutcome.FORBIDDEN, code="NO_AUTH", message="no permission")
    desk.bank.says = dict.fromkeys(AccountType, no)
    desk.paid_day()
    _ask_first(desk)
    assert desk.use() is BalanceUse.REFUSED
    assert desk.states() == [BalanceState.FORBIDDEN] * 2
    assert desk.alerts() == [(balances.REFUSED_ALERT, MCHID)]
    (alert,) = desk.books.world.read(open_alerts)
    assert "NO_AUTH" in alert.detail
    assert alert.times == 1
    asked = len(desk.bank.asked)
    desk.ask(TWO)
    assert len(desk.bank.asked) == asked
    desk.switch()
    assert (desk.use(), desk.alerts()) == (BalanceUse.ON, [])


def test_a_fault_is_asked_again_and_a_refusal_waits_for_an_operator(desk: Desk) -> None:
    desk.paid_day()
    desk.books.close(ONE)
    desk.bank.says[AccountType.BASIC] = BalanceAnswer(BalanceOutcome.REFUSED, code="SIGN_ERROR")
    desk.bank.says[AccountType.OPERATION] = BalanceAnswer(BalanceOutcome.RETRY, code="timeout")
    desk.ask(ONE)
    assert desk.states() == [BalanceState.PENDING] * 2
    desk.bank.holds(9_900)
    desk.books.world.clock.advance(timedelta(hours=3))
    desk.answer()
    assert desk.states() == [BalanceState.PENDING, BalanceState.KNOWN]


def test_how_a_number_is_shared_and_whether_it_asks_are_two_things(desk: Desk) -> None:
    world = desk.books.world
    world.do(operations.set_payer, payer_id=world.payer_id, shared=True, actor=OPERATOR)
    assert desk.use() is BalanceUse.ON
    desk.switch(asks=False)
    assert world.read(queries.is_shared, payer_id=world.payer_id)


def test_states_and_amounts_agree(session: Session) -> None:
    with pytest.raises(DBAPIError):
        session.execute(
            text(
                "INSERT INTO day_balances (id, payer_id, day, account, state, message_id, asked_at)"
                " VALUES (1, 1, '2026-06-01', 'BASIC', 'known', 1, '2026-06-01')"
            )
        )
