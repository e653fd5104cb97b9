"""Opening accounts and posting transfers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, case, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from app.db.base import BigInt
from app.db.engine import Replay, at_the_end
from app.db.once import insert_once
from app.db.prepared import Prepared, send_waiting
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


@dataclass(frozen=True, slots=True)
class Held:
    """A personal account whose row this transaction has locked, and how it stood then."""

    account: AccountRef
    balance: int
    sequence: int


def hold_personal(
    session: Session, *, asset: Asset, purpose: str, owner_id: int, brand_id: int | None, now: datetime
) -> Held:
    """Lock somebody's account (asset, purpose, owner) for a `post` and return it; open it if need be."""
    wanted = {"asset": asset, "purpose": purpose, "owner": owner_id}
    row = _HOLD.first(session, wanted)
    if row is None:
        ensure_account(
            session,
            kind=AccountKind.PERSONAL,
            asset=asset,
            purpose=purpose,
            owner_id=owner_id,
            brand_id=brand_id,
            now=now,
        )
        row = _HOLD.first(session, wanted)
    return Held(AccountRef(row.id, AccountKind.PERSONAL, asset), row.balance, row.sequence)


_HOLD = Prepared(
    select(Account.id, Account.balance, Account.sequence)
    .where(
        Account.asset == bindparam("asset"),
        Account.purpose == bindparam("purpose"),
        Account.owner_id == bindparam("owner"),
        Account.kind == AccountKind.PERSONAL,
    )
    .with_for_update()
)


