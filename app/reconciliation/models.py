"""The files of each day, the days that are closed, what differed, and what waits for its counterpart.

Lines of a bill are not kept as rows: the file itself is the evidence, and its digest is. What is kept of a
line is what must be remembered until its bill ends here (`StatementCarry`).
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import (
    Base,
    big_int,
    enum_check,
    enum_column,
    flag,
    id_column,
    moment,
    ref,
    small_int,
    text_column,
)
from app.reconciliation.interfaces import AccountType
from app.reconciliation.states import (
    BalanceState,
    BalanceUse,
    DifferenceKind,
    DifferenceState,
    StatementState,
)


class StatementPayer(Base):
    """How a payer is reconciled, where it differs from the usual."""

    __tablename__ = "statement_payers"
    __table_args__ = (enum_check("balance", BalanceUse),)
    payer_id: Mapped[int] = ref("payers.id", primary_key=True)
    shared: Mapped[bool] = flag(doc="other systems move money on this merchant number too")
    balance: Mapped[BalanceUse] = enum_column(BalanceUse)
    set_by: Mapped[str] = text_column(64)
    set_at: Mapped[datetime] = moment()


class Statement(Base):
    """The fund-flow bill of one account of a payer on one Beijing day."""

    __tablename__ = "statements"
    __table_args__ = (
        UniqueConstraint("payer_id", "day", "account"),
        enum_check("account", AccountType),
        enum_check("state", StatementState),
    )
    id: Mapped[int] = id_column()
    payer_id: Mapped[int] = ref("payers.id")
    day: Mapped[str] = text_column(10, exact=True, doc="Beijing calendar day, YYYY-MM-DD")
    account: Mapped[AccountType] = enum_column(AccountType)
    state: Mapped[StatementState] = enum_column(StatementState)
    message_id: Mapped[int] = ref(doc="the outbox message that fetches it")
    sha1: Mapped[str | None] = text_column(40, exact=True, nullable=True, doc="of the uncompressed file")
    size_bytes: Mapped[int | None] = big_int(nullable=True, doc="uncompressed")
    closing_fen: Mapped[int | None] = big_int(nullable=True, doc="balance after the last line, in fen")
    gaps: Mapped[int] = small_int(doc="lines whose balance does not follow from the line before, a count")
    asked_at: Mapped[datetime] = moment()
    fetched_at: Mapped[datetime | None] = moment(nullable=True)


class DayBalance(Base):
    """What the platform says that an account of a payer held at the end of a Beijing day."""

    __tablename__ = "day_balances"
    __table_args__ = (
        UniqueConstraint("payer_id", "day", "account"),
        enum_check("account", AccountType),
        enum_check("state", BalanceState),
        CheckConstraint("(state = 'known') = (available_fen IS NOT NULL)", name="known"),
    )
    id: Mapped[int] = id_column()
    payer_id: Mapped[int] = ref("payers.id")
    day: Mapped[str] = text_column(10, exact=True, doc="Beijing calendar day, YYYY-MM-DD")
    account: Mapped[AccountType] = enum_column(AccountType)
    state: Mapped[BalanceState] = enum_column(BalanceState)
    message_id: Mapped[int] = ref(doc="the outbox message that asks for it")
    available_fen: Mapped[int | None] = big_int(nullable=True, doc="can be spent, in fen")
    pending_fen: Mapped[int | None] = big_int(nullable=True, doc="cannot be spent yet, in fen")
    asked_at: Mapped[datetime] = moment()
    answered_at: Mapped[datetime | None] = moment(nullable=True)


class ReconciledDay(Base):
    """A payer's day that is closed: its totals stand, and a digest of the bills that ended on it."""

    __tablename__ = "reconciled_days"
    __table_args__ = (UniqueConstraint("payer_id", "day"),)
    id: Mapped[int] = id_column()
    payer_id: Mapped[int] = ref("payers.id")
    day: Mapped[str] = text_column(10, exact=True, doc="Beijing calendar day, YYYY-MM-DD")
    lines: Mapped[int] = big_int(doc="lines in the bills of the day, a count")
    out_fen: Mapped[int] = big_int(doc="left according to the bills, in fen")
    in_fen: Mapped[int] = big_int(doc="came according to the bills, in fen")
    other_out_fen: Mapped[int] = big_int(doc="left for what is not ours, on a shared number, in fen")
    other_in_fen: Mapped[int] = big_int(doc="came from elsewhere: top-ups, sales; in fen")
    paid_bills: Mapped[int] = big_int(doc="bills of ours that ended well on the day, a count")
    paid_fen: Mapped[int] = big_int(doc="their sum in fen")
    carried_fen: Mapped[int] = big_int(doc="set aside for bills that had not ended, at the day's end, in fen")
    bill_closing_fen: Mapped[int] = big_int(doc="balance of the accounts by the bills, in fen")
    book_closing_fen: Mapped[int] = big_int(doc="balance that follows from our own book, in fen")
    unexplained_fen: Mapped[int] = big_int(doc="what is between the two and no difference explains, in fen")
    differences: Mapped[int] = big_int(doc="differences found when it was closed, a count")
    digest: Mapped[str] = text_column(64, exact=True, doc="SHA-256 of the bills that ended on the day")
    ledger_mark: Mapped[int] = ref(doc="every later transfer of the ledger has a larger id")
    closed_by: Mapped[str] = text_column(64)
    closed_at: Mapped[datetime] = moment()


