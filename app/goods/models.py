"""Deliveries of goods."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from app.db.base import Base, encrypted, enum_check, enum_column, moment, ref, text_column
from app.kernel.transitions import TransitionTable
from app.organisation import models as _  # noqa: F401 - a foreign key needs its table


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    ASKED = "asked"
    EXPORTED = "exported"  # whoever sends it has the address, which is fixed from here on
    SENT = "sent"
    REOPENED = "reopened"  # it could not be sent; the winner says again how to get it
    HANDED_OVER = "handed_over"


DELIVERY_TRANSITIONS = TransitionTable(
    {
        DeliveryState.ASKED: (DeliveryState.EXPORTED, DeliveryState.SENT, DeliveryState.REOPENED),
        DeliveryState.EXPORTED: (DeliveryState.SENT, DeliveryState.REOPENED),
        DeliveryState.REOPENED: (DeliveryState.ASKED, DeliveryState.HANDED_OVER),
        DeliveryState.SENT: (),
        DeliveryState.HANDED_OVER: (),
    }
)


class Delivery(Base):
    """How an award of goods gets to its winner: one row per award. The receiver's data is sealed."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_campaign_id_state", "campaign_id", "state"),
        Index("ix_deliveries_state_resolved_at", "state", "resolved_at"),
        enum_check("state", DeliveryState),
        CheckConstraint("state <> 'sent' OR tracking_no IS NOT NULL", name="sent"),
        CheckConstraint("state <> 'handed_over' OR store_id IS NOT NULL", name="handed_over"),
    )
    # No foreign key: on SQLite the table of awards is copied when its checks change.
    award_id: Mapped[int] = ref(primary_key=True)
    campaign_id: Mapped[int] = ref()
    state: Mapped[DeliveryState] = enum_column(DeliveryState)
    receiver: Mapped[str | None] = encrypted("deliveries.receiver", nullable=True)
    phone: Mapped[str | None] = encrypted("deliveries.phone", nullable=True)
    address: Mapped[str | None] = encrypted("deliveries.address", nullable=True)
    region: Mapped[str | None] = text_column(6, exact=True, nullable=True, doc="adcode")
    courier: Mapped[str | None] = text_column(32, nullable=True)
    tracking_no: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    store_id: Mapped[int | None] = ref("stores.id", nullable=True)
    asked_at: Mapped[datetime | None] = moment(nullable=True)
    resolved_at: Mapped[datetime | None] = moment(nullable=True)
    resolved_by: Mapped[str | None] = text_column(64, nullable=True)
    reason: Mapped[str | None] = text_column(200, nullable=True, doc="why it was reopened")
