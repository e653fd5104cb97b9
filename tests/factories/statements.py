"""Fund-flow bills written by hand, and bills of ours that end when a test says so."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import update

from app.kernel.actor import SYSTEM
from app.kernel.fen import format_yuan
from app.payouts.models import Bill
from app.payouts.states import BillState
from app.reconciliation import operations, queries
from app.reconciliation.closing import close_day, statement_path
from app.reconciliation.days import BEIJING
from app.reconciliation.interfaces import AccountType
from app.reconciliation.models import ReconciledDay, Statement
from app.reconciliation.queries import DifferenceView
from app.reconciliation.states import StatementState
from tests.factories.prizes import MCHID, PrizeWorld

HEADER = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),业务凭证号"
)
FOOTER = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


class Move(NamedTuple):
    """A line to be: below zero leaves. `platform_no` is by default that of the number."""

    number: str
    fen: int
    platform_no: str | None = None


def platform_number(number: str) -> str:
    """The platform's number of a bill."""
    return f"W{number}"


def write_bill(path: Path, moves: list[Move], opening_fen: int) -> int:
    """Write a bill; return the balance after it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines, balance = [HEADER], opening_fen
    for count, move in enumerate(moves, 1):
        balance += move.fen
        number = platform_number(move.number) if move.platform_no is None else move.platform_no
        way = "收入" if move.fen > 0 else "支出"
        values = ("2026-06-01 10:00:00", number, f"F{count}", "x", "x", way)
        money = (format_yuan(abs(move.fen)), format_yuan(balance), move.number)
        lines.append(",".join(f"`{value}" for value in (*values, *money)))
    came = [move.fen for move in moves if move.fen > 0]
    left = [-move.fen for move in moves if move.fen < 0]
    told = (len(moves), len(came), format_yuan(sum(came)), len(left), format_yuan(sum(left)))
    path.write_text("\n".join([*lines, FOOTER, ",".join(f"`{value}" for value in told)]) + "\n")
    return balance


@dataclass
class Ledgers:
    """A payer's days: what is paid here, what the platform's bills say, and what comes of closing them."""

    world: PrizeWorld
    folder: Path
    balance_fen: int = 0
    opened: dict[str, str] = field(default_factory=dict)

    def open(self, at: datetime) -> str:
        """A bill of one yuan that was opened at `at`; returns its number."""
        self.world.clock.set(at)
        person = self.world.people[0] if self.world.people else self.world.person()
        won = self.world.grant(person, stock=None, awarded=None)
        self.world.collect(won)
        return self.world.bill(won).bill_no

    def end(self, number: str, at: datetime, state: BillState = BillState.SUCCESS) -> None:
        """Let a bill end."""
        ended = (
            update(Bill)
            .where(Bill.bill_no == number)
            .values(state=state, ended_at=at, transfer_bill_no=platform_number(number))
        )
        self.world.db.transact(lambda session: session.execute(ended))

    def paid(self, day: date, hour: int = 12) -> str:
        """A bill that was opened and paid on a day."""
        at = moment(day, hour)
        number = self.open(at)
        self.end(number, at + timedelta(minutes=1))
        return number

    def told(self, day: date, *moves: Move, account: AccountType = AccountType.OPERATION) -> None:
        """The platform's bills of a day have come."""
        self.world.clock.set(moment(day + timedelta(days=1), 11))
        self.world.do(operations.ask, payer_id=self.world.payer_id, day=day)
        if moves:
            path = statement_path(self.folder, mchid=MCHID, day=day, account=account)
            self.balance_fen = write_bill(path, list(moves), self.balance_fen)
        for one in AccountType:
            loaded = bool(moves) and one is account
            come = (
                update(Statement)
                .where(Statement.day == day.isoformat(), Statement.account == one)
                .values(state=StatementState.LOADED if loaded else StatementState.EMPTY)
            )
            self.world.db.transact(lambda session, come=come: session.execute(come))

    def close(self, day: date) -> bool:
        """Close a day."""
        return close_day(
            self.world.db,
            payer_id=self.world.payer_id,
            day=day,
            folder=self.folder,
            now=self.world.clock.now(),
            actor=SYSTEM,
        )

    def reconcile(self, day: date, *moves: Move) -> dict[str, str]:
        """Let the bills come and close the day; return the kinds of all differences by number."""
        self.told(day, *moves)
        assert self.close(day)
        assert self.closed(day).unexplained_fen == 0
        return {number: one.kind.value for number, one in self.differences().items()}

    def differences(self) -> dict[str, DifferenceView]:
        """All differences by number."""
        return {one.number: one for one in self.world.read(queries.differences)}

    def closed(self, day: date) -> ReconciledDay:
        """A closed day."""
        found = self.world.read(queries.closed_day, payer_id=self.world.payer_id, day=day.isoformat())
        assert found is not None
        return found


def moment(day: date, hour: int) -> datetime:
    """An hour of a day in Beijing."""
    return datetime.combine(day, time(hour), BEIJING)
