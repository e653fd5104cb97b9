"""Prepared statements do what SQLAlchemy's own execution does: types, lists, errors, listeners."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InvalidRequestError, OperationalError
from sqlalchemy.orm import Session

from app.alerts.models import Alert, Severity
from app.db.engine import Database
from app.db.mysql import FastConnection
from app.db.once import insert_once
from app.db.prepared import WAITING, Asked, Prepared, savepoint, send_waiting
from app.http.models import IdempotencyKey
from app.kernel.ids import new_id
from tests.support.statements import statements

NOW = datetime(2026, 6, 1, 4, 0, 0, 123456, tzinfo=UTC)

_INSERT = Prepared(insert(Alert))
_RESOLVE = Prepared(update(Alert).where(Alert.kind == bindparam("of")).values(resolved_by="us"))
_BY_SUBJECT = Prepared(
    select(Alert.subject, Alert.severity, Alert.first_at, Alert.resolved_at, func.length(Alert.detail))
    .where(Alert.subject.in_(bindparam("subjects", expanding=True)), Alert.kind == "it's 100% \\")
    .order_by(Alert.subject)
)


@pytest.fixture(params=["mariadb", "mariadb, listened to", "sqlite"])
def any_db(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Each database, and each way to it."""
    database: Database = request.getfixturevalue("sqlite_db" if request.param == "sqlite" else "clean_db")
    if "listened" not in request.param:
        yield database
        return
    with statements(database.engine):
        yield database


def _row(subject: str, **changes: Any) -> dict[str, Any]:
    row = {"id": new_id(), "kind": "it's 100% \\", "subject": subject, "open_key": f"test/{subject}"}
    row |= {"severity": Severity.NOTICE, "detail": "扫码 %s", "times": 0, "first_at": NOW, "last_at": NOW}
    return row | {"resolved_at": None, "resolved_by": None, "told_at": None} | changes


def _subjects(session: Session, *subjects: str) -> list[str]:
    return [row.subject for row in _BY_SUBJECT.all(session, {"subjects": list(subjects)})]


def test_values_come_back_as_python_knows_them(any_db: Database) -> None:
    any_db.transact(lambda session: _INSERT.run(session, _row("a")))
    with any_db.read() as session:
        row = _BY_SUBJECT.first(session, {"subjects": ["a"]})
        assert (row.subject, row.severity, row.first_at, row.resolved_at) == ("a", Severity.NOTICE, NOW, None)
        assert isinstance(row.severity, Severity)
        assert session.execute(select(Alert.detail)).scalar_one() == "扫码 %s"


def test_json_and_bytes_pass_through_their_types(any_db: Database) -> None:
    remember = Prepared(insert(IdempotencyKey))
    row = {
        "person_id": 1,
        "key_hash": bytes(range(32)),
        "request_hash": b"'" * 32,
        "operation": "test",
        "status": 201,
        "answer": {"deep": ["ü", None, 1]},
        "permanent": True,
        "created_at": NOW,
    }
    wanted = Prepared(
        select(IdempotencyKey.key_hash, IdempotencyKey.answer, IdempotencyKey.permanent).where(
            IdempotencyKey.person_id == bindparam("person")
        )
    )
    any_db.transact(lambda session: remember.run(session, row))
    with any_db.read() as session:
        found = wanted.first(session, {"person": 1})
    assert tuple(found) == (row["key_hash"], row["answer"], True)


def test_lists_may_have_any_length(any_db: Database) -> None:
    any_db.transact(lambda session: [_INSERT.run(session, _row(subject)) for subject in "abc"])
    with any_db.read() as session:
        assert _subjects(session, "a", "c") == ["a", "c"]
        assert _subjects(session, "b") == ["b"]
        assert _subjects(session) == []
        assert _subjects(session, "x") == []
        assert _subjects(session, "c", "b") == ["b", "c"]
        assert _BY_SUBJECT.first(session, {"subjects": []}) is None


def test_rows_found_are_counted_changed_or_not(any_db: Database) -> None:
    any_db.transact(lambda session: [_INSERT.run(session, _row(subject)) for subject in "ab"])
    for _ in range(2):
        assert any_db.transact(lambda session: _RESOLVE.run(session, {"of": "it's 100% \\"})) == 2
    assert any_db.transact(lambda session: _RESOLVE.run(session, {"of": "other"})) == 0


