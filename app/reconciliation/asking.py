"""Asking the platform about one account on one day: a row, and the message that asks, once."""

from datetime import date, datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.db.once import insert_once
from app.kernel.ids import new_id
from app.outbox.operations import enqueue
from app.reconciliation.interfaces import AccountType
from app.reconciliation.models import DayBalance, Statement
from app.reconciliation.states import BalanceState, StatementState

FETCH_TOPIC = "reconciliation.fetch"
BALANCE_TOPIC = "reconciliation.balance"


def ask_once(
    session: Session,
    table: type[Statement] | type[DayBalance],
    *,
    payer_id: int,
    day: date,
    account: AccountType,
    now: datetime,
) -> int:
    """Enqueue the question for an account's bill or balance unless it is asked; return the message's id."""
    found = select(table.message_id).where(
        table.payer_id == payer_id, table.day == day.isoformat(), table.account == account
    )
    known = session.connection().execute(found).scalar()
    if known is not None:
        return int(known)
    bill, row_id = table is Statement, new_id()
    message_id = enqueue(
        session,
        topic=FETCH_TOPIC if bill else BALANCE_TOPIC,
        key=f"{payer_id}:{day.isoformat()}:{account.value}",
        payload={"statement" if bill else "balance": row_id},
        now=now,
        group=str(payer_id),
    )
    unanswered = {"state": StatementState.PENDING, "gaps": 0} if bill else {"state": BalanceState.PENDING}
    row = {
        "id": row_id,
        "payer_id": payer_id,
        "day": day.isoformat(),
        "account": account,
        "message_id": message_id,
        "asked_at": now,
        **unanswered,
    }
    if not insert_once(session, insert(table), row):
        return int(session.connection().execute(found).scalar_one())
    return message_id
