"""What reconciliation does when a bill is due to be fetched, or a balance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.outbox.contracts import (
    Call,
    Done,
    EffectKind,
    Failed,
    Message,
    Park,
    RetryAt,
    RetryLater,
    Settlement,
    Skip,
)
from app.payouts.interfaces import PayerCredentials
from app.payouts.models import Payer
from app.payouts.queries import credentials
from app.reconciliation import balances, queries
from app.reconciliation.asking import BALANCE_TOPIC, FETCH_TOPIC
from app.reconciliation.bill_file import BillFile
from app.reconciliation.closing import statement_path
from app.reconciliation.days import read_day
from app.reconciliation.errors import BadStatement
from app.reconciliation.interfaces import (
    AccountType,
    BalanceAnswer,
    BalanceGateway,
    BalanceOutcome,
    FetchAnswer,
    FetchOutcome,
    StatementGateway,
)
from app.reconciliation.models import DayBalance, Statement
from app.reconciliation.states import (
    BALANCE_TRANSITIONS,
    STATEMENT_TRANSITIONS,
    BalanceState,
    BalanceUse,
    StatementState,
)

LATE_ALERT = "reconciliation.statement_late"
# The platform asks for half an hour between two questions while it is still making a bill (11.1).
_CREATING_CHECK = timedelta(minutes=30)
_UNCLOSED_CHECK = timedelta(minutes=30)
UNCLOSED_LONGEST = timedelta(days=7)
"""How long a balance that the platform does not have is asked for while its day is not closed."""

_LATE_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class FetchCall:
    """A bill to fetch, and where to."""

    payer: PayerCredentials
    day: date
    account: AccountType
    into: Path


class FetchStatements:
    """The effect reconciliation.fetch: asks for a fund-flow bill until there is one, or nothing to tell.

    Repeating it harms nothing: a bill of a day that is over never changes, and is written whole or not.
    """

    topic: str = FETCH_TOPIC
    kind: EffectKind = EffectKind.IDEMPOTENT
    batch_size: int = 4
    concurrency: int = 2
    deadline_seconds: float = 180.0

    def __init__(self, gateway: StatementGateway, folder: Path) -> None:
        self._gateway = gateway
        self._folder = folder

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        """Say which bill to ask for; leave out what has come."""
        answers: list[Call | Skip] = []
        known = _load(session, messages)
        for message in messages:
            statement, payer = known[message.payload["statement"]]
            if STATEMENT_TRANSITIONS.final(statement.state):
                answers.append(Skip(Done(f"it has come: {statement.state}")))
                continue
            day = read_day(statement.day)
            into = statement_path(self._folder, mchid=payer.mchid, day=day, account=statement.account)
            answers.append(Call(FetchCall(credentials(payer), day, statement.account, into)))
        return answers

    def perform(self, request: FetchCall) -> FetchAnswer:
        """Fetch the bill and read it once: a file that contradicts itself counts as not come."""
        answer = self._gateway.fetch(
            request.payer, day=request.day, account=request.account, into=request.into
        )
        if answer.outcome is FetchOutcome.LOADED:
            try:
                for _ in BillFile(request.into).lines():
                    pass
            except BadStatement as fault:
                return FetchAnswer(FetchOutcome.RETRY, code=fault.code, message=fault.detail)
        return answer

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> list[Settlement]:
        """Write what came of it."""
        known = _load(session, [message for message, _ in results])
        return [
            self._settle(session, *known[message.payload["statement"]], result, now)
            for message, result in results
        ]

    def _settle(
        self, session: Session, statement: Statement, payer: Payer, result: object, now: datetime
    ) -> Settlement:
        if isinstance(result, Failed):
            return RetryLater(result.reason)
        assert isinstance(result, FetchAnswer)
        subject = f"{payer.mchid}:{statement.day}:{statement.account.value}"
        match result.outcome:
            case FetchOutcome.LOADED | FetchOutcome.EMPTY:
                loaded = result.outcome is FetchOutcome.LOADED
                values = {"sha1": result.sha1, "size_bytes": result.size_bytes} if loaded else {}
                state = StatementState.LOADED if loaded else StatementState.EMPTY
                _move(session, statement.id, state, fetched_at=now, **values)
                resolve_alert(session, kind=LATE_ALERT, subject=subject, by="wechat-pay", now=now)
                return Done(str(state))
            case FetchOutcome.CREATING:
                _move(session, statement.id, StatementState.CREATING)
                if now - statement.asked_at > _LATE_AFTER:
                    _late(session, subject, now)
                return RetryAt(now + _CREATING_CHECK, "the platform is still making the bill", counts=False)
            case FetchOutcome.REFUSED:
                return Park(f"{result.code} ({result.message}): mend the payer, then replay this message")
            case _:
                return RetryLater(f"{result.code}: {result.message}"[:200])


def _load(session: Session, messages: Sequence[Message]) -> dict[int, tuple[Statement, Payer]]:
    wanted = (
        select(Statement, Payer)
        .join(Payer, Payer.id == Statement.payer_id)
        .where(Statement.id.in_([message.payload["statement"] for message in messages]))
        .execution_options(populate_existing=True)
    )
    return {statement.id: (statement, payer) for statement, payer in session.execute(wanted)}


def _move(session: Session, statement_id: int, state: StatementState, **values: object) -> None:
    moved = (
        update(Statement)
        .where(Statement.id == statement_id, Statement.state.in_(STATEMENT_TRANSITIONS.sources(state)))
        .values(state=state, **values)
    )
    session.connection().execute(moved)


def _late(session: Session, subject: str, now: datetime) -> None:
    raise_alert(
        session,
        kind=LATE_ALERT,
        subject=subject,
        severity=Severity.WARNING,
        detail="WeChat Pay has been making this bill for over a day. Try to download it on the merchant"
        " platform; the days behind it wait.",
        now=now,
    )


@dataclass(frozen=True, slots=True)
class BalanceCall:
    """A balance to ask for."""

    payer: PayerCredentials
    day: date
    account: AccountType


class FetchBalances:
    """The effect reconciliation.balance: asks what an account held at a day's end. Repeating is harmless."""

    topic: str = BALANCE_TOPIC
    kind: EffectKind = EffectKind.IDEMPOTENT
    batch_size: int = 4
    concurrency: int = 2
    deadline_seconds: float = 15.0

    def __init__(self, gateway: BalanceGateway) -> None:
        self._gateway = gateway

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        """Say which balance to ask for; leave out what has come, and payers that ask no more."""
        answers: list[Call | Skip] = []
        known = _load_balances(session, messages)
        for message in messages:
            balance, payer = known[message.payload["balance"]]
            if BALANCE_TRANSITIONS.final(balance.state):
                answers.append(Skip(Done(f"it has come: {balance.state}")))
            elif queries.balance_use(session, payer_id=payer.id) is not BalanceUse.ON:
                _keep_balance(session, balance.id, BalanceState.FORBIDDEN)
                answers.append(Skip(Done("balances of this payer are not asked for any more")))
            else:
                asked = BalanceCall(credentials(payer), read_day(balance.day), balance.account)
                answers.append(Call(asked))
        return answers

    def perform(self, request: BalanceCall) -> BalanceAnswer:
        """Ask."""
        return self._gateway.day_end(request.payer, day=request.day, account=request.account)

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> list[Settlement]:
        """Write what came of it; the last one of a closed day is compared."""
        known = _load_balances(session, [message for message, _ in results])
        return [
            self._settle(session, *known[message.payload["balance"]], result, now)
            for message, result in results
        ]

    def _settle(
        self, session: Session, balance: DayBalance, payer: Payer, result: object, now: datetime
    ) -> Settlement:
        if isinstance(result, Failed):
            return RetryLater(result.reason)
        assert isinstance(result, BalanceAnswer)
        said = f"{result.code}: {result.message}"[:200]
        match result.outcome:
            case BalanceOutcome.KNOWN:
                told = {"available_fen": result.available_fen, "pending_fen": result.pending_fen}
                _keep_balance(session, balance.id, BalanceState.KNOWN, answered_at=now, **told)
                balances.compare(session, payer_id=payer.id, day=balance.day, now=now)
                return Done("known")
            case BalanceOutcome.ABSENT:
                return _settle_absent(session, balance, payer, said, now)
            case BalanceOutcome.FORBIDDEN:
                _keep_balance(session, balance.id, BalanceState.FORBIDDEN, answered_at=now)
                balances.refuse(session, payer_id=payer.id, said=result.code, now=now)
                return Done("this merchant number may not ask")
            case BalanceOutcome.REFUSED:
                return Park(f"{result.code} ({result.message}): mend the payer, then replay this message")
            case _:
                return RetryLater(said)


