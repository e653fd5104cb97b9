"""Making, locking and closing accounts; their roles and passwords (SEC-01, HQ-06).

The number of active administrators is one row with a guarded UPDATE, taken after the account's: two
administrators who close each other at the same moment leave one.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.access.errors import (
    AccountExists,
    InvalidAccount,
    LastAdministrator,
    NotTheFirst,
    OwnRoles,
    UnknownAccount,
)
from app.access.models import (
    ACCOUNT_TRANSITIONS,
    AccessBook,
    AccountRole,
    AccountState,
    ConsoleAccount,
    ConsoleSession,
)
from app.access.passwords import hash_password, require_strong
from app.access.roles import Role
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.ids import new_id

_LOGIN = re.compile(r"[a-z][a-z0-9._-]{1,31}")
_MAX_NAME = 64
_BOOK_ID = 1


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be made. `display_name` is a person's name and is stored sealed."""

    login: str
    display_name: str
    password: str
    roles: Collection[Role]


def create_first(session: Session, *, account: NewAccount, now: datetime) -> int:
    """Make the first administrator, who has no one to ask; return the account's id.

    Raises NotTheFirst once there is an administrator (for good: the last one cannot leave), and what
    `create` raises. Of sixty-four at once one succeeds: the row of the count has a primary key.
    """
    if Role.ADMINISTRATOR not in account.roles:
        raise InvalidAccount("the first account is an administrator")
    if not insert_once(session, insert(AccessBook), {"id": _BOOK_ID, "administrators": 1}):
        raise NotTheFirst("there is an administrator; ask one for an account")
    return _insert(session, account, lent=False, now=now)


def create(session: Session, *, account: NewAccount, now: datetime) -> int:
    """Make an account and return its id; its owner changes the password at the first sign-in.

    Raises InvalidAccount, WeakPassword, AccountExists.
    """
    account_id = _insert(session, account, lent=True, now=now)
    if Role.ADMINISTRATOR in account.roles:
        _count(session, +1)
    return account_id


def lock(session: Session, *, login: str, now: datetime) -> int:
    """Let nobody sign in with the account until `unlock`; its sessions end. Returns its id.

    Raises UnknownAccount, TransitionRefused, LastAdministrator.
    """
    return _move(session, login, AccountState.LOCKED, now=now)


def unlock(session: Session, *, login: str, now: datetime) -> int:
    """Let the account sign in again, after `lock` or too many failures; return its id.

    Raises UnknownAccount, TransitionRefused (it is closed).
    """
    account = _take(session, login)
    account.failures, account.wait_until = 0, None
    session.flush()
    if account.state is AccountState.ACTIVE:
        return account.id
    return _move(session, login, AccountState.ACTIVE, now=now)


def close(session: Session, *, login: str, now: datetime) -> int:
    """Close the account for good; its sessions end and its name stays taken. Returns its id.

    Raises UnknownAccount, TransitionRefused, LastAdministrator.
    """
    return _move(session, login, AccountState.CLOSED, now=now)


def set_roles(session: Session, *, login: str, roles: Collection[Role], actor: Actor) -> int:
    """Give the account exactly `roles`, from its next act on; return its id.

    Nobody changes their own: who may approve is decided by somebody else. Raises OwnRoles, InvalidAccount
    (none), UnknownAccount, LastAdministrator.
    """
    account = _take(session, login)
    if account.id == actor.account_id:
        raise OwnRoles("another administrator changes your roles")
    _require_roles(roles)
    was = _roles(session, account.id)
    session.connection().execute(delete(AccountRole).where(AccountRole.account_id == account.id))
    _give(session, account.id, roles)
    step = (Role.ADMINISTRATOR in roles) - (Role.ADMINISTRATOR in was)
    if step and account.state is AccountState.ACTIVE:
        _count(session, step)
    return account.id


def reset_password(session: Session, *, login: str, password: str, now: datetime) -> int:
    """Give the account a password that its owner must change at the next sign-in; return its id.

    Raises WeakPassword, UnknownAccount.
    """
    account = _take(session, login)
    put_password(session, account, password, lent=True, now=now)
    return account.id


def put_password(
    session: Session, account: ConsoleAccount, password: str, *, lent: bool, now: datetime
) -> None:
    """Store a new password and end every session of the account; raise WeakPassword."""
    require_strong(password, login=account.login)
    account.password_hash, account.password_lent = hash_password(password), lent
    session.flush()
    end_sessions(session, account.id, now=now)


def end_sessions(session: Session, account_id: int, *, now: datetime) -> None:
    """Revoke whatever sessions the account has open."""
    living = (ConsoleSession.account_id == account_id, ConsoleSession.revoked_at.is_(None))
    session.connection().execute(update(ConsoleSession).where(*living).values(revoked_at=now))


def _insert(session: Session, account: NewAccount, *, lent: bool, now: datetime) -> int:
    if not _LOGIN.fullmatch(account.login):
        raise InvalidAccount("a login name has 2 to 32 of a-z, 0-9, dot, hyphen and starts with a letter")
    name = account.display_name.strip()
    if not 1 <= len(name) <= _MAX_NAME:
        raise InvalidAccount(f"a display name has 1 to {_MAX_NAME} characters")
    _require_roles(account.roles)
    require_strong(account.password, login=account.login)
    account_id = new_id()
    row = {
        "id": account_id,
        "login": account.login,
        "display_name": name,
        "password_hash": hash_password(account.password),
        "password_lent": lent,
        "state": AccountState.ACTIVE,
        "failures": 0,
        "wait_until": None,
        "created_at": now,
    }
    if not insert_once(session, insert(ConsoleAccount), row):
        raise AccountExists("another account has or had this login name; choose another one")
    _give(session, account_id, account.roles)
    return account_id


def _require_roles(roles: Collection[Role]) -> None:
    if not roles:
        raise InvalidAccount("an account has at least one role; close it when it is to do nothing")


def _give(session: Session, account_id: int, roles: Collection[Role]) -> None:
    rows = [{"account_id": account_id, "role": role} for role in sorted(set(roles))]
    session.connection().execute(insert(AccountRole), rows)


def _roles(session: Session, account_id: int) -> frozenset[Role]:
    return frozenset(session.scalars(select(AccountRole.role).where(AccountRole.account_id == account_id)))


def _take(session: Session, login: str) -> ConsoleAccount:
    wanted = select(ConsoleAccount).where(ConsoleAccount.login == login).with_for_update()
    found = session.scalar(wanted.execution_options(populate_existing=True))
    if found is None:
        raise UnknownAccount("there is no account with this login name; `saoma accounts list` shows them")
    return found


def _move(session: Session, login: str, new: AccountState, *, now: datetime) -> int:
    account = _take(session, login)
    old = account.state
    ACCOUNT_TRANSITIONS.require(old, new)
    account.state = new
    session.flush()
    if new is not AccountState.ACTIVE:
        end_sessions(session, account.id, now=now)
    step = (new is AccountState.ACTIVE) - (old is AccountState.ACTIVE)
    if step and Role.ADMINISTRATOR in _roles(session, account.id):
        _count(session, step)
    return account.id


def _count(session: Session, step: int) -> None:
    """Move the number of active administrators; raise LastAdministrator when none would be left."""
    counted = (
        update(AccessBook)
        .where(AccessBook.id == _BOOK_ID, AccessBook.administrators + step >= 1)
        .values(administrators=AccessBook.administrators + step)
    )
    if not session.connection().execute(counted).rowcount:
        raise LastAdministrator("this is the last active administrator; make another one first")
