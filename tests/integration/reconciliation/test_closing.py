from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from app.alerts.models import Severity
from app.alerts.operations import resolve_alert
from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.kernel.transitions import TransitionRefused
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import Transfer, ensure_account, post
from app.payouts.models import Bill
from app.payouts.queries import paid_account
from app.payouts.states import BillState
from app.reconciliation import operations, queries
from app.reconciliation.closing import close_due, statement_path
from app.reconciliation.errors import BadDay, DayNotReady, UnknownDay, UnknownDifference
from app.reconciliation.examination import Case, Examination
from app.reconciliation.findings import Spool
from app.reconciliation.interfaces import AccountType
from app.reconciliation.models import ReconciledDay
from app.reconciliation.states import DifferenceKind, DifferenceState
from app.reconciliation.telling import DIFFERENCES_ALERT, STANDING_ALERT
from tests.factories.prizes import MCHID, OPERATOR, PrizeWorld
from tests.factories.statements import Ledgers, Move, moment

ONE, TWO, THREE, FOUR, FIVE = (date(2026, 6, day) for day in range(1, 6))
TOP_UP = Move("", 10_000, "T1")


@pytest.fixture(params=["clean_db", "sqlite_db"])
def books(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Ledgers:
    db: Database = request.getfixturevalue(request.param)
    return Ledgers(PrizeWorld.build(db, clock), tmp_path / "statements")


def test_a_day_that_agrees_is_closed_with_its_figures(books: Ledgers) -> None:
    numbers = [books.paid(ONE) for _ in range(3)]
    assert books.reconcile(ONE, TOP_UP, *(Move(number, -100) for number in numbers)) == {}
    closed = books.closed(ONE)
    assert (closed.lines, closed.out_fen, closed.in_fen, closed.other_in_fen) == (4, 300, 10_000, 10_000)
    assert (closed.paid_bills, closed.paid_fen, closed.carried_fen) == (3, 300, 0)
    assert closed.bill_closing_fen == closed.book_closing_fen == 9_700
    assert books.world.read(open_alerts) == []


def test_closing_again_changes_nothing(books: Ledgers) -> None:
    books.paid(ONE)
    assert list(books.reconcile(ONE, TOP_UP).values()) == ["missing"]
    before = (books.differences(), books.closed(ONE).closed_at)
    assert not books.close(ONE)
    assert (books.differences(), books.closed(ONE).closed_at) == before


def test_two_who_close_one_day_at_once_close_it_once(books: Ledgers) -> None:
    books.paid(ONE)
    books.told(ONE, TOP_UP)
    db, payer_id = books.world.db, books.world.payer_id

    def examine(spool: Spool) -> operations.Examined:
        with db.read() as session, db.read() as book:
            case = Case(payer_id, ONE, ONE, shared=False)
            return operations.Examined(
                payer_id, ONE, {}, Examination(book, session, case, spool).run([]), spool
            )

    with Spool() as first, Spool() as second:
        both = [examine(first), examine(second)]
        done = [books.world.do(operations.close, examined=one, actor=OPERATOR) for one in both]
    assert done == [True, False]
    assert len(books.differences()) == 1


def test_money_set_aside_today_for_a_bill_that_ends_tomorrow_is_carried(books: Ledgers) -> None:
    late, never = books.open(moment(ONE, 23)), books.open(moment(ONE, 23))
    assert books.reconcile(ONE, TOP_UP, Move(late, -100), Move(never, -100)) == {}
    assert books.closed(ONE).carried_fen == 200
    books.end(late, moment(TWO, 1))
    books.end(never, moment(TWO, 23), BillState.FAIL)
    assert books.reconcile(TWO, Move(never, 100)) == {}
    assert books.closed(TWO).carried_fen == 0
    assert books.closed(TWO).bill_closing_fen == 9_900


def test_what_comes_late_is_settled_by_its_line(books: Ledgers) -> None:
    missing, unreturned = books.paid(ONE), books.open(moment(ONE, 9))
    books.end(unreturned, moment(ONE, 10), BillState.CANCELLED)
    found = books.reconcile(ONE, TOP_UP, Move(unreturned, -100))
    assert found == {missing: "missing", unreturned: "not_returned"}
    assert len(books.world.read(open_alerts)) == 1
    found = books.reconcile(TWO, Move(missing, -100), Move(unreturned, 100))
    assert found == {missing: "late", unreturned: "late"}
    assert {one.state for one in books.differences().values()} == {DifferenceState.RESOLVED}
    assert {one.found_on for one in books.differences().values()} == {TWO.isoformat()}
    assert books.world.read(open_alerts) == []


def test_what_happens_to_a_bill_after_its_day_is_named_then(books: Ledgers) -> None:
    good, twice, back = books.paid(ONE), books.paid(ONE), books.paid(ONE)
    lines = [Move(number, -100) for number in (good, twice, back)]
    assert books.reconcile(ONE, TOP_UP, *lines) == {}
    found = books.reconcile(TWO, Move(twice, -100), Move(back, 100))
    assert found == {twice: "doubled", back: "refunded"}
    # The platform makes good what it has doubled.
    assert books.reconcile(THREE, Move(twice, 100))[twice] == "late"


def test_a_settled_difference_opens_again_when_it_becomes_another(books: Ledgers) -> None:
    number = books.paid(ONE)
    books.reconcile(ONE, TOP_UP)
    (one,) = books.differences().values()
    books.world.do(operations.resolve, difference_id=one.id, reason="ticket 4711", actor=OPERATOR)
    assert books.world.read(open_alerts) == []
    assert books.reconcile(TWO, Move(number, -70)) == {number: "amount"}
    (one,) = books.differences().values()
    assert (one.state, one.reason) == (DifferenceState.OPEN, None)
    assert len(books.world.read(open_alerts)) == 1


def told(books: Ledgers) -> dict[str, tuple[Severity, int]]:
    """Return the open alerts: how grave, and how often raised."""
    alerts = books.world.read(open_alerts)
    return {f"{alert.kind} {alert.subject}": (alert.severity, alert.times) for alert in alerts}


def settle_by_hand(books: Ledgers, day: date) -> None:
    """Somebody has seen the alert of a day."""
    seen = {"kind": DIFFERENCES_ALERT, "subject": f"{MCHID}:{day}", "by": "olga"}
    assert books.world.do(resolve_alert, **seen)


def test_what_is_old_is_one_reminder_and_only_news_is_critical(books: Ledgers) -> None:
    books.paid(ONE), books.paid(ONE)
    books.reconcile(ONE, TOP_UP)
    first, second = (f"{DIFFERENCES_ALERT} {MCHID}:{day}" for day in (ONE, TWO))
    standing = f"{STANDING_ALERT} {MCHID}"
    assert told(books) == {first: (Severity.CRITICAL, 1)}
    books.reconcile(TWO, Move("THEIRS", -500))
    assert told(books) == {
        first: (Severity.CRITICAL, 1),
        second: (Severity.CRITICAL, 1),
        standing: (Severity.WARNING, 1),
    }
    # Who has seen them is not told again, but for the one line.
    settle_by_hand(books, ONE)
    settle_by_hand(books, TWO)
    books.reconcile(THREE)
    assert told(books) == {standing: (Severity.WARNING, 2)}
    (reminder,) = books.world.read(open_alerts)
    assert f"3 differences, the oldest of {ONE}" in reminder.detail
    *others, last = books.differences().values()
    for one in others:
        books.world.do(operations.resolve, difference_id=one.id, reason="ticket", actor=OPERATOR)
        assert set(told(books)) == {standing}
    books.world.do(operations.resolve, difference_id=last.id, reason="ticket", actor=OPERATOR)
    assert told(books) == {}


def test_a_reminder_goes_with_the_line_that_explains_the_last_difference(books: Ledgers) -> None:
    number = books.paid(ONE)
    books.reconcile(ONE, TOP_UP)
    books.reconcile(TWO)
    assert len(told(books)) == 2
    books.reconcile(THREE, Move(number, -100))
    assert told(books) == {}


def test_what_nothing_explains_is_news_when_it_changes(books: Ledgers) -> None:
    """It is in the balances of every later day, too; a day on which it stays as it is has no alert."""

    def day_of(which: date, off_by: int) -> set[str]:
        books.balance_fen += off_by
        books.told(which, Move("", 10, f"T{which}"))
        books.close(which)
        return set(told(books))

    first, third = (f"{DIFFERENCES_ALERT} {MCHID}:{day}" for day in (TWO, FOUR))
    standing = f"{STANDING_ALERT} {MCHID}"
    assert day_of(ONE, 0) == set()
    assert day_of(TWO, 7) == {first}
    assert day_of(THREE, 0) == {first, standing}
    assert day_of(FOUR, 2) == {first, standing, third}
    details = {alert.subject: alert.detail for alert in books.world.read(open_alerts)}
    assert "and 2 fen that nothing explains" in details[f"{MCHID}:{FOUR}"]
    assert f"7 fen that nothing explains, since {TWO}" in details[MCHID]
    # It closes by itself, and all that was said of it goes.
    assert day_of(FIVE, -9) == set()


def test_news_of_a_day_keep_what_nothing_explains_of_it(books: Ledgers) -> None:
    """The next day's lines change a difference of a day with a gap: its alert is told anew, gap included."""
    number = books.paid(ONE)
    books.reconcile(ONE, TOP_UP)
    unpaid = books.paid(TWO)
    books.balance_fen += 7
    books.told(TWO, Move("", 10, "T2"))
    books.close(TWO)
    subject = f"{MCHID}:{TWO}"

    def detail() -> str:
        return {alert.subject: alert.detail for alert in books.world.read(open_alerts)}[subject]

    assert "1 differences and 7 fen that nothing explains" in detail()
    books.told(THREE, Move(unpaid, -70), Move(number, -100))
    books.close(THREE)
    assert books.differences()[unpaid].kind is DifferenceKind.AMOUNT
    assert told(books) == {f"{DIFFERENCES_ALERT} {subject}": (Severity.CRITICAL, 2)}
    assert "1 differences and 7 fen that nothing explains" in detail()


def test_a_line_without_our_number_is_found_by_the_platforms(books: Ledgers) -> None:
    number = books.paid(ONE)
    assert books.reconcile(ONE, TOP_UP, Move("", -100, f"W{number}")) == {}


def test_money_that_leaves_for_a_stranger_is_named_unless_the_number_is_shared(books: Ledgers) -> None:
    assert books.reconcile(ONE, TOP_UP, Move("THEIRS", -500)) == {"THEIRS": "unknown"}
    books.world.do(operations.set_payer, payer_id=books.world.payer_id, shared=True, actor=OPERATOR)
    ours = books.paid(TWO)
    found = books.reconcile(TWO, Move("OTHERS", -500), Move(ours, -100), Move(ours[:-1] + "9", -100))
    assert found == {"THEIRS": "unknown", ours[:-1] + "9": "unknown"}
    assert books.closed(TWO).other_out_fen == 500


def test_a_bill_that_does_not_end_is_named_after_three_days(books: Ledgers) -> None:
    number = books.open(moment(ONE, 9))
    assert books.reconcile(ONE, TOP_UP, Move(number, -100)) == {}
    assert books.reconcile(TWO) == books.reconcile(THREE) == {}
    assert books.reconcile(FOUR) == {number: "still_open"}
    books.end(number, moment(FIVE, 9))
    assert books.reconcile(FIVE) == {number: "still_open"}
    (one,) = books.differences().values()
    assert (one.day, one.state) == (FOUR.isoformat(), DifferenceState.RESOLVED)


def test_what_was_set_aside_before_the_first_day_is_not_missed(books: Ledgers) -> None:
    paid, failed = books.open(moment(ONE, 23)), books.open(moment(ONE, 23))
    books.end(paid, moment(TWO, 1))
    books.end(failed, moment(TWO, 23), BillState.FAIL)
    books.balance_fen = 5_000
    assert books.reconcile(TWO, Move(failed, 100)) == {}
    assert books.closed(TWO).book_closing_fen == 5_100


def test_days_are_closed_in_their_order_and_when_both_bills_have_come(books: Ledgers) -> None:
    books.told(ONE, TOP_UP)
    books.told(TWO, Move("", 5, "T2"))
    with pytest.raises(DayNotReady):
        books.close(TWO)
    with pytest.raises(DayNotReady):
        books.close(THREE)
    now = books.world.clock.now()
    assert close_due(books.world.db, folder=books.folder, now=now, actor=OPERATOR) == 1
    statement_path(books.folder, mchid=MCHID, day=TWO, account=AccountType.OPERATION).unlink()
    with pytest.raises(DayNotReady, match="not on this machine"):
        books.close(TWO)
    assert close_due(books.world.db, folder=books.folder, now=now, actor=OPERATOR) == 0


def test_every_day_that_is_over_is_asked_for_once(books: Ledgers) -> None:
    books.world.clock.set(moment(FOUR, 10))
    assert books.world.do(operations.ask_due) == 2
    assert books.world.do(operations.ask_due) == 0
    books.world.clock.advance(timedelta(minutes=5))
    assert books.world.do(operations.ask_due) == 1
    asked = books.world.read(queries.waiting)
    assert [one.day for one in asked] == [str(day) for day in (ONE, ONE, TWO, TWO, THREE, THREE)]
    with pytest.raises(BadDay):
        books.world.do(operations.ask, payer_id=books.world.payer_id, day=FOUR)


def test_what_the_ledger_books_into_a_closed_day_is_listed(books: Ledgers) -> None:
    number = books.paid(ONE)
    books.reconcile(ONE, TOP_UP, Move(number, -100))

    def book_later(session: object, now: object) -> None:
        payer = {"payer_id": books.world.payer_id, "brand_id": None, "now": moment(ONE, 12)}
        paid = paid_account(session, **payer)  # type: ignore[arg-type]
        other = ensure_account(
            session,  # type: ignore[arg-type]
            kind=AccountKind.OPEN,
            asset=Asset.FEN,
            purpose="works",
            owner_id=9,
            brand_id=None,
            now=moment(ONE, 12),
        )
        transfer = Transfer("later", other, paid, 77, "mistake", 1)
        post(session, [transfer], now=moment(ONE, 12))  # type: ignore[arg-type]

    books.world.do(book_later)
    assert books.reconcile(TWO) == {"ledger:later": "posted_later"}
    (one,) = books.differences().values()
    assert (one.day, one.expected_fen, one.kind) == (ONE.isoformat(), 77, DifferenceKind.POSTED_LATER)
    assert len(books.reconcile(THREE)) == 1


def test_a_bill_that_changed_after_its_day_was_closed_is_seen(books: Ledgers) -> None:
    number = books.paid(ONE)
    books.reconcile(ONE, TOP_UP, Move(number, -100))
    payer_id = books.world.payer_id
    assert books.world.read(queries.verify_day, payer_id=payer_id, day=ONE) is None
    changed = update(Bill).where(Bill.bill_no == number).values(amount_fen=99)
    books.world.db.transact(lambda session: session.execute(changed))
    assert books.world.read(queries.verify_day, payer_id=payer_id, day=ONE) is not None
    with pytest.raises(UnknownDay):
        books.world.read(queries.verify_day, payer_id=payer_id, day=TWO)


def test_a_difference_is_settled_once_with_a_reason(books: Ledgers) -> None:
    books.paid(ONE)
    books.reconcile(ONE, TOP_UP)
    (one,) = books.differences().values()
    books.world.do(operations.resolve, difference_id=one.id, reason="ticket", actor=OPERATOR)
    with pytest.raises(TransitionRefused):
        books.world.do(operations.resolve, difference_id=one.id, reason="again", actor=OPERATOR)
    with pytest.raises(UnknownDifference):
        books.world.do(operations.resolve, difference_id=1, reason="none", actor=OPERATOR)
    (one,) = books.differences().values()
    assert (one.reason, one.resolved_by) == ("ticket", OPERATOR.label)


def test_the_day_is_unique_in_the_database_itself(books: Ledgers) -> None:
    books.paid(ONE)
    books.reconcile(ONE, TOP_UP)
    # With the row taken out, as if its key did not hold, the differences would be written twice.
    books.world.db.transact(lambda session: session.execute(delete(ReconciledDay)))
    with pytest.raises(Exception, match=r"UNIQUE|Duplicate"):
        books.close(ONE)
