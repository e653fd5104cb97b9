"""Closing a day from end to end: examine in transactions that write nothing, then write once.

The one place of the room that opens transactions itself, since a day takes three: one that streams our
book, one that looks single numbers up meanwhile, and one that writes the result.
"""

import logging
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from app.db.engine import Database
from app.kernel.actor import Actor
from app.kernel.errors import DomainError
from app.payouts import queries as payouts
from app.reconciliation import operations, queries
from app.reconciliation.bill_file import BillFile
from app.reconciliation.errors import DayNotReady
from app.reconciliation.examination import Case, Examination
from app.reconciliation.findings import Spool
from app.reconciliation.interfaces import AccountType
from app.reconciliation.states import StatementState

log = logging.getLogger("saoma.reconciliation")


def statement_path(folder: Path, *, mchid: str, day: date, account: AccountType) -> Path:
    """Return where the bill of an account is kept. All parts are checked: digits, a date, a known word."""
    if not mchid.isdecimal():
        raise DayNotReady("the merchant number is not a number")
    return folder / f"{mchid}-{day.isoformat()}-{account.value}.bill"


def close_day(db: Database, *, payer_id: int, day: date, folder: Path, now: datetime, actor: Actor) -> bool:
    """Examine a payer's day and close it; return False when it is closed already.

    Raises DayNotReady when a bill has not come or lies on another machine, or when an earlier day is not
    closed; BadStatement when a file contradicts itself.
    """
    with Spool() as spool:
        with db.read() as session, db.read() as book:
            if queries.closed_day(session, payer_id=payer_id, day=day.isoformat()) is not None:
                return False
            files = _files(session, payer_id, day, folder)
            case = Case(
                payer_id=payer_id,
                day=day,
                first_day=queries.first_day(session, payer_id=payer_id) or day,
                shared=queries.is_shared(session, payer_id=payer_id),
            )
            examination = Examination(book, session, case, spool)
            totals = examination.run(list(files.values()))
        examined = operations.Examined(payer_id, day, files, totals, spool)
        return db.transact(lambda session: operations.close(session, examined=examined, now=now, actor=actor))


def _files(session: Session, payer_id: int, day: date, folder: Path) -> dict[AccountType, BillFile]:
    mchid = payouts.payer(session, payer_id).mchid
    found = queries.statements(session, payer_id=payer_id, day=day.isoformat())
    if len(found) < len(AccountType) or any(one.state not in queries.FETCHED for one in found):
        raise DayNotReady("the bills of that day have not come yet; `saoma reconcile status` tells more")
    files = {}
    for statement in found:
        if statement.state is StatementState.LOADED:
            path = statement_path(folder, mchid=mchid, day=day, account=statement.account)
            if not path.is_file():
                raise DayNotReady(f"the file {path.name} is not on this machine; it is where it was fetched")
            files[statement.account] = BillFile(path)
    return files


def close_due(db: Database, *, folder: Path, now: datetime, actor: Actor) -> int:
    """Close the next day of every payer whose bills have come; return how many were closed."""
    with db.read() as session:
        ready = queries.ready_days(session)
    closed = 0
    for payer_id, day in ready:
        try:
            closed += close_day(db, payer_id=payer_id, day=day, folder=folder, now=now, actor=actor)
        except DomainError as error:
            # One payer's trouble does not keep the others waiting; the next knock tries again.
            log.warning(
                "reconciliation.not_closed",
                extra={"payer": payer_id, "day": day.isoformat(), "code": error.code},
            )
    return closed
