"""Opening accounts and posting transfers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import bindparam, case, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.engine import Replay, at_the_end
from app.db.once import insert_once, is_duplicate
from app.db.prepared import Prepared
from app.kernel.ids import new_id
from app.ledger.errors import AlreadyPosted, InsufficientBalance
from app.ledger.models import Account, AccountKind, Asset, TransferRow


@dataclass(frozen=True, slots=True)
class AccountRef:
    """An account as `post` needs to know it; what it holds never changes, so it may be cached."""

    id: int
    kind: AccountKind
    asset: Asset


@dataclass(frozen=True, slots=True)
class Transfer:
    """A movement to post: `amount` units leave `debit` and arrive at `credit`, once per `key`."""

    key: str
    debit: AccountRef
    credit: AccountRef
    amount: int
    reason: str
    ref_id: int


def ensure_account(
    session: Session,
    *,
    kind: AccountKind,
    asset: Asset,
    purpose: str,
    owner_id: int,
    brand_id: int | None,
    now: datetime,
) -> AccountRef:
    """Return the account (asset, purpose, owner), opening it when it is not there."""
    found = (
        select(Account.id, Account.kind)
        .where(Account.asset == asset, Account.purpose == purpose, Account.owner_id == owner_id)
        .limit(1)
    )
    row = session.connection().execute(found).first()
    if row is None:
        opened = {
            "id": new_id(),
            "brand_id": brand_id,
            "asset": asset,
            "purpose": purpose,
            "owner_id": owner_id,
            "kind": kind,
            "balance": 0,
            "sequence": 0,
            "created_at": now,
        }
        insert_once(session, insert(Account), opened)
        row = session.connection().execute(found).one()
    if row.kind is not kind:
        raise ValueError(f"account {purpose} of {owner_id} is {row.kind}, not {kind}")
    return AccountRef(row.id, kind, asset)


def post(session: Session, transfers: Sequence[Transfer], *, now: datetime) -> None:
    """Post all of `transfers` or none.

    Personal accounts are taken first and guarded ones last, each in the order of their ids, so that a hot
    row is held for the shortest time and no two posts wait for each other in a ring. Raises
    InsufficientBalance when an account would go below zero and AlreadyPosted when a key has been used; in
    both cases the caller's transaction must roll back.
    """
    change: dict[AccountRef, int] = {}
    for transfer in transfers:
        if transfer.amount <= 0 or transfer.debit.asset is not transfer.credit.asset:
            raise ValueError("a transfer moves a positive amount of one asset")
        change[transfer.debit] = change.get(transfer.debit, 0) - transfer.amount
        change[transfer.credit] = change.get(transfer.credit, 0) + transfer.amount
    touched = sorted((account for account in change), key=lambda account: account.id)
    state = _take_personal(session, [account for account in touched if account.kind is AccountKind.PERSONAL])
    rows = [_row(transfer, state, now) for transfer in transfers]
    _store_personal(session, state)
    try:
        _insert(session, rows)
    except IntegrityError as error:
        if is_duplicate(error):
            raise AlreadyPosted("a transfer with this key has been posted") from None
        raise
    guarded = [account for account in touched if account.kind is AccountKind.GUARDED and change[account]]
    if guarded:
        waiting: dict[int, int] | None = session.info.get(_WAITING)
        if waiting is None:
            _change_guarded(session, [(account.id, change[account]) for account in guarded])
        else:
            for account in guarded:
                waiting[account.id] = waiting.get(account.id, 0) + change[account]


_WAITING = "saoma.ledger.waiting"


@contextmanager
def hot_rows_last(session: Session) -> Iterator[None]:
    """Let what is posted in this block take its guarded accounts at the very end of the transaction.

    One row can hold up everybody; so it is taken when nothing is left to do but to commit. Then it is too
    late to refuse: an account that does not hold enough raises Replay, and the transaction is played again
    on fresh balances.
    """
    waiting: dict[int, int] = {}
    session.info[_WAITING] = waiting
    try:
        yield
    finally:
        del session.info[_WAITING]

    def take() -> None:
        try:
            _change_guarded(session, sorted(waiting.items()))
        except InsufficientBalance as lost:
            raise Replay from lost

    if waiting:
        at_the_end(session, take)


_INSERT = Prepared(insert(TransferRow))


def _insert(session: Session, rows: list[dict[str, object]]) -> None:
    if len(rows) == 1:
        _INSERT.run(session, rows[0])
    else:
        session.connection().execute(insert(TransferRow), rows)


@dataclass(slots=True)
class _Running:
    balance: int
    sequence: int


def _take_personal(session: Session, accounts: Sequence[AccountRef]) -> dict[int, _Running]:
    if not accounts:
        return {}
    ids = [account.id for account in accounts]
    locked = (
        select(Account.id, Account.balance, Account.sequence)
        .where(Account.id.in_(ids))
        .order_by(Account.id)
        .with_for_update()
    )
    return {row.id: _Running(row.balance, row.sequence) for row in session.connection().execute(locked)}


def _row(transfer: Transfer, state: dict[int, _Running], now: datetime) -> dict[str, object]:
    row: dict[str, object] = {
        "id": new_id(),
        "key": transfer.key,
        "asset": transfer.debit.asset,
        "debit_account": transfer.debit.id,
        "credit_account": transfer.credit.id,
        "amount": transfer.amount,
        "reason": transfer.reason,
        "ref_id": transfer.ref_id,
        "at": now,
    }
    for side, account, sign in (("debit", transfer.debit, -1), ("credit", transfer.credit, 1)):
        running = state.get(account.id)
        if running is not None:
            running.balance += sign * transfer.amount
            running.sequence += 1
            if running.balance < 0:
                raise InsufficientBalance((account.id,))
        row[f"{side}_sequence"] = running.sequence if running else None
        row[f"{side}_balance"] = running.balance if running else None
    return row


_STORE = (
    update(Account)
    .where(Account.id == bindparam("account"))
    .values(balance=bindparam("new_balance"), sequence=bindparam("new_sequence"))
)


def _store_personal(session: Session, state: dict[int, _Running]) -> None:
    for account, running in state.items():
        session.connection().execute(
            _STORE, {"account": account, "new_balance": running.balance, "new_sequence": running.sequence}
        )


@lru_cache(maxsize=16)
def _guarded_update(count: int) -> Prepared:
    # One statement for all guarded rows: the hot rows are locked once, in the order of their ids.
    change = case(
        *((Account.id == bindparam(f"id{n}"), bindparam(f"change{n}")) for n in range(count)), else_=0
    )
    return Prepared(
        update(Account)
        .where(Account.id.in_([bindparam(f"id{n}") for n in range(count)]), Account.balance + change >= 0)
        .values(balance=Account.balance + change)
    )


def _change_guarded(session: Session, changes: Sequence[tuple[int, int]]) -> None:
    values: dict[str, int] = {}
    for number, (account, amount) in enumerate(changes):
        values[f"id{number}"] = account
        values[f"change{number}"] = amount
    if _guarded_update(len(changes)).run(session, values) != len(changes):
        raise InsufficientBalance(tuple(account for account, _ in changes))
