"""Administrators who close each other, guesses at once, and acts that all want to be the next entry."""

from collections.abc import Callable

import pytest
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.orm import Session

from app.access import approvals, audit, operations, sessions
from app.access.errors import LastAdministrator, NotTheFirst
from app.access.models import AccountState, Approval, ApprovalState, AuditHead, ConsoleAccount
from app.access.roles import Act, ApprovalKind, Role
from app.access.sessions import FREE_FAILURES
from app.db.engine import Database
from app.kernel.actor import SYSTEM, Actor
from app.kernel.transitions import TransitionRefused
from tests.factories.accounts import NOW, account, first, second
from tests.race.conftest import FEWER
from tests.support.racing import CONNECTIONS, RaceResult, race

pytestmark = pytest.mark.race

_HASH = "$argon2id$v=19$m=8,t=1,p=1$bm90aGluZ2hlcmU$q1w2e3r4t5y6u7i8o9p0aQ"


@pytest.fixture(autouse=True)
def _quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash takes its time by design; what is raced for here are rows."""
    monkeypatch.setattr(operations, "hash_password", lambda _: _HASH)
    monkeypatch.setattr(sessions, "fits", lambda password, hashed: password == "right" and hashed is not None)
    monkeypatch.setattr(sessions, "is_outdated", lambda _: False)


def _close_all(db: Database, runners: int, seed: int) -> tuple[RaceResult, int]:
    """Let everybody close another administrator; return the race and how many are left."""

    def prepare(session: Session) -> None:
        first(session, "admin0")
        for number in range(1, runners):
            second(session, f"admin{number}", Role.ADMINISTRATOR)

    def closing(number: int) -> Callable[[], int]:
        return lambda: db.transact(lambda s: operations.close(s, login=f"admin{number}", now=NOW))

    db.transact(prepare)
    result = race(db, [closing(number) for number in range(runners)], seed=seed)
    active = select(func.count()).where(ConsoleAccount.state == AccountState.ACTIVE)
    with db.read() as session:
        return result, int(session.execute(active).scalar_one())


def test_one_administrator_is_left(wide_db: Database, race_seed: int) -> None:
    result, left = _close_all(wide_db, FEWER, race_seed)
    assert [type(error) for error in result.errors] == [LastAdministrator]
    assert left == 1
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def test_without_the_guard_nobody_is_left(wide_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def count_first(session: Session, step: int) -> None:
        left = select(operations.AccessBook.administrators)
        if session.execute(left).scalar_one() + step < 1:
            raise LastAdministrator("the last one")
        session.execute(text("SELECT SLEEP(0.05)"))
        session.execute(text(f"UPDATE access_book SET administrators = GREATEST(1, administrators + {step})"))

    db = wide_db
    monkeypatch.setattr(operations, "_count", count_first)
    _, left = _close_all(db, FEWER, seed=0)
    assert left == 0


def test_of_sixty_four_first_administrators_one_is_made(wide_db: Database, race_seed: int) -> None:
    def making(number: int) -> Callable[[], int]:
        described = account(f"admin{number}")
        return lambda: wide_db.transact(
            lambda session: operations.create_first(session, account=described, now=NOW)
        )

    result = race(wide_db, [making(number) for number in range(CONNECTIONS)], seed=race_seed)
    assert len(result.values) == 1
    assert {type(error) for error in result.errors} == {NotTheFirst}


def _guess(db: Database, runners: int, seed: int) -> tuple[RaceResult, int]:
    """Let everybody guess at once; return the race and how many of the guesses were looked at."""
    db.transact(first)

    def guess() -> str:
        return db.transact(
            lambda session: sessions.sign_in(session, login="olga", password="wrong", now=NOW).why
        )

    result = race(db, [guess] * runners, seed=seed)
    return result, result.values.count("password")


def test_guessing_at_once_gives_no_more_guesses(wide_db: Database, race_seed: int) -> None:
    result, looked_at = _guess(wide_db, CONNECTIONS, race_seed)
    assert result.errors == []
    assert looked_at == FREE_FAILURES
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def test_counting_afterwards_would_give_many(wide_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    unguarded = (
        update(ConsoleAccount)
        .where(ConsoleAccount.id == bindparam("account"))
        .values(failures=ConsoleAccount.failures + 1)
    )
    monkeypatch.setattr(sessions, "_COUNT_ATTEMPT", unguarded)
    _, looked_at = _guess(wide_db, FEWER, seed=0)
    assert looked_at == FEWER


def _append_all(db: Database, runners: int, seed: int) -> tuple[RaceResult, audit.Finding]:
    def act(number: int) -> Callable[[], int]:
        return lambda: db.transact(
            lambda session: audit.append(
                session, act=Act.CODES_FROZEN, subject=f"batch {number}", actor=SYSTEM, now=NOW
            )
        )

    db.transact(lambda s: audit.append(s, act=Act.CODES_FROZEN, subject="first", actor=SYSTEM, now=NOW))
    result = race(db, [act(number) for number in range(runners)], seed=seed)
    with db.read() as session:
        return result, audit.verify(session)


def test_sixty_four_acts_make_one_chain(wide_db: Database, race_seed: int) -> None:
    result, found = _append_all(wide_db, CONNECTIONS, race_seed)
    assert result.errors == []
    assert sorted(result.values) == list(range(2, CONNECTIONS + 2))
    assert (found.entries, found.fault) == (CONNECTIONS + 1, None)
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def test_without_lock_and_guard_the_chain_forks(
    without_key: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    db = without_key("audit_entries", "DROP PRIMARY KEY")
    unguarded = (
        update(AuditHead)
        .where(AuditHead.id == 1, bindparam("before") >= 0)
        .values(entries=bindparam("after"), hash=bindparam("new_hash"), seal=bindparam("new_seal"))
    )
    monkeypatch.setattr(audit, "_HEAD_TAKEN", audit._HEAD)
    monkeypatch.setattr(audit, "_MOVE_HEAD", unguarded)
    result, found = _append_all(db, FEWER, seed=0)
    assert len(set(result.values)) < len(result.values)
    assert found.fault is not None


def _approve_all(db: Database, runners: int, seed: int) -> RaceResult:
    """Let several accounts approve one proposal at once."""

    def prepare(session: Session) -> tuple[approvals.Proposal, list[Actor]]:
        olga = first(session)
        others = [second(session, f"approver{number}", Role.APPROVER) for number in range(runners)]
        said = {"kind": ApprovalKind.BUDGET_IN, "subject": "campaign x PO-1", "reason": "more"}
        return approvals.propose(session, payload={"fen": 1}, now=NOW, actor=olga, **said), others

    made, others = db.transact(prepare)

    def approving(actor: Actor) -> Callable[[], None]:
        def carry_out(session: Session) -> None:
            approvals.approve(session, approval_id=made.id, sha256=made.sha256, now=NOW, actor=actor)
            session.execute(text("SELECT SLEEP(0.02)"))  # what was approved takes its time

        return lambda: db.transact(carry_out)

    return race(db, [approving(actor) for actor in others], seed=seed)


def test_of_many_approvals_one_is_carried_out(wide_db: Database, race_seed: int) -> None:
    result = _approve_all(wide_db, CONNECTIONS, race_seed)
    assert len(result.values) == 1
    assert {type(error) for error in result.errors} == {TransitionRefused}
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def test_without_the_guard_many_are(wide_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    unguarded = (
        update(Approval)
        .where(Approval.id == bindparam("wanted"), bindparam("by") > 0, bindparam("read") != "")
        .values(
            state=ApprovalState.APPROVED,
            decided_by=bindparam("by"),
            decided_at=bindparam("at"),
            open_subject=None,
        )
    )
    monkeypatch.setattr(approvals, "_APPROVE", unguarded)
    assert len(_approve_all(wide_db, FEWER, seed=0).values) > 1
