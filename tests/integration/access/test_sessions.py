"""Signing in, being recognised, being refused."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from app.access import operations, sessions
from app.access.audit import entries
from app.access.errors import (
    NotSignedIn,
    PasswordChangeNeeded,
    PermissionMissing,
    SignInRefused,
    WeakPassword,
)
from app.access.models import ConsoleAccount
from app.access.roles import Act, Role
from app.access.sessions import FREE_FAILURES, SESSION_LIFE, WAIT_AFTER_FAILURE
from app.db.engine import Database
from tests.factories.accounts import NOW, PASSWORD, first, second, token

MOMENT = timedelta(microseconds=1)


def attempt(session: Session, password: str = PASSWORD, login: str = "olga", after: timedelta = 0 * MOMENT):
    return sessions.sign_in(session, login=login, password=password, now=NOW + after)


def test_a_token_is_good_for_its_time_and_until_signing_out(session: Session) -> None:
    olga = first(session)
    held = token(session)
    caller = sessions.recognise(session, token=held, now=NOW + SESSION_LIFE - MOMENT)
    assert caller.actor == olga
    with pytest.raises(NotSignedIn):
        sessions.recognise(session, token=held, now=NOW + SESSION_LIFE)
    with pytest.raises(NotSignedIn):
        sessions.recognise(session, token=held + "x", now=NOW)
    sessions.sign_out(session, caller=caller, now=NOW)
    with pytest.raises(NotSignedIn):
        sessions.recognise(session, token=held, now=NOW)


def test_a_refusal_does_not_tell_why(session: Session) -> None:
    first(session)
    second(session, "peter", Role.RISK)
    operations.close(session, login="peter", now=NOW)
    told = set()
    for login, password in (("nobody", PASSWORD), ("olga", "wrong"), ("peter", PASSWORD)):
        with pytest.raises(SignInRefused) as refused:
            attempt(session, password, login).require()
        told.add(refused.value.detail)
    assert len(told) == 1


@pytest.mark.parametrize("kind", ["mariadb", "sqlite"])
def test_after_five_failures_there_is_one_attempt_in_a_while(
    request: pytest.FixtureRequest, kind: str
) -> None:
    if kind == "mariadb":
        guess_too_often(request.getfixturevalue("session"))
    else:
        sqlite: Database = request.getfixturevalue("sqlite_db")
        sqlite.transact(guess_too_often)


def guess_too_often(session: Session) -> None:
    first(session)
    for _ in range(FREE_FAILURES):
        assert attempt(session, "wrong").why == "password"
    assert attempt(session).why == "waiting"
    assert attempt(session, after=WAIT_AFTER_FAILURE - MOMENT).why == "waiting"
    assert attempt(session, "wrong", after=WAIT_AFTER_FAILURE).why == "password"
    assert attempt(session, after=WAIT_AFTER_FAILURE + MOMENT).why == "waiting"
    assert not attempt(session, after=2 * WAIT_AFTER_FAILURE).is_refused
    assert attempt(session, "wrong", after=2 * WAIT_AFTER_FAILURE).why == "password"
    assert not attempt(session, after=2 * WAIT_AFTER_FAILURE).is_refused


def test_an_administrator_ends_the_waiting(session: Session) -> None:
    first(session)
    for _ in range(FREE_FAILURES):
        attempt(session, "wrong")
    operations.unlock(session, login="olga", now=NOW)
    assert not attempt(session).is_refused


def test_a_weaker_hash_is_renewed_by_signing_in(session: Session) -> None:
    olga = first(session)
    kept = session.get_one(ConsoleAccount, olga.account_id)
    kept.password_hash = weak = PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD)
    session.flush()
    assert not attempt(session).is_refused
    assert session.get_one(ConsoleAccount, olga.account_id).password_hash != weak


def test_a_password_that_somebody_else_knows_is_good_for_changing_it_only(session: Session) -> None:
    first(session)
    second(session, "peter", Role.RISK)
    held = token(session, "peter")
    caller = sessions.recognise(session, token=held, now=NOW)
    with pytest.raises(PasswordChangeNeeded):
        caller.require(Act.LIST_PUT)
    asked = {"login": "peter", "password": PASSWORD, "now": NOW}
    with pytest.raises(WeakPassword):
        sessions.change_password(session, new_password=PASSWORD, **asked)
    with pytest.raises(WeakPassword):
        sessions.change_password(session, new_password="short", **asked)
    new = sessions.change_password(session, new_password="a sentence of my own", **asked).require()
    with pytest.raises(NotSignedIn):
        sessions.recognise(session, token=held, now=NOW)
    sessions.recognise(session, token=new, now=NOW).require(Act.LIST_PUT)
    operations.reset_password(session, login="peter", password=PASSWORD, now=NOW)
    with pytest.raises(NotSignedIn):
        sessions.recognise(session, token=new, now=NOW)


def test_changing_a_password_takes_the_present_one(session: Session) -> None:
    first(session)
    asked = {"login": "olga", "new_password": "a sentence of my own", "now": NOW}
    assert sessions.change_password(session, password="wrong", **asked).is_refused
    assert not attempt(session).is_refused


def test_an_act_is_allowed_done_and_written_down_or_none_of_it(session: Session) -> None:
    """SEC-01."""
    olga = first(session, "olga", Role.RISK)
    held = token(session)
    asked = {"token": held, "now": NOW, "detail": {"days": 3}}
    done = sessions.perform(
        session, act=Act.LIST_PUT, work=lambda _: 7, subject=lambda made: f"list entry {made}", **asked
    )
    assert done == 7
    (entry,) = entries(session)
    assert (entry.sequence, entry.account_id, entry.by) == (1, olga.account_id, "olga")
    assert (entry.action, entry.subject, entry.detail) == ("list.put", "list entry 7", '{"days":3}')
    worked: list[int] = []
    with pytest.raises(PermissionMissing):
        sessions.perform(
            session, act=Act.BUDGET_MOVED, work=lambda _: worked.append(1), subject="campaign x", **asked
        )
    assert worked == []
    assert len(entries(session)) == 1


def test_a_role_taken_away_is_gone_at_once(session: Session) -> None:
    olga = first(session)
    second(session, "peter", Role.RISK)
    asked = {"login": "peter", "password": PASSWORD, "now": NOW}
    held = sessions.change_password(session, new_password="a sentence of my own", **asked).require()
    sessions.recognise(session, token=held, now=NOW).require(Act.LIST_PUT)
    operations.set_roles(session, login="peter", roles={Role.AUDITOR}, actor=olga)
    with pytest.raises(PermissionMissing):
        sessions.recognise(session, token=held, now=NOW).require(Act.LIST_PUT)
