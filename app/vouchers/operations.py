"""Taking codes in, handing each out once, and taking unused ones out.

Codes and ledger are kept in step: whatever makes a code free or takes a free one away is accompanied by one
piece into or out of the prize's stock in the same transaction, so that

    free codes + allotted codes = pieces in stock + pieces awarded

always. A draw takes a piece of the stock, never a code: that costs it nothing more than any limited prize,
and an award that lapses returns its piece while no code was touched. The code is chosen when the winner
collects.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.db import secrets
from app.db.duplicates import is_duplicate
from app.db.engine import Replay
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import AccountRef, Transfer, hot_rows_last, post
from app.ledger.queries import balances
from app.vouchers.errors import BatchKnown, TooFewVouchers, VouchersOut
from app.vouchers.models import HASH_CONTEXT, VOUCHER_TRANSITIONS, Voucher, VoucherBatch, VoucherState
from app.vouchers.stock_file import NewVoucher

SHORT_ALERT = "vouchers.short"
_PORTION = 500


class TakenIn(NamedTuple):
    """What became of a file: `pieces` codes were new, `known` were there already and are left out."""

    batch_id: int
    pieces: int
    known: int


def take_in(
    session: Session,
    *,
    brand_id: int,
    supply_account: int,
    stock_account: int,
    reference: str,
    codes: Iterable[NewVoucher],
    now: datetime,
    actor: Actor,
) -> TakenIn:
    """Take the codes of a file in, sealed, each once in a brand.

    The caller moves `pieces` from supply to stock in this transaction, after it: so no hot row is held while
    a file is read. All or nothing; the file is never whole in memory. Raises BatchKnown for a reference used
    before, and Replay when the same code is being imported by somebody else at this moment.
    """
    batch_id = new_id()
    batch = {
        "id": batch_id,
        "brand_id": brand_id,
        "stock_account": stock_account,
        "supply_account": supply_account,
        "reference": reference,
        "pieces": 0,
        "known": 0,
        "imported_by": actor.label[:64],
        "imported_at": now,
    }
    if not insert_once(session, insert(VoucherBatch), batch):
        raise BatchKnown("this reference has been used for this prize; give each file one of its own")
    pieces = known = 0
    for portion in _portions(codes):
        added = _insert(session, brand_id, batch_id, stock_account, portion)
        pieces, known = pieces + added, known + len(portion) - added
    counted = update(VoucherBatch).where(VoucherBatch.id == batch_id).values(pieces=pieces, known=known)
    session.connection().execute(counted)
    return TakenIn(batch_id, pieces, known)


def _portions(codes: Iterable[NewVoucher]) -> Iterator[list[NewVoucher]]:
    rest = iter(codes)
    while portion := list(islice(rest, _PORTION)):
        yield portion


def _insert(
    session: Session, brand_id: int, batch_id: int, stock_account: int, portion: Sequence[NewVoucher]
) -> int:
    """Insert those codes that the brand does not have; return how many."""
    ring = secrets.ring()
    new = {ring.blind(HASH_CONTEXT, f"{brand_id}/{voucher.code}"): voucher for voucher in reversed(portion)}
    there = select(Voucher.code_hash).where(Voucher.brand_id == brand_id, Voucher.code_hash.in_(list(new)))
    for known in session.connection().execute(there).scalars():
        del new[known]
    rows = [
        {
            "id": new_id(),
            "brand_id": brand_id,
            "batch_id": batch_id,
            "stock_account": stock_account,
            "code": voucher.code,
            "pin": voucher.pin,
            "code_hash": code_hash,
            "expires_at": voucher.expires_at,
            "state": VoucherState.FREE,
            "award_id": None,
            "allotted_at": None,
        }
        for code_hash, voucher in reversed(new.items())
    ]
    if not rows:
        return 0
    try:
        session.connection().execute(insert(Voucher), rows)
    except IntegrityError as error:
        if is_duplicate(error):
            raise Replay from error
        raise
    return len(rows)


class StockFile:
    """The supplier whose codes were uploaded."""

    def allot(self, session: Session, *, stock_account: int, award_id: int, now: datetime) -> None:
        """Give an award the free code that expires first; raise VouchersOut when none is good any more.

        Codes that others are taking at this moment are passed over; only when nothing else is left are they
        waited for, since whoever holds the last one may yet give it back.
        """
        for waits in (False, True):
            voucher_id = _pick(session, stock_account, now, waits=waits)
            if voucher_id is None:
                continue
            if not _take(session, voucher_id, award_id, now):
                raise Replay
            return
        raise VouchersOut("the organiser has been told to get more; your prize stays, try again later")


def _pick(session: Session, stock_account: int, now: datetime, *, waits: bool) -> int | None:
    first = (
        select(Voucher.id)
        .where(
            Voucher.stock_account == stock_account,
            Voucher.state == VoucherState.FREE,
            Voucher.expires_at > now,
        )
        .order_by(Voucher.expires_at, Voucher.id)
        .limit(1)
        .with_for_update(skip_locked=not waits)
    )
    return session.connection().execute(first).scalar()


def _take(session: Session, voucher_id: int, award_id: int, now: datetime) -> bool:
    """Allot a code that is free; return False when it is not any more. An award has one: UNIQUE(award_id)."""
    VOUCHER_TRANSITIONS.require(VoucherState.FREE, VoucherState.ALLOTTED)
    taken = (
        update(Voucher)
        .where(Voucher.id == voucher_id, Voucher.state == VoucherState.FREE)
        .values(state=VoucherState.ALLOTTED, award_id=award_id, allotted_at=now)
    )
    return session.connection().execute(taken).rowcount == 1


def withdraw(session: Session, *, stock_account: int, pieces: int) -> None:
    """Take `pieces` free codes out of use for good, those first that expire last; raise TooFewVouchers.

    The caller takes as many pieces out of the ledger's stock, in this transaction.
    """
    free = (
        select(Voucher.id)
        .where(Voucher.stock_account == stock_account, Voucher.state == VoucherState.FREE)
        .order_by(Voucher.expires_at.desc(), Voucher.id.desc())
        .limit(pieces)
        .with_for_update()
    )
    ids = list(session.connection().execute(free).scalars())
    if len(ids) < pieces:
        raise TooFewVouchers(f"{len(ids)} are free; withdraw so many at most")
    _end(session, ids, VoucherState.WITHDRAWN)


def expire_due(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Take expired codes out, at most `limit` of each prize, with their pieces of the stock; return how many.

    A piece that a winner has been promised already cannot be taken out: then codes are short, and an alert
    says how many. Once more codes have come, the expired ones leave in their stead.
    """
    concerned = (
        select(Voucher.stock_account, VoucherBatch.supply_account)
        .join(VoucherBatch, VoucherBatch.id == Voucher.batch_id)
        .where(Voucher.state == VoucherState.FREE, Voucher.expires_at <= now)
        .distinct()
        .order_by(Voucher.stock_account)
    )
    ended = 0
    with hot_rows_last(session):
        for stock_account, supply_account in session.connection().execute(concerned).all():
            ended += _expire(session, stock_account, supply_account, now, limit)
    return ended