def test_a_duplicate_is_told_and_undoes_only_itself(any_db: Database) -> None:
    def work(session: Session) -> tuple[bool, bool]:
        return insert_once(session, _INSERT, _row("a")), insert_once(session, _INSERT, _row("a"))

    assert any_db.transact(work) == (True, False)
    with pytest.raises(IntegrityError), any_db.unit_of_work() as session:
        _INSERT.run(session, _row("a"))
    with any_db.read() as session:
        assert _subjects(session, "a") == ["a"]


def test_what_was_sent_ends_with_the_transaction(any_db: Database) -> None:
    def work(session: Session) -> None:
        _INSERT.run(session, _row("a"))
        raise KeyError

    with pytest.raises(KeyError):
        any_db.transact(work)
    with any_db.read() as session:
        assert _subjects(session, "a") == []


def test_a_savepoint_takes_back_what_was_sent_within(any_db: Database) -> None:
    def work(session: Session) -> None:
        _INSERT.run(session, _row("before"))
        with session.begin_nested() as savepoint:
            _INSERT.run(session, _row("within"))
            savepoint.rollback()
        _INSERT.run(session, _row("after"))

    any_db.transact(work)
    with any_db.read() as session:
        assert _subjects(session, "before", "within", "after") == ["after", "before"]


def test_a_lock_that_is_not_to_be_had_can_be_played_again(clean_db: Database) -> None:
    clean_db.transact(lambda session: _INSERT.run(session, _row("a")))
    lock = Prepared(select(Alert.id).where(Alert.subject == bindparam("of")).with_for_update(nowait=True))
    with clean_db.unit_of_work() as holder:
        assert lock.first(holder, {"of": "a"}) is not None
        with pytest.raises(OperationalError) as caught, clean_db.unit_of_work() as session:
            lock.first(session, {"of": "a"})
        assert clean_db.replayable(caught.value)


def test_errors_do_not_show_values(any_db: Database) -> None:
    with pytest.raises(Exception, match="alerts") as caught, any_db.unit_of_work() as session:
        _INSERT.run(session, _row("a", severity=None, detail="13800138000"))
    assert "13800138000" not in str(caught.value)


def test_a_connection_that_was_cut_is_not_used_again(clean_db: Database) -> None:
    database = Database(clean_db.engine.url.render_as_string(hide_password=False), pool_size=1)
    with database.read() as session:
        number = session.execute(text("SELECT CONNECTION_ID()")).scalar_one()
        with clean_db.engine.connect() as other:
            other.execute(text(f"KILL {number}"))
        with pytest.raises(OperationalError) as caught:
            _subjects(session, "a")
    assert caught.value.connection_invalidated
    with database.read() as session:
        assert _subjects(session, "a") == []
    database.dispose()


def test_listeners_hear_of_it(clean_db: Database) -> None:
    with statements(clean_db.engine) as heard, clean_db.read() as session:
        _subjects(session, "a")
    assert [sql.split()[0] for sql in heard] == ["SELECT"]


def test_a_missing_parameter_is_an_error(any_db: Database) -> None:
    row = _row("a")
    del row["detail"]
    with pytest.raises((KeyError, InvalidRequestError)), any_db.unit_of_work() as session:
        _INSERT.run(session, row)


class _Lost(Exception):
    pass


def _later(session: Session, subject: str) -> None:
    _INSERT.write_later(session, _row(subject), lost=_Lost)


def test_writes_nobody_waits_for_are_sent_before_what_follows_and_at_the_end(any_db: Database) -> None:
    def work(session: Session) -> None:
        _later(session, "a")
        _later(session, "b")
        assert _subjects(session, "a", "b") == ["a", "b"]
        _later(session, "c")
        assert session.scalar(select(func.count()).select_from(Alert)) == 3
        _later(session, "d")
        assert len(session.scalars(select(Alert.id)).all()) == 4
        _later(session, "e")
        assert len(session.connection().execute(select(Alert.id)).all()) == 5
        _later(session, "f")

    any_db.transact(work)
    with any_db.read() as session:
        assert _subjects(session, *"abcdef") == list("abcdef")


def test_the_first_write_that_is_refused_says_what_it_means_and_undoes_all(any_db: Database) -> None:
    any_db.transact(lambda session: _later(session, "b"))

    def work(session: Session) -> None:
        for subject in "abc":
            _later(session, subject)

    with pytest.raises(_Lost):
        any_db.transact(work)
    with any_db.read() as session:
        assert _subjects(session, *"abc") == ["b"]
    any_db.transact(lambda session: _later(session, "d"))