class StatementDifference(Base):
    """One number about which the books disagree. `number` is our bill number where there is one."""

    __tablename__ = "statement_differences"
    __table_args__ = (
        UniqueConstraint("payer_id", "day", "number"),
        Index("ix_statement_differences_payer_id_number", "payer_id", "number"),
        Index("ix_statement_differences_payer_id_state", "payer_id", "state"),
        enum_check("kind", DifferenceKind),
        enum_check("state", DifferenceState),
    )
    id: Mapped[int] = id_column()
    payer_id: Mapped[int] = ref("payers.id")
    day: Mapped[str] = text_column(10, exact=True, doc="Beijing calendar day, YYYY-MM-DD")
    kind: Mapped[DifferenceKind] = enum_column(DifferenceKind)
    state: Mapped[DifferenceState] = enum_column(DifferenceState)
    number: Mapped[str] = text_column(128, exact=True)
    bill_id: Mapped[int | None] = ref("bills.id", nullable=True)
    platform_no: Mapped[str] = text_column(128, exact=True, doc="the platform's number in the outgoing line")
    expected_fen: Mapped[int] = big_int(doc="what should have left by our book, in fen")
    out_count: Mapped[int] = big_int(doc="lines by which money left, a count")
    out_fen: Mapped[int] = big_int(doc="what left by the bills, in fen")
    in_count: Mapped[int] = big_int(doc="lines by which money came back, a count")
    in_fen: Mapped[int] = big_int(doc="what came back by the bills, in fen")
    found_on: Mapped[str | None] = text_column(10, exact=True, nullable=True, doc="day of a late line")
    reason: Mapped[str | None] = text_column(200, nullable=True, doc="why it is settled")
    resolved_by: Mapped[str | None] = text_column(64, nullable=True)
    resolved_at: Mapped[datetime | None] = moment(nullable=True)
    created_at: Mapped[datetime] = moment()


class StatementCarry(Base):
    """What the bills have shown so far about a bill of ours that has not ended."""

    __tablename__ = "statement_carries"
    __table_args__ = (Index("ix_statement_carries_payer_id_first_day", "payer_id", "first_day"),)
    payer_id: Mapped[int] = ref("payers.id", primary_key=True)
    bill_no: Mapped[str] = text_column(28, exact=True, primary_key=True)
    first_day: Mapped[str] = text_column(10, exact=True, doc="Beijing calendar day, YYYY-MM-DD")
    platform_no: Mapped[str] = text_column(128, exact=True)
    out_count: Mapped[int] = big_int(doc="a count")
    out_fen: Mapped[int] = big_int(doc="fen")
    in_count: Mapped[int] = big_int(doc="a count")
    in_fen: Mapped[int] = big_int(doc="fen")