def _expire(session: Session, stock_account: int, supply_account: int, now: datetime, limit: int) -> int:
    due = (
        select(Voucher.id)
        .where(
            Voucher.stock_account == stock_account,
            Voucher.state == VoucherState.FREE,
            Voucher.expires_at <= now,
        )
        .order_by(Voucher.expires_at, Voucher.id)
        .limit(limit)
        .with_for_update()
    )
    ids = list(session.connection().execute(due).scalars())
    left = balances(session, [stock_account])[stock_account]
    leaving, promised = ids[:left], ids[left:]
    if leaving:
        _end(session, leaving, VoucherState.EXPIRED)
        expired = Transfer(
            # A code expires once, so the first of them names the movement.
            key=f"vouchers:{leaving[0]}:expired",
            debit=AccountRef(stock_account, AccountKind.GUARDED, Asset.STOCK),
            credit=AccountRef(supply_account, AccountKind.OPEN, Asset.STOCK),
            amount=len(leaving),
            reason="vouchers.expired",
            ref_id=leaving[0],
        )
        post(session, [expired], now=now)
    _tell(session, stock_account, len(promised), now)
    return len(leaving)


def _end(session: Session, ids: Sequence[int], state: VoucherState) -> None:
    VOUCHER_TRANSITIONS.require(VoucherState.FREE, state)
    ended = update(Voucher).where(Voucher.id.in_(ids), Voucher.state == VoucherState.FREE).values(state=state)
    if session.connection().execute(ended).rowcount != len(ids):
        raise Replay


def _tell(session: Session, stock_account: int, missing: int, now: datetime) -> None:
    subject = str(stock_account)
    if not missing:
        resolve_alert(session, kind=SHORT_ALERT, subject=subject, by="system", now=now)
        return
    raise_alert(
        session,
        kind=SHORT_ALERT,
        subject=subject,
        severity=Severity.CRITICAL,
        detail=f"{missing} codes expired that winners have been promised: `saoma vouchers status` shows the"
        " prize; import as many that are good for longer.",
        now=now,
    )
