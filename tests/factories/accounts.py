"""Console accounts for tests."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from app.access import operations
from app.access.operations import NewAccount
from app.access.roles import Role
from app.access.sessions import sign_in
from app.kernel.actor import Actor, ActorKind

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"


def account(login: str, *roles: Role, password: str = PASSWORD) -> NewAccount:
    """Describe an account; without a role it is an administrator's."""
    return NewAccount(login, login.title(), password, roles or (Role.ADMINISTRATOR,))


def first(session: Session, login: str = "olga", *more: Role) -> Actor:
    """Make the first administrator, who may have more roles."""
    described = account(login, Role.ADMINISTRATOR, *more)
    made = operations.create_first(session, account=described, now=NOW)
    return Actor(ActorKind.OPERATOR, login, account_id=made)


def second(session: Session, login: str, *roles: Role) -> Actor:
    """Make another account."""
    made = operations.create(session, account=account(login, *roles), now=NOW)
    return Actor(ActorKind.OPERATOR, login, account_id=made)


def token(session: Session, login: str = "olga", now: datetime = NOW) -> str:
    """Sign in."""
    return sign_in(session, login=login, password=PASSWORD, now=now).require()
