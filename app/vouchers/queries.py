"""Reading vouchers: a winner's own code, and how many are left."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.vouchers.models import NEVER, Voucher, VoucherBatch, VoucherState


@dataclass(frozen=True, slots=True)
class VoucherView:
    """A code for the eyes of its winner; `expires_at` None: never."""

    code: str = field(repr=False)
    pin: str | None = field(repr=False)
    expires_at: datetime | None


def voucher_of(session: Session, *, award_id: int) -> VoucherView | None:
    """Return the code that an award was given. The caller has seen whose award it is."""
    wanted = select(Voucher.code, Voucher.pin, Voucher.expires_at).where(Voucher.award_id == award_id)
    row = session.connection().execute(wanted).first()
    if row is None:
        return None
    return VoucherView(row.code, row.pin, None if row.expires_at == NEVER else row.expires_at)


def counts(session: Session, *, stock_account: int) -> dict[VoucherState, int]:
    """Return how many codes of a prize stand where; every state is there."""
    wanted = (
        select(Voucher.state, func.count())
        .where(Voucher.stock_account == stock_account)
        .group_by(Voucher.state)
    )
    found = {row[0]: row[1] for row in session.connection().execute(wanted)}
    return {state: found.get(state, 0) for state in VoucherState}


class BatchView(NamedTuple):
    """A file that was taken in: `pieces` new codes, `known` left out; free ones now, and their expiry."""

    reference: str
    pieces: int
    known: int
    free: int
    first_expires_at: datetime | None
    imported_at: datetime
    imported_by: str


def batches(session: Session, *, stock_accounts: Sequence[int]) -> list[tuple[int, BatchView]]:
    """Return the files of some prizes with the stock account of each, the oldest first."""
    free = (
        select(Voucher.batch_id, func.count().label("free"), func.min(Voucher.expires_at).label("expires_at"))
        .where(Voucher.stock_account.in_(stock_accounts), Voucher.state == VoucherState.FREE)
        .group_by(Voucher.batch_id)
        .subquery()
    )
    wanted = (
        select(VoucherBatch, free.c.free, free.c.expires_at)
        .outerjoin(free, free.c.batch_id == VoucherBatch.id)
        .where(VoucherBatch.stock_account.in_(stock_accounts))
        .order_by(VoucherBatch.id)
    )
    return [
        (
            batch.stock_account,
            BatchView(
                batch.reference,
                batch.pieces,
                batch.known,
                number or 0,
                None if expires_at in (None, NEVER) else expires_at,
                batch.imported_at,
                batch.imported_by,
            ),
        )
        for batch, number, expires_at in session.execute(wanted)
    ]