def post(
    session: Session, transfers: Sequence[Transfer], *, now: datetime, held: Sequence[Held] = ()
) -> None:
    """Post all of `transfers` or none; `held` are accounts that this transaction has locked already.

    Personal accounts are locked first; then one UPDATE changes all accounts in the order of their ids, so
    that a hot row is held for the shortest time and no two posts wait for each other in a ring. Raises
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
    waiting: dict[int, _Change] | None = session.info.get(_WAITING)
    state = _take_personal(
        session, [account for account in touched if account.kind is AccountKind.PERSONAL], held, waiting
    )
    began = {account: running.sequence for account, running in state.items()}
    rows = [_row(transfer, state, now) for transfer in transfers]
    for start in range(0, len(rows), _MOST_AT_ONCE):
        some = rows[start : start + _MOST_AT_ONCE]
        numbered = {f"{name}{n}": value for n, row in enumerate(some) for name, value in row.items()}
        _insert(len(some)).write_later(session, numbered, rows=len(some), lost=_posted_before)
    changes = {
        account.id: _Change(change[account], state[account.id].sequence - began[account.id])
        if account.kind is AccountKind.PERSONAL
        else _Change(change[account])
        for account in touched
        if account.kind is AccountKind.PERSONAL or (account.kind is AccountKind.GUARDED and change[account])
    }
    if waiting is None:
        _apply(session, changes, lost=lambda: InsufficientBalance(tuple(sorted(changes))))
        send_waiting(session)
    else:
        for account_id, more in changes.items():
            waiting[account_id] = waiting.get(account_id, _Change()).plus(more)


_WAITING = "saoma.ledger.waiting"
_ANY = 1 << 62


@dataclass(frozen=True, slots=True)
class _Change:
    """What becomes of an account: units that come (or, below zero, go), and in how many numbered steps.

    least, most: what it may hold afterwards.
    """

    amount: int = 0
    steps: int = 0
    least: int = 0
    most: int = _ANY

    def plus(self, more: "_Change") -> "_Change":
        return _Change(
            self.amount + more.amount,
            self.steps + more.steps,
            max(self.least, more.least),
            min(self.most, more.most),
        )


@contextmanager
def hot_rows_last(session: Session) -> Iterator[None]:
    """Let what is posted in this block change its accounts at the very end of the transaction.

    One row can hold up everybody; so it is taken when nothing is left to do but to commit. Then it is too
    late to refuse: an account that does not hold enough raises Replay, and the transaction is played again
    on fresh balances.
    """
    waiting: dict[int, _Change] = {}
    session.info[_WAITING] = waiting
    try:
        yield
    finally:
        del session.info[_WAITING]

    if waiting:
        at_the_end(session, lambda: _apply(session, waiting, lost=Replay))


def bound(session: Session, account: AccountRef, *, least: int = 0, most: int = _ANY) -> None:
    """Let a guarded account end up with `least` to `most` units, else the transaction is played again.

    Only within `hot_rows_last`; it costs no statement. An account that nothing is posted to is held all the
    same until the transaction ends, with what it holds now.
    """
    waiting: dict[int, _Change] = session.info[_WAITING]
    waiting[account.id] = waiting.get(account.id, _Change()).plus(_Change(least=least, most=most))


# Each number of rows is a statement of its own; these few are kept.
_MOST_AT_ONCE = 16


@lru_cache(maxsize=_MOST_AT_ONCE)
def _insert(count: int) -> Prepared:
    columns = TransferRow.__table__.columns
    return Prepared(
        insert(TransferRow).values(
            [
                {column.name: bindparam(f"{column.name}{n}", type_=column.type) for column in columns}
                for n in range(count)
            ]
        )
    )


def _posted_before() -> AlreadyPosted:
    return AlreadyPosted("a transfer with this key has been posted")


@dataclass(slots=True)
class _Running:
    balance: int
    sequence: int


def _take_personal(
    session: Session,
    accounts: Sequence[AccountRef],
    held: Sequence[Held],
    waiting: dict[int, _Change] | None,
) -> dict[int, _Running]:
    """Return how personal accounts stand, locked: with what waits to be written in this transaction."""
    found = {it.account.id: _Running(it.balance, it.sequence) for it in held}
    ids = [account.id for account in accounts if account.id not in found]
    if ids:
        locked = (
            select(Account.id, Account.balance, Account.sequence)
            .where(Account.id.in_(ids))
            .order_by(Account.id)
            .with_for_update()
        )
        rows = session.connection().execute(locked)
        found |= {row.id: _Running(row.balance, row.sequence) for row in rows}
    for account_id, running in found.items():
        unwritten = (waiting or {}).get(account_id, _Change())
        running.balance += unwritten.amount
        running.sequence += unwritten.steps
    return found


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


@lru_cache(maxsize=32)
def _update(count: int, *, numbered: bool, bounded: bool) -> Prepared:
    # One statement for all rows: the hot ones are locked once, in the order of their ids.
    def each(name: str) -> ColumnElement[int]:
        changes = [bindparam(f"{name}{n}", type_=BigInt) for n in range(count)]
        return case(
            *((Account.id == bindparam(f"id{n}"), change) for n, change in enumerate(changes)), else_=0
        )

    after = Account.balance + each("amount")
    allowed = (after >= each("least")) & (after <= each("most")) if bounded else after >= 0
    new: dict[str, Any] = {"balance": after}
    if numbered:
        new["sequence"] = Account.sequence + each("steps")
    return Prepared(
        update(Account)
        .where(Account.id.in_([bindparam(f"id{n}") for n in range(count)]), allowed)
        .values(new)
    )


def _apply(session: Session, changes: Mapping[int, _Change], *, lost: Callable[[], Exception]) -> None:
    if not changes:
        return
    numbered = any(change.steps for change in changes.values())
    bounded = any(change.least > 0 or change.most < _ANY for change in changes.values())
    values: dict[str, int] = {}
    for number, (account, change) in enumerate(sorted(changes.items())):
        values |= {f"id{number}": account, f"amount{number}": change.amount}
        if numbered:
            values[f"steps{number}"] = change.steps
        if bounded:
            values |= {f"least{number}": change.least, f"most{number}": change.most}
    statement = _update(len(changes), numbered=numbered, bounded=bounded)
    statement.write_later(session, values, rows=len(changes), lost=lost)
