"""Accounts: made, given roles, locked, closed; never without an administrator."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.access import operations, sessions
from app.access.errors import (
    AccountExists,
    InvalidAccount,
    LastAdministrator,
    NotSignedIn,
    NotTheFirst,
    OwnRoles,
    UnknownAccount,
    WeakPassword,
)
from app.access.models import AccountState
from app.access.operations import NewAccount
from app.access.queries import accounts
from app.access.roles import Role
from app.kernel.transitions import TransitionRefused
from tests.factories.accounts import NOW, PASSWORD, account, first, second, token


def states(session: Session) -> dict[str, str]:
    return {found.login: found.state.value for found in accounts(session)}


def test_the_first_administrator_is_made_once(session: Session) -> None:
    first(session)
    with pytest.raises(NotTheFirst):
        first(session, "peter")
    (olga,) = accounts(session)
    assert (olga.login, olga.display_name, olga.state) == ("olga", "Olga", AccountState.ACTIVE)
    assert olga.roles == (Role.ADMINISTRATOR,)


def test_the_first_account_is_an_administrator(session: Session) -> None:
    with pytest.raises(InvalidAccount):
        operations.create_first(session, account=account("olga", Role.FINANCE), now=NOW)


@pytest.mark.parametrize(
    ("described", "error"),
    [
        (account("Olga"), InvalidAccount),
        (account("o"), InvalidAccount),
        (account("olga chen"), InvalidAccount),
        (NewAccount("olga", " ", PASSWORD, {Role.RISK}), InvalidAccount),
        (NewAccount("olga", "Olga", PASSWORD, ()), InvalidAccount),
        (account("olga", password="short"), WeakPassword),
    ],
)
def test_what_is_no_account_is_refused(
    session: Session, described: NewAccount, error: type[Exception]
) -> None:
    with pytest.raises(error):
        operations.create(session, account=described, now=NOW)


def test_a_login_name_is_given_once_for_ever(session: Session) -> None:
    first(session)
    second(session, "peter", Role.RISK)
    operations.close(session, login="peter", now=NOW)
    with pytest.raises(AccountExists):
        second(session, "peter", Role.RISK)


def test_locking_ends_the_sessions_and_unlocking_lets_in_again(session: Session) -> None:
    first(session)
    second(session, "peter", Role.RISK)
    held = token(session, "peter")
    operations.lock(session, login="peter", now=NOW)
    with pytest.raises(NotSignedIn):
        sessions.recognise(session, token=held, now=NOW)
    assert sessions.sign_in(session, login="peter", password=PASSWORD, now=NOW).why == "locked"
    operations.unlock(session, login="peter", now=NOW)
    with pytest.raises(NotSignedIn):
        sessions.recognise(session, token=held, now=NOW)
    assert token(session, "peter")


def test_closed_is_closed(session: Session) -> None:
    first(session)
    second(session, "peter", Role.RISK)
    operations.close(session, login="peter", now=NOW)
    for act in (operations.unlock, operations.lock, operations.close):
        with pytest.raises(TransitionRefused):
            act(session, login="peter", now=NOW)
    assert states(session) == {"olga": "active", "peter": "closed"}
    with pytest.raises(UnknownAccount):
        operations.lock(session, login="nobody", now=NOW)


def test_the_last_active_administrator_stays(session: Session) -> None:
    first(session)
    peter = second(session, "peter", Role.ADMINISTRATOR)
    operations.lock(session, login="olga", now=NOW)
    for act in (operations.lock, operations.close):
        with pytest.raises(LastAdministrator), session.begin_nested():
            act(session, login="peter", now=NOW)
    with pytest.raises(LastAdministrator), session.begin_nested():
        operations.set_roles(session, login="peter", roles={Role.RISK}, actor=first_actor(session))
    operations.unlock(session, login="olga", now=NOW)
    operations.set_roles(session, login="olga", roles={Role.RISK}, actor=peter)
    with pytest.raises(LastAdministrator), session.begin_nested():
        operations.close(session, login="peter", now=NOW)


def first_actor(session: Session) -> object:
    found = next(view for view in accounts(session) if view.login == "olga")
    return type("Somebody", (), {"account_id": found.id})()


def test_a_closed_administrator_is_not_counted_twice(session: Session) -> None:
    olga = first(session)
    second(session, "peter", Role.ADMINISTRATOR)
    operations.lock(session, login="peter", now=NOW)
    operations.close(session, login="peter", now=NOW)
    operations.set_roles(session, login="peter", roles={Role.RISK}, actor=olga)
    second(session, "rosa", Role.ADMINISTRATOR)
    operations.close(session, login="olga", now=NOW)
    assert session.execute(text("SELECT administrators FROM access_book")).scalar() == 1


def test_nobody_changes_their_own_roles(session: Session) -> None:
    olga = first(session)
    with pytest.raises(OwnRoles):
        operations.set_roles(session, login="olga", roles=set(Role), actor=olga)
    second(session, "peter", Role.RISK)
    operations.set_roles(session, login="peter", roles={Role.FINANCE, Role.RISK}, actor=olga)
    (_, peter) = accounts(session)
    assert peter.roles == (Role.FINANCE, Role.RISK)
    with pytest.raises(InvalidAccount):
        operations.set_roles(session, login="peter", roles=(), actor=olga)


def test_nothing_that_opens_an_account_is_stored_in_clear(session: Session) -> None:
    first(session)
    held = token(session)
    rows = [tuple(session.execute(text(f"SELECT * FROM {name}")).one()) for name in TABLES]
    stored = repr(rows)
    for secret in (PASSWORD, held, held.removeprefix("c1."), "argon2", "Olga"):
        assert secret not in stored


TABLES = ("console_accounts", "console_sessions")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE console_accounts SET state = 'asleep'",
        "UPDATE console_accounts SET failures = -1",
        "UPDATE console_account_roles SET role = 'king'",
        "UPDATE access_book SET administrators = -1",
    ],
)
def test_the_database_refuses_what_cannot_be(session: Session, change: str) -> None:
    first(session)
    with pytest.raises(DBAPIError):
        session.execute(text(change))