def test_a_write_that_finds_too_few_rows_is_lost(any_db: Database) -> None:
    any_db.transact(lambda session: _later(session, "a"))

    def resolve(session: Session, rows: int) -> None:
        _RESOLVE.write_later(session, {"of": "it's 100% \\"}, rows=rows, lost=_Lost)
        _later(session, "b")

    with pytest.raises(_Lost):
        any_db.transact(lambda session: resolve(session, 2))
    any_db.transact(lambda session: resolve(session, 1))
    with any_db.read() as session:
        assert session.scalars(select(Alert.resolved_by).order_by(Alert.subject)).all() == ["us", None]


def test_a_refusal_that_is_no_duplicate_is_told_as_it_is(any_db: Database) -> None:
    with pytest.raises(DBAPIError), any_db.unit_of_work() as session:
        _INSERT.write_later(session, _row("a", severity=None), lost=_Lost)


def test_what_waits_does_not_belong_to_a_later_savepoint(any_db: Database) -> None:
    def work(session: Session) -> None:
        _later(session, "before")
        with session.begin_nested() as savepoint:
            _later(session, "within")
            savepoint.rollback()
        _later(session, "after")

    any_db.transact(work)
    with any_db.read() as session:
        assert _subjects(session, "before", "within", "after") == ["after", "before"]


def test_in_a_savepoint_made_for_it_writes_wait_until_its_end(clean_db: Database) -> None:
    def work(session: Session) -> None:
        _later(session, "before")
        with savepoint(session):
            _later(session, "a")
            _later(session, "b")
            assert len(session.info[WAITING]) == 2
            with session.begin_nested():
                _later(session, "c")
                assert not session.info[WAITING]
            _later(session, "d")
        assert not session.info[WAITING]
        _later(session, "after")

    clean_db.transact(work)
    with clean_db.read() as session:
        assert len(_subjects(session, "before", *"abcd", "after")) == 6


def test_a_refusal_in_a_savepoint_undoes_it_and_nothing_else(any_db: Database) -> None:
    any_db.transact(lambda session: _later(session, "b"))

    def work(session: Session) -> None:
        _later(session, "before")
        for subjects, fails, raised in (("abc", False, _Lost), ("d", True, KeyError)):
            with pytest.raises(raised):
                within(session, subjects, fails=fails)
        within(session, "e", fails=False)
        _later(session, "after")

    def within(session: Session, subjects: str, *, fails: bool) -> None:
        with savepoint(session):
            for subject in subjects:
                _later(session, subject)
            if fails:
                raise KeyError

    any_db.transact(work)
    with any_db.read() as session:
        assert _subjects(session, "before", *"abcde", "after") == ["after", "b", "before", "e"]


def test_objects_are_flushed_behind_what_waits(any_db: Database) -> None:
    def work(session: Session) -> None:
        _later(session, "a")
        session.add(Alert(**_row("a")))
        session.flush()

    with pytest.raises(IntegrityError) as caught:
        any_db.transact(work)
    assert "a" in str(caught.value)
    with any_db.read() as session:
        assert _subjects(session, "a") == []


def test_work_that_fails_sends_nothing_that_waits(any_db: Database) -> None:
    def work(session: Session) -> None:
        _later(session, "a")
        raise KeyError

    with pytest.raises(KeyError):
        any_db.transact(work)
    with any_db.read() as session:
        assert _subjects(session, "a") == []


def test_a_session_of_nobody_writes_at_once(any_db: Database) -> None:
    with Session(any_db.engine) as session:
        _later(session, "a")
        with pytest.raises(_Lost):
            _later(session, "a")
        session.rollback()


def _ask(session: Session, *subjects: str) -> Asked[list[str]]:
    return _BY_SUBJECT.ask(session, {"subjects": list(subjects)}, lambda rows: [row.subject for row in rows])


def test_questions_are_answered_in_the_order_in_which_they_were_asked(any_db: Database) -> None:
    def work(session: Session) -> None:
        before = _ask(session, "a")
        _later(session, "a")
        after = _ask(session, "a")
        assert (after(), before()) == (["a"], [])
        _later(session, "b")
        assert (after(), before()) == (["a"], [])
        assert _ask(session, "a", "b")() == ["a", "b"]

    any_db.transact(work)


