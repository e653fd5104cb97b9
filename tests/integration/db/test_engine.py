"""Transactions: committed at the edge, replayed after a deadlock, one writer on SQLite."""

import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import pymysql
import pytest
from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.orm import Session

from app.alerts.models import Alert, Severity
from app.db.engine import Database, Replay, at_the_end, db_now
from app.db.nodes import claim_node
from app.db.prepared import Prepared
from app.kernel.ids import new_id

NOW = datetime(2026, 6, 1, 4, 0, 0, 123456, tzinfo=UTC)


def _alert(subject: str) -> dict[str, object]:
    return {
        "id": new_id(),
        "kind": "test",
        "subject": subject,
        "open_key": f"test/{subject}",
        "severity": Severity.NOTICE,
        "detail": "",
        "times": 0,
        "first_at": NOW,
        "last_at": NOW,
    }


@pytest.fixture(params=["mariadb", "sqlite"])
def any_db(request: pytest.FixtureRequest) -> Database:
    """Each database that one code runs on."""
    database: Database = request.getfixturevalue("clean_db" if request.param == "mariadb" else "sqlite_db")
    return database


def test_moments_keep_microseconds_and_zone(any_db: Database) -> None:
    any_db.transact(lambda session: session.execute(insert(Alert), [_alert("a")]))
    with any_db.read() as session:
        assert session.execute(select(Alert.first_at)).scalar_one() == NOW


def test_a_naive_moment_is_refused(any_db: Database) -> None:
    row = _alert("a") | {"first_at": datetime(2026, 6, 1)}  # noqa: DTZ001 - the point of the test
    with pytest.raises(Exception, match="naive"):
        any_db.transact(lambda session: session.execute(insert(Alert), [row]))


def test_an_exception_leaves_nothing(any_db: Database) -> None:
    def work(session: Session) -> None:
        session.execute(insert(Alert), [_alert("a")])
        raise KeyError("x")

    with pytest.raises(KeyError):
        any_db.transact(work)
    with any_db.read() as session:
        assert session.execute(select(Alert.id)).first() is None


def test_a_lost_race_is_played_again(any_db: Database) -> None:
    runs = []

    def work(session: Session) -> str:
        runs.append(session.execute(select(Alert.id)).first())
        session.execute(insert(Alert), [_alert("a")])
        if len(runs) < 3:
            raise Replay
        return "done"

    assert any_db.transact(work) == "done"
    assert runs == [None, None, None]


def test_objects_are_flushed_before_the_commit(any_db: Database) -> None:
    any_db.transact(lambda session: session.add(Alert(**_alert("a"))))
    with any_db.read() as session:
        assert session.execute(select(Alert.subject)).scalar_one() == "a"


def test_what_is_left_to_the_end_is_done_in_order_before_the_commit(any_db: Database) -> None:
    done: list[str] = []

    def work(session: Session) -> None:
        for subject in ("a", "b"):
            at_the_end(session, partial(session.execute, insert(Alert), [_alert(subject)]))
            at_the_end(session, partial(done.append, subject))
        assert session.execute(select(Alert.id)).first() is None
        done.append("work")

    any_db.transact(work)
    assert done == ["work", "a", "b"]
    with any_db.read() as session:
        assert len(session.execute(select(Alert.id)).all()) == 2


def test_a_race_lost_at_the_end_undoes_everything_and_is_played_again(any_db: Database) -> None:
    runs: list[bool] = []

    def lose() -> None:
        runs.append(True)
        if len(runs) < 3:
            raise Replay

    def work(session: Session) -> None:
        session.execute(insert(Alert), [_alert("a")])
        at_the_end(session, lose)

    any_db.transact(work)
    assert len(runs) == 3
    with any_db.read() as session:
        assert len(session.execute(select(Alert.id)).all()) == 1


def test_work_that_fails_does_nothing_at_the_end(any_db: Database) -> None:
    def work(session: Session) -> None:
        at_the_end(session, lambda: pytest.fail("the work has failed"))
        raise KeyError

    with pytest.raises(KeyError):
        any_db.transact(work)


def test_a_session_of_nobody_does_it_at_once(session: Session) -> None:
    done: list[bool] = []
    at_the_end(session, lambda: done.append(True))
    assert done


