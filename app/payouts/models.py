"""Who pays, what is owed for an award, and each attempt at paying it."""

from datetime import datetime

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
    json_column,
    long_text,
    moment,
    ref,
    small_int,
    text_column,
)
from app.payouts.interfaces import PayMethod
from app.payouts.states import BillState, PayerState, PayoutState


class Payer(Base):
    """One merchant number of WeChat Pay that money goes out from; the platform's own has no brand."""

    __tablename__ = "payers"
    __table_args__ = (
        enum_check("state", PayerState),
        enum_check("method", PayMethod),
        CheckConstraint("product_max_fen >= 10", name="product_max_fen"),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int | None] = ref("brands.id", nullable=True)
    name: Mapped[str] = text_column(64)
    mchid: Mapped[str] = text_column(32, exact=True, unique=True)
    serial_no: Mapped[str] = text_column(64, exact=True)
    private_key: Mapped[str] = encrypted("payers.private_key", data_class=DataClass.SECRET)
    apiv3_key: Mapped[str] = encrypted("payers.apiv3_key", data_class=DataClass.SECRET)
    public_key_id: Mapped[str] = text_column(64, exact=True)
    public_key: Mapped[str] = long_text()
    method: Mapped[PayMethod] = enum_column(PayMethod, server_default=PayMethod.TRANSFER.value)
    apiv2_key: Mapped[str | None] = encrypted("payers.apiv2_key", data_class=DataClass.SECRET, nullable=True)
    client_certificate: Mapped[str | None] = long_text(nullable=True)
    workwx_secret: Mapped[str | None] = encrypted(
        "payers.workwx_secret", data_class=DataClass.SECRET, nullable=True
    )
    scene_id: Mapped[str] = text_column(36, exact=True)
    report_infos: Mapped[list[dict[str, str]]] = json_column(doc="[{info_type, info_content}] of the scene")
    recv_style: Mapped[str | None] = text_column(24, exact=True, nullable=True)
    notify_url: Mapped[str | None] = text_column(256, exact=True, nullable=True)
    product_max_fen: Mapped[int] = big_int(doc="largest single transfer of the product, in fen")
    state: Mapped[PayerState] = enum_column(PayerState)
    state_reason: Mapped[str | None] = text_column(200, nullable=True)
    state_by: Mapped[str] = text_column(64)
    state_at: Mapped[datetime] = moment()
    probe_at: Mapped[datetime | None] = moment(nullable=True, doc="when the next probe may go out")
    created_at: Mapped[datetime] = moment()


class PayerOldKeys(Base):
    """Keys that a payer had before its present ones: callbacks may come with them until `until`."""

    __tablename__ = "payer_old_keys"
    id: Mapped[int] = id_column()
    payer_id: Mapped[int] = ref("payers.id", index=True)
    apiv3_key: Mapped[str] = encrypted("payer_old_keys.apiv3_key", data_class=DataClass.SECRET)
    public_key_id: Mapped[str] = text_column(64, exact=True)
    public_key: Mapped[str] = long_text()
    until: Mapped[datetime] = moment()


class PayerApp(Base):
    """An app that a merchant number is bound to on the platform: only there can its bills be confirmed."""

    __tablename__ = "payer_apps"
    payer_id: Mapped[int] = ref("payers.id", primary_key=True)
    app_id: Mapped[int] = ref("apps.id", primary_key=True)


class Payout(Base):
    """The money for one award: one row, however many bills it takes."""

    __tablename__ = "payouts"
    __table_args__ = (
        enum_check("state", PayoutState),
        CheckConstraint("amount_fen >= 10", name="amount_fen"),
    )
    id: Mapped[int] = id_column()
    award_id: Mapped[int] = ref(unique=True)
    brand_id: Mapped[int] = ref("brands.id")
    payer_id: Mapped[int] = ref("payers.id")
    person_id: Mapped[int] = ref("persons.id")
    amount_fen: Mapped[int] = big_int(doc="fen")
    state: Mapped[PayoutState] = enum_column(PayoutState)
    generation: Mapped[int] = small_int(doc="number of the latest bill, from 1")
    created_at: Mapped[datetime] = moment()
    settled_at: Mapped[datetime | None] = moment(nullable=True)


class Bill(Base):
    """One number at WeChat Pay, with everything that its request says: a repeat must say the same."""

    __tablename__ = "bills"
    __table_args__ = (
        UniqueConstraint("payout_id", "generation"),
        Index("ix_bills_poll_at", "poll_at"),
        # A payer's bills that ended on a day, and whose bill the platform means: for reconciliation.
        Index("ix_bills_payer_id_ended_at", "payer_id", "ended_at"),
        Index("ix_bills_transfer_bill_no", "transfer_bill_no"),
        enum_check("state", BillState),
        CheckConstraint("amount_fen >= 10", name="amount_fen"),
    )
    id: Mapped[int] = id_column()
    payout_id: Mapped[int] = ref("payouts.id")
    payer_id: Mapped[int] = ref("payers.id")
    generation: Mapped[int] = small_int()
    bill_no: Mapped[str] = text_column(28, exact=True, unique=True)
    state: Mapped[BillState] = enum_column(BillState)
    app_id: Mapped[int] = ref("apps.id")
    appid: Mapped[str] = text_column(32, exact=True)
    openid: Mapped[str] = encrypted("bills.openid", data_class=DataClass.PSEUDONYM)
    user_name: Mapped[str | None] = encrypted("bills.user_name", nullable=True)
    amount_fen: Mapped[int] = big_int(doc="fen")
    remark: Mapped[str] = text_column(32)
    scene_id: Mapped[str] = text_column(36, exact=True)
    report_infos: Mapped[list[dict[str, str]]] = json_column()
    recv_style: Mapped[str | None] = text_column(24, exact=True, nullable=True)
    notify_url: Mapped[str | None] = text_column(256, exact=True, nullable=True)
    transfer_bill_no: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    package_info: Mapped[str | None] = encrypted(
        "bills.package_info", data_class=DataClass.SECRET, nullable=True
    )
    fail_reason: Mapped[str | None] = text_column(128, nullable=True)
    message_id: Mapped[int] = ref(doc="the outbox message that opens it")
    polls: Mapped[int] = small_int(doc="queries scheduled so far; numbers their messages")
    poll_at: Mapped[datetime | None] = moment(nullable=True, doc="when to ask next; none once it has ended")
    opened_by: Mapped[str] = text_column(64)
    opened_at: Mapped[datetime] = moment()
    ended_at: Mapped[datetime | None] = moment(nullable=True)
    closing_at: Mapped[datetime | None] = moment(
        nullable=True, doc="when an operator asked to close it: from then on nothing opens it"
    )
    closing_by: Mapped[str | None] = text_column(64, nullable=True)
    closing_reason: Mapped[str | None] = text_column(
        200, nullable=True, doc="why, or the evidence of its end"
    )
    absent_at: Mapped[datetime | None] = moment(
        nullable=True, doc="since when the platform says that it does not know it"
    )
