"""Signing in, being recognised, signing out, and one's own password (SEC-01).

A token is 256 random bits and lives for eight hours; the database holds only a keyed hash of it. An attempt
is counted, in SQL, before the password is looked at: whoever tries many at once gets no more guesses than
whoever tries one after the other. From the fifth failure on there is one attempt in fifteen minutes, until
one succeeds or an administrator unlocks the account.
"""

import secrets as randomness
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import bindparam, case, insert, or_, select, update
from sqlalchemy.orm import Session

from app.access.audit import append
from app.access.errors import (
    NotSignedIn,
    PasswordChangeNeeded,
    PermissionMissing,
    SignInRefused,
    WeakPassword,
)
from app.access.models import AccountRole, AccountState, ConsoleAccount, ConsoleSession
from app.access.operations import put_password
from app.access.passwords import fits, hash_password, is_outdated
from app.access.roles import NEEDS, Act, Role, permissions
from app.db import secrets
from app.kernel.actor import Actor, ActorKind
from app.kernel.ids import new_id
from app.kernel.json import Json

T = TypeVar("T")

SESSION_LIFE = timedelta(hours=8)
FREE_FAILURES = 5
WAIT_AFTER_FAILURE = timedelta(minutes=15)
_PREFIX = "c1."
_CONTEXT = "console_sessions.token"