def test_reading_writes_nothing(any_db: Database) -> None:
    with any_db.read() as session:
        session.execute(insert(Alert), [_alert("a")])
    with any_db.read() as session:
        assert session.execute(select(Alert.id)).first() is None


def test_what_was_read_stays_readable(any_db: Database) -> None:
    any_db.transact(lambda session: session.execute(insert(Alert), [_alert("a")]))
    with any_db.read() as session:
        found = session.execute(select(Alert)).scalar_one()
    assert found.subject == "a"


def test_a_deadlock_is_played_again(clean_db: Database) -> None:
    for subject in ("a", "b"):
        clean_db.transact(lambda session, subject=subject: session.execute(insert(Alert), [_alert(subject)]))
    both_hold_one = threading.Barrier(2)
    runs: list[str] = []

    def rival(first: str, second: str) -> None:
        def work(session: Session) -> None:
            runs.append(first)
            session.execute(update(Alert).where(Alert.subject == first).values(times=Alert.times + 1))
            if len(runs) <= 2:
                both_hold_one.wait(timeout=10)
            session.execute(update(Alert).where(Alert.subject == second).values(times=Alert.times + 1))

        clean_db.transact(work)

    threads = [threading.Thread(target=rival, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    with clean_db.read() as session:
        assert list(session.execute(select(Alert.times)).scalars()) == [2, 2]
    assert len(runs) == 3, "one of the two was the victim and played again"


def test_sqlite_writers_queue(sqlite_db: Database) -> None:
    sqlite_db.transact(lambda session: session.execute(insert(Alert), [_alert("a")]))

    def add() -> None:
        for _ in range(20):
            sqlite_db.transact(lambda session: session.execute(update(Alert).values(times=Alert.times + 1)))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sqlite_db.read() as session:
        assert session.execute(select(Alert.times)).scalar_one() == 160


def test_mariadb_runs_strict_at_read_committed_in_utc(db: Database) -> None:
    with db.read() as session:
        row = session.execute(text("SELECT @@tx_isolation, @@sql_mode, @@time_zone, @@character_set_client"))
        isolation, mode, zone, charset = row.one()
    assert (isolation, zone, charset) == ("READ-COMMITTED", "+00:00", "utf8mb4")
    assert "STRICT_ALL_TABLES" in mode


def test_database_time_is_utc_and_near(any_db: Database) -> None:
    with any_db.read() as session:
        assert abs(db_now(session) - datetime.now(UTC)) < timedelta(seconds=5)


def test_each_process_start_takes_the_next_node(any_db: Database) -> None:
    first = claim_node(any_db)
    assert [claim_node(any_db), claim_node(any_db)] == [first + 1, first + 2]


def test_a_deadlock_inside_savepoints_is_played_again(clean_db: Database) -> None:
    clean_db.transact(lambda session: session.execute(insert(Alert), [_alert("a"), _alert("b")]))
    both_hold_one = threading.Barrier(2)
    runs: list[str] = []

    def work(session: Session, first: str, second: str) -> None:
        runs.append(first)
        with session.begin_nested():
            for subject in (first, second):
                raised = update(Alert).where(Alert.subject == subject).values(times=Alert.times + 1)
                session.execute(raised)
                if subject == first and len(runs) <= 2:
                    both_hold_one.wait(10)

    pairs = [("a", "b"), ("b", "a")]
    threads = [
        threading.Thread(target=clean_db.transact, args=(lambda session, pair=pair: work(session, *pair),))
        for pair in pairs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(runs) == 3
    with clean_db.read() as session:
        assert session.execute(select(Alert.times)).scalars().all() == [2, 2]


def test_without_the_short_cut_the_driver_is_pymysql_alone(mariadb_url: str) -> None:
    plain = Database(mariadb_url, fast=False)
    try:
        statement = Prepared(select(Alert.subject).where(Alert.kind == bindparam("kind")))
        with plain.read() as session:
            driver = session.connection().connection.driver_connection
            assert type(driver) is pymysql.connections.Connection
            assert statement.all(session, {"kind": "nothing of this kind"}) == []
    finally:
        plain.dispose()
