"""The table of alerts."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from app.db.base import Base, big_int, enum_check, enum_column, id_column, moment, text_column


class Severity(StrEnum):
    """How soon somebody must look."""

    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


class Alert(Base):
    """One trouble. While it is open, `open_key` holds kind and subject, and is unique."""

    __tablename__ = "alerts"
    __table_args__ = (
        enum_check("severity", Severity),
        Index("ix_alerts_resolved_at_id", "resolved_at", "id"),
        Index("ix_alerts_told_at", "told_at"),
    )
    id: Mapped[int] = id_column()
    kind: Mapped[str] = text_column(64, exact=True)
    subject: Mapped[str] = text_column(128, exact=True)
    open_key: Mapped[str | None] = text_column(200, exact=True, nullable=True, unique=True)
    severity: Mapped[Severity] = enum_column(Severity)
    detail: Mapped[str] = text_column(500)
    times: Mapped[int] = big_int(doc="how often it was raised, a count")
    first_at: Mapped[datetime] = moment()
    last_at: Mapped[datetime] = moment()
    told_at: Mapped[datetime | None] = moment(nullable=True, doc="when it was first in a letter")
    resolved_at: Mapped[datetime | None] = moment(nullable=True)
    resolved_by: Mapped[str | None] = text_column(64, nullable=True)
