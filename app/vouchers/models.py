"""Vouchers and the batches that they came in."""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import (
    Base,
    DataClass,
    big_int,
    blind_index,
    encrypted,
    enum_check,
    enum_column,
    id_column,
    moment,
    ref,
    text_column,
)
from app.kernel.transitions import TransitionTable

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""When a code expires that does not: a moment, so that the order by expiry needs no second rule."""
HASH_CONTEXT = "vouchers.code"


class VoucherState(StrEnum):
    """Where a code stands."""

    FREE = "free"
    ALLOTTED = "allotted"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


VOUCHER_TRANSITIONS = TransitionTable(
    {
        VoucherState.FREE: (VoucherState.ALLOTTED, VoucherState.EXPIRED, VoucherState.WITHDRAWN),
        VoucherState.ALLOTTED: (),
        VoucherState.EXPIRED: (),
        VoucherState.WITHDRAWN: (),
    }
)


class VoucherBatch(Base):
    """One uploaded file of codes, all for one prize; the reference is the operator's own number of it."""

    __tablename__ = "voucher_batches"
    __table_args__ = (
        UniqueConstraint("stock_account", "reference"),
        CheckConstraint("pieces >= 0 AND known >= 0", name="counts"),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    # No foreign keys: checking them would lock rows that draws must change.
    stock_account: Mapped[int] = ref(doc="the ledger account that counts the prize's pieces")
    supply_account: Mapped[int] = ref(doc="the ledger account that the pieces came from")
    reference: Mapped[str] = text_column(40, exact=True)
    pieces: Mapped[int] = big_int(doc="codes that were new")
    known: Mapped[int] = big_int(doc="codes that were there already, in this file or another, and left out")
    imported_by: Mapped[str] = text_column(64)
    imported_at: Mapped[datetime] = moment()


class Voucher(Base):
    """One code, as good as money: sealed, found by its keyed hash, shown to its winner only."""

    __tablename__ = "vouchers"
    __table_args__ = (
        UniqueConstraint("brand_id", "code_hash"),
        UniqueConstraint("award_id"),
        # Answers "the free code that expires first" from the index alone.
        Index("ix_vouchers_stock_account_state_expires_at_id", "stock_account", "state", "expires_at", "id"),
        Index("ix_vouchers_state_expires_at", "state", "expires_at"),
        enum_check("state", VoucherState),
        CheckConstraint("(state = 'allotted') = (award_id IS NOT NULL)", name="allotted"),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    batch_id: Mapped[int] = ref("voucher_batches.id")
    stock_account: Mapped[int] = ref()
    code: Mapped[str] = encrypted("vouchers.code", data_class=DataClass.SECRET)
    pin: Mapped[str | None] = encrypted("vouchers.pin", data_class=DataClass.SECRET, nullable=True)
    code_hash: Mapped[bytes] = blind_index()
    expires_at: Mapped[datetime] = moment(doc="from when on it is good for nothing")
    state: Mapped[VoucherState] = enum_column(VoucherState)
    award_id: Mapped[int | None] = ref(nullable=True)
    allotted_at: Mapped[datetime | None] = moment(nullable=True)
