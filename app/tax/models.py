"""The tax on awards, who it was withheld from, and what of it was paid to the tax office."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import (
    Base,
    DataClass,
    big_int,
    encrypted,
    enum_check,
    enum_column,
    id_column,
    moment,
    ref,
    small_int,
    text_column,
)
from app.identity import models as _  # noqa: F401 - a foreign key needs its table
from app.kernel.transitions import TransitionTable
from app.tax.documents import Document
from app.tax.terms import TaxBearer, TaxedKind, TaxMode


class TaxState(StrEnum):
    """Where the tax on an award stands."""

    PROMISED = "promised"  # the award has been won; nobody has it yet
    DUE = "due"  # its winner has it: the tax is owed for the month of `due_at`
    VOID = "void"  # it lapsed or was refused


TAX_TRANSITIONS = TransitionTable(
    {
        TaxState.PROMISED: (TaxState.DUE, TaxState.VOID),
        TaxState.DUE: (),
        TaxState.VOID: (),
    }
)


class AwardTax(Base):
    """The tax on one award, as it was assessed when the award was granted: one row per taxed award.

    It keeps the person id that it was written with; totals take a cluster.
    """

    __tablename__ = "award_taxes"
    __table_args__ = (
        Index("ix_award_taxes_person_id_counted_at", "person_id", "counted_at"),
        Index("ix_award_taxes_brand_id_due_at_award_id", "brand_id", "due_at", "award_id"),
        enum_check("mode", TaxMode),
        enum_check("bearer", TaxBearer),
        enum_check("kind", TaxedKind),
        enum_check("state", TaxState),
        CheckConstraint("gross_fen = net_fen + tax_fen", name="gross_fen"),
        CheckConstraint("tax_fen > 0 AND net_fen > 0", name="tax_fen"),
        CheckConstraint("base_fen >= tax_fen", name="base_fen"),
        CheckConstraint("(state = 'due') = (due_at IS NOT NULL)", name="due_at"),
    )
    award_id: Mapped[int] = ref(primary_key=True)
    brand_id: Mapped[int] = ref("brands.id")
    campaign_id: Mapped[int] = ref()
    person_id: Mapped[int] = ref("persons.id")
    mode: Mapped[TaxMode] = enum_column(TaxMode)
    bearer: Mapped[TaxBearer] = enum_column(TaxBearer)
    kind: Mapped[TaxedKind] = enum_column(TaxedKind)
    rate_bps: Mapped[int] = small_int(doc="basis points of base_fen")
    gross_fen: Mapped[int] = big_int(doc="fen; what the award costs the brand with its tax")
    base_fen: Mapped[int] = big_int(doc="fen; the income that is reported")
    tax_fen: Mapped[int] = big_int(doc="fen")
    net_fen: Mapped[int] = big_int(doc="fen; what the winner has of it")
    identity_over_fen: Mapped[int] = big_int(doc="fen a year from which identity is asked for")
    state: Mapped[TaxState] = enum_column(TaxState)
    granted_at: Mapped[datetime] = moment()
    counted_at: Mapped[datetime | None] = moment(nullable=True, doc="since when it is in the year's total")
    due_at: Mapped[datetime | None] = moment(nullable=True)


class TaxIdentity(Base):
    """Who a person is to the tax office; sealed. Of several in a cluster the one given last counts."""

    __tablename__ = "tax_identities"
    __table_args__ = (
        Index("ix_tax_identities_kept_until", "kept_until"),
        enum_check("document", Document),
    )
    person_id: Mapped[int] = ref("persons.id", primary_key=True)
    real_name: Mapped[str] = encrypted("tax_identities.real_name")
    document: Mapped[Document] = enum_column(Document)
    number: Mapped[str] = encrypted("tax_identities.number")
    notice_version: Mapped[str] = text_column(16, exact=True, data_class=DataClass.PUBLIC)
    given_at: Mapped[datetime] = moment()
    kept_until: Mapped[datetime | None] = moment(nullable=True, doc="when it is forgotten")


class TaxRemittance(Base):
    """Tax of a brand's month that was paid to the tax office; a second part is for what came late."""

    __tablename__ = "tax_remittances"
    __table_args__ = (
        UniqueConstraint("brand_id", "month", "part"),
        UniqueConstraint("brand_id", "reference"),
        CheckConstraint("amount_fen > 0", name="amount_fen"),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    month: Mapped[str] = text_column(7, exact=True, doc="such as 2026-10, in the market's zone")
    part: Mapped[int] = small_int(doc="1, 2, … of the month")
    amount_fen: Mapped[int] = big_int(doc="fen")
    reference: Mapped[str] = text_column(40, exact=True, doc="the number of the tax return or payment")
    remitted_by: Mapped[str] = text_column(64)
    remitted_at: Mapped[datetime] = moment()