def _settle_absent(
    session: Session, balance: DayBalance, payer: Payer, said: str, now: datetime
) -> Settlement:
    absent = balances.may_be_absent(session, payer_id=payer.id, day=balance.day, account=balance.account)
    if absent is None and now - balance.asked_at > UNCLOSED_LONGEST:
        return Park(
            f"{said}; and the day {balance.day} has not been closed for {UNCLOSED_LONGEST.days} days, without"
            " which nobody knows whether there is one: `saoma reconcile status`. Once the day is closed it is"
            " asked for again by itself"
        )
    if absent is None:
        return RetryAt(
            now + _UNCLOSED_CHECK, "the day is not closed: its bill may know of money", counts=False
        )
    if not absent:
        # An account with money is open: the balance has not been made yet.
        return RetryLater(said)
    _keep_balance(session, balance.id, BalanceState.ABSENT, answered_at=now)
    balances.compare(session, payer_id=payer.id, day=balance.day, now=now)
    return Done("absent")


def _load_balances(session: Session, messages: Sequence[Message]) -> dict[int, tuple[DayBalance, Payer]]:
    wanted = (
        select(DayBalance, Payer)
        .join(Payer, Payer.id == DayBalance.payer_id)
        .where(DayBalance.id.in_([message.payload["balance"] for message in messages]))
        .execution_options(populate_existing=True)
    )
    return {balance.id: (balance, payer) for balance, payer in session.execute(wanted)}


def _keep_balance(session: Session, balance_id: int, state: BalanceState, **values: object) -> None:
    kept = (
        update(DayBalance)
        .where(DayBalance.id == balance_id, DayBalance.state.in_(BALANCE_TRANSITIONS.sources(state)))
        .values(state=state, **values)
    )
    session.connection().execute(kept)
