"""Reading balances, and the audit that recomputes them all."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.ledger.models import Account, AccountKind, TransferRow


def balances(session: Session, account_ids: Sequence[int]) -> dict[int, int]:
    """Return the running balances of personal and guarded accounts, in units of their asset."""
    wanted = select(Account.id, Account.balance).where(Account.id.in_(account_ids))
    return {row.id: row.balance for row in session.connection().execute(wanted)}


def open_balance(session: Session, account_id: int) -> int:
    """Return the balance of an open account: what arrived less what left. May be below zero."""
    arrived = select(func.coalesce(func.sum(TransferRow.amount), 0)).where(
        TransferRow.credit_account == account_id
    )
    left = select(func.coalesce(func.sum(TransferRow.amount), 0)).where(
        TransferRow.debit_account == account_id
    )
    connection = session.connection()
    return int(connection.execute(arrived).scalar_one()) - int(connection.execute(left).scalar_one())


def is_posted(session: Session, key: str) -> bool:
    """Tell whether a transfer with `key` exists."""
    return (
        session.connection().execute(select(TransferRow.id).where(TransferRow.key == key)).first() is not None
    )


def audit(session: Session) -> list[str]:
    """Recompute every balance from the transfers; return one sentence per disagreement.

    Checks that running balances equal the sums, that personal sequences have no gap, and that no transfer
    mixes assets. An empty list means that the book holds.
    """
    connection = session.connection()
    sums: dict[int, int] = {}
    for column, sign in ((TransferRow.credit_account, 1), (TransferRow.debit_account, -1)):
        for account, amount in connection.execute(
            select(column, func.sum(TransferRow.amount)).group_by(column)
        ):
            sums[account] = sums.get(account, 0) + sign * int(amount)
    counts: dict[int, int] = {}
    for column in (TransferRow.credit_account, TransferRow.debit_account):
        for account, number in connection.execute(select(column, func.count()).group_by(column)):
            counts[account] = counts.get(account, 0) + int(number)
    faults = []
    for row in connection.execute(select(Account.id, Account.kind, Account.balance, Account.sequence)):
        expected = 0 if row.kind is AccountKind.OPEN else sums.get(row.id, 0)
        if row.balance != expected:
            faults.append(f"account {row.id}: balance {row.balance}, its transfers say {expected}")
        if row.kind is AccountKind.PERSONAL and row.sequence != counts.get(row.id, 0):
            faults.append(f"account {row.id}: sequence {row.sequence}, {counts.get(row.id, 0)} transfers")
    faults += _mixed_assets(session)
    if sum(sums.values()):
        faults.append(f"the sum over all accounts is {sum(sums.values())}, not zero")
    return faults


def _mixed_assets(session: Session) -> list[str]:
    faults = []
    for column in (TransferRow.debit_account, TransferRow.credit_account):
        mixed = (
            select(TransferRow.id)
            .outerjoin(Account, Account.id == column)
            .where((Account.id.is_(None)) | (Account.asset != TransferRow.asset))
        )
        faults += [
            f"transfer {row.id}: account missing or of another asset" for row in session.execute(mixed)
        ]
    return faults
