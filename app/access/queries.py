"""Reading accounts."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.access.models import AccountRole, AccountState, ConsoleAccount
from app.access.roles import Role


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as an administrator sees it."""

    id: int
    login: str
    display_name: str
    state: AccountState
    wait_until: datetime | None
    roles: tuple[Role, ...]


def accounts(session: Session) -> list[AccountView]:
    """Return all accounts by login name."""
    held: dict[int, list[Role]] = {}
    given = select(AccountRole.account_id, AccountRole.role).order_by(AccountRole.role)
    for account_id, role in session.connection().execute(given):
        held.setdefault(account_id, []).append(role)
    wanted = select(
        ConsoleAccount.id,
        ConsoleAccount.login,
        ConsoleAccount.display_name,
        ConsoleAccount.state,
        ConsoleAccount.wait_until,
    ).order_by(ConsoleAccount.login)
    return [AccountView(*row, tuple(held.get(row[0], ()))) for row in session.connection().execute(wanted)]