def test_what_is_asked_where_nothing_waits_is_answered_at_once(any_db: Database) -> None:
    any_db.transact(lambda session: _later(session, "a"))
    with any_db.read() as session:
        asked = _ask(session, "a")
    assert asked() == ["a"]

    def work(session: Session) -> list[str]:
        with session.begin_nested() as savepoint:
            _later(session, "b")
            within = _ask(session, "a", "b")
            savepoint.rollback()
        return within()

    assert any_db.transact(work) == ["a", "b"]


def test_a_refusal_before_a_question_is_what_the_asker_hears(any_db: Database) -> None:
    any_db.transact(lambda session: _later(session, "a"))

    def work(session: Session) -> None:
        _later(session, "a")
        _ask(session, "a")()

    with pytest.raises(_Lost):
        any_db.transact(work)


def test_any_number_of_rows_may_be_written_where_none_is_named(any_db: Database) -> None:
    def work(session: Session) -> None:
        _RESOLVE.write_later(session, {"of": "nothing"}, rows=None, lost=_Lost)
        _later(session, "a")
        _later(session, "b")
        _RESOLVE.write_later(session, {"of": "it's 100% \\"}, rows=None, lost=_Lost)

    any_db.transact(work)
    with any_db.read() as session:
        assert session.scalars(select(Alert.resolved_by)).all() == ["us", "us"]


def test_writes_that_wait_make_one_round_trip(clean_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    send = FastConnection._write_bytes

    def count(connection: FastConnection, data: bytes) -> None:
        sent.append(len(data))
        send(connection, data)

    with clean_db.unit_of_work() as session:
        monkeypatch.setattr(FastConnection, "_write_bytes", count)
        for number in range(50):
            _later(session, str(number))
        assert sent == []
        send_waiting(session)
        assert len(sent) == 1


def test_more_than_the_buffers_hold_goes_one_by_one(clean_db: Database) -> None:
    def work(session: Session) -> None:
        for number in range(400):
            _INSERT.write_later(session, _row(str(number), detail="扫" * 100), lost=_Lost)

    clean_db.transact(work)
    with clean_db.read() as session:
        assert session.scalar(select(func.count()).select_from(Alert)) == 400


def test_an_answer_that_nobody_has_read_is_nobody_elses(
    clean_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stops the reading half-way ends the connection, and with it the transaction."""

    def stop(_connection: FastConnection) -> None:
        raise KeyboardInterrupt

    def work(session: Session) -> None:
        _later(session, "a")
        _later(session, "b")
        with monkeypatch.context() as patch:
            patch.setattr(FastConnection, "_answer", stop)
            send_waiting(session)

    # The rollback finds the connection closed, and says that.
    with pytest.raises(InterfaceError):
        clean_db.transact(work)
    for _ in range(3):
        with clean_db.read() as session:
            assert session.execute(select(func.count()).select_from(Alert)).scalar_one() == 0
            assert session.execute(text("SELECT 'here'")).scalar_one() == "here"


def test_a_deadlock_among_writes_that_wait_is_played_again(clean_db: Database) -> None:
    """The server goes on behind a deadlock, in a transaction of its own: it is rolled back with the rest."""
    clean_db.transact(lambda session: [_later(session, subject) for subject in "ab"])
    touch = Prepared(update(Alert).where(Alert.subject == bindparam("of")).values(times=Alert.times + 1))
    meet = Barrier(2)

    def work(session: Session, first: str, second: str, runs: list[int]) -> None:
        runs.append(1)
        touch.run(session, {"of": first})
        if len(runs) == 1:
            meet.wait()
        touch.write_later(session, {"of": second}, lost=_Lost)
        _INSERT.write_later(session, _row(f"behind {first}"), lost=_Lost)

    counts: tuple[list[int], list[int]] = ([], [])
    with ThreadPoolExecutor(2) as pool:
        for done in [
            pool.submit(clean_db.transact, partial(work, first="a", second="b", runs=counts[0])),
            pool.submit(clean_db.transact, partial(work, first="b", second="a", runs=counts[1])),
        ]:
            done.result()
    assert len(counts[0]) + len(counts[1]) == 3
    with clean_db.read() as session:
        assert session.scalars(select(Alert.times).order_by(Alert.subject)).all() == [2, 2, 0, 0]
        assert _subjects(session, "behind a", "behind b") == ["behind a", "behind b"]
