"""Accounts and transfers."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import Base, big_int, enum_check, enum_column, id_column, moment, ref, text_column


class AccountKind(StrEnum):
    """How an account keeps its balance (architecture section 4)."""

    PERSONAL = "personal"  # running balance, sequence, balance after each transfer
    GUARDED = "guarded"  # running balance by guarded UPDATE, taken last
    OPEN = "open"  # no row is touched; its balance is the sum of its transfers


class Asset(StrEnum):
    """What is counted: amounts of different assets never meet."""

    FEN = "fen"
    POINTS = "points"
    STOCK = "stock"


class Account(Base):
    """One account; `owner_id` is the person, campaign, prize or payer that it belongs to."""

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        UniqueConstraint("asset", "purpose", "owner_id"),
        CheckConstraint("balance >= 0", name="balance"),
        enum_check("kind", AccountKind),
        enum_check("asset", Asset),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int | None] = ref(nullable=True)
    asset: Mapped[Asset] = enum_column(Asset)
    purpose: Mapped[str] = text_column(32, exact=True)
    owner_id: Mapped[int] = ref()
    kind: Mapped[AccountKind] = enum_column(AccountKind)
    balance: Mapped[int] = big_int(doc="running balance in units of the asset; 0 for open accounts")
    sequence: Mapped[int] = big_int(doc="number of transfers so far; personal accounts only")
    created_at: Mapped[datetime] = moment()


class TransferRow(Base):
    """One movement of value; append-only."""

    __tablename__ = "ledger_transfers"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("debit_account <> credit_account", name="accounts"),
        enum_check("asset", Asset),
        Index("ix_ledger_transfers_debit_account_id", "debit_account", "id"),
        Index("ix_ledger_transfers_credit_account_id", "credit_account", "id"),
    )
    id: Mapped[int] = id_column()
    key: Mapped[str] = text_column(96, exact=True, unique=True)
    asset: Mapped[Asset] = enum_column(Asset)
    debit_account: Mapped[int] = ref()
    credit_account: Mapped[int] = ref()
    amount: Mapped[int] = big_int(doc="units of the asset: fen, points or pieces")
    reason: Mapped[str] = text_column(48, exact=True)
    ref_id: Mapped[int] = ref()
    debit_sequence: Mapped[int | None] = big_int(nullable=True)
    debit_balance: Mapped[int | None] = big_int(nullable=True, doc="personal debit account, after")
    credit_sequence: Mapped[int | None] = big_int(nullable=True)
    credit_balance: Mapped[int | None] = big_int(nullable=True, doc="personal credit account, after")
    at: Mapped[datetime] = moment()