_CALLER = (
    select(
        ConsoleAccount.id,
        ConsoleAccount.login,
        ConsoleAccount.password_lent,
        ConsoleSession.id,
        ConsoleSession.expires_at,
    )
    .join_from(ConsoleSession, ConsoleAccount, ConsoleAccount.id == ConsoleSession.account_id)
    .where(
        ConsoleSession.token_hash == bindparam("token_hash"),
        ConsoleSession.revoked_at.is_(None),
        ConsoleSession.expires_at > bindparam("now"),
        ConsoleAccount.state == AccountState.ACTIVE,
    )
)
_ROLES = select(AccountRole.role).where(AccountRole.account_id == bindparam("account"))
# In this order: MySQL computes each new value from those before it, others from the old row.
_COUNT_ATTEMPT = (
    update(ConsoleAccount)
    .where(
        ConsoleAccount.id == bindparam("account"),
        ConsoleAccount.state == AccountState.ACTIVE,
        or_(ConsoleAccount.wait_until.is_(None), ConsoleAccount.wait_until <= bindparam("at")),
    )
    .ordered_values(
        (
            ConsoleAccount.wait_until,
            case((ConsoleAccount.failures + 1 >= FREE_FAILURES, bindparam("until")), else_=None),
        ),
        (ConsoleAccount.failures, ConsoleAccount.failures + 1),
    )
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is signed in, and what they are at work."""

    account_id: int
    login: str
    roles: frozenset[Role]
    password_lent: bool
    session_id: int
    expires_at: datetime

    @property
    def actor(self) -> Actor:
        """The caller as operations know one."""
        return Actor(ActorKind.OPERATOR, self.login, account_id=self.account_id)

    def require(self, act: Act) -> None:
        """Raise unless one of the roles allows `act`: PasswordChangeNeeded, PermissionMissing."""
        if self.password_lent and act not in (Act.PASSWORD_CHANGED, Act.SIGNED_OUT):
            raise PasswordChangeNeeded(
                "somebody else set your password; choose your own: `saoma accounts password`"
            )
        needed = NEEDS[act]
        if needed is not None and needed not in permissions(self.roles):
            raise PermissionMissing(f"none of your roles holds {needed}; docs/access.md tells which does")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of signing in. The count of failures must be committed, so a refusal is no exception.

    account_id is known whenever the login name is; `why` is for the audit trail alone.
    """

    account_id: int | None
    token: str | None
    expires_at: datetime | None
    why: str

    @property
    def is_refused(self) -> bool:
        """Tell whether there is no session."""
        return self.token is None

    def require(self) -> str:
        """Return the token; raise SignInRefused, which does not tell what was wrong."""
        if self.token is None:
            minutes = WAIT_AFTER_FAILURE // timedelta(minutes=1)
            raise SignInRefused(
                "the name or the password is wrong, or the account is locked; after"
                f" {FREE_FAILURES} failures one attempt counts every {minutes} minutes"
            )
        return self.token


def sign_in(session: Session, *, login: str, password: str, now: datetime) -> Attempt:
    """Try a password; the caller commits whatever comes of it, then calls `Attempt.require`."""
    wanted = select(ConsoleAccount.id, ConsoleAccount.state).where(ConsoleAccount.login == login)
    row = session.connection().execute(wanted).first()
    if row is None:
        fits(password, None)
        return Attempt(None, None, None, "unknown")
    counted = {"account": row.id, "at": now, "until": now + WAIT_AFTER_FAILURE}
    if not session.connection().execute(_COUNT_ATTEMPT, counted).rowcount:
        fits(password, None)
        why = "waiting" if row.state is AccountState.ACTIVE else row.state.value
        return Attempt(row.id, None, None, why)
    account = session.get_one(ConsoleAccount, row.id, populate_existing=True)
    if not fits(password, account.password_hash):
        return Attempt(row.id, None, None, "password")
    account.failures, account.wait_until = 0, None
    if is_outdated(account.password_hash):
        account.password_hash = hash_password(password)
    session.flush()
    return _open(session, row.id, now=now)


def _open(session: Session, account_id: int, *, now: datetime) -> Attempt:
    token = _PREFIX + randomness.token_urlsafe(32)
    row = {
        "id": new_id(),
        "account_id": account_id,
        "token_hash": _hashed(token),
        "opened_at": now,
        "expires_at": now + SESSION_LIFE,
        "revoked_at": None,
    }
    session.connection().execute(insert(ConsoleSession), row)
    return Attempt(account_id, token, now + SESSION_LIFE, "")


def recognise(session: Session, *, token: str, now: datetime) -> Caller:
    """Return who holds `token`; raise NotSignedIn when the session or the account has ended."""
    asked = {"token_hash": _hashed(token), "now": now}
    row = session.connection().execute(_CALLER, asked).first()
    if row is None:
        raise NotSignedIn("you are not signed in, or no longer: `saoma login NAME`")
    roles = session.connection().execute(_ROLES, {"account": row[0]}).scalars()
    account_id, login, lent, session_id, expires_at = row
    return Caller(account_id, login, frozenset(roles), lent, session_id, expires_at)


def sign_out(session: Session, *, caller: Caller, now: datetime) -> None:
    """End the session; nothing happens when it has ended."""
    ended = (
        update(ConsoleSession)
        .where(ConsoleSession.id == caller.session_id, ConsoleSession.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    session.connection().execute(ended)


def change_password(
    session: Session, *, login: str, password: str, new_password: str, now: datetime
) -> Attempt:
    """Replace one's own password, which also ends the other sessions; return the new session's attempt.

    The present password is tried like at a sign-in, and counted: a session left open is not enough. Raises
    WeakPassword (also for the same one again).
    """
    attempt = sign_in(session, login=login, password=password, now=now)
    if attempt.account_id is None or attempt.is_refused:
        return attempt
    account = session.get_one(ConsoleAccount, attempt.account_id)
    if new_password == password:
        raise WeakPassword("the new password is the present one")
    put_password(session, account, new_password, lent=False, now=now)
    return _open(session, account.id, now=now)


def _hashed(token: str) -> bytes:
    return secrets.ring().blind(_CONTEXT, token)


def perform(
    session: Session,
    *,
    token: str,
    act: Act,
    work: Callable[[Session], T],
    subject: str | Callable[[T], str],
    now: datetime,
    detail: Mapping[str, Json] | Callable[[T], Mapping[str, Json]] | None = None,
) -> T:
    """Do one act of somebody who is signed in: allowed, done and written down in one transaction.

    This is the one way in which an edge writes. Args: work does it; subject names what it was done to, by our
    own names, or tells it from what came of the work, as may detail; neither holds personal data. Raises
    NotSignedIn, PasswordChangeNeeded, PermissionMissing, and what work raises. Source: SEC-01.
    """
    caller = recognise(session, token=token, now=now)
    caller.require(act)
    done = work(session)
    named = subject if isinstance(subject, str) else subject(done)
    facts = detail(done) if callable(detail) else detail
    append(session, act=act, subject=named, actor=caller.actor, now=now, detail=facts)
    return done
