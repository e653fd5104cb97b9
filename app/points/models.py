"""Lots of points: what was granted together, how it came, who bears it, until when it counts (PTS-03).

The balance itself is the ledger's (asset points, one personal account per person and kind). A lot is at once
the line that the member and the cost accounting read of its granting.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from app.db.base import Base, big_int, enum_check, enum_column, id_column, moment, ref, text_column


class PointsKind(StrEnum):
    """The accounts that are kept apart (PTS-01)."""

    SPENDABLE = "spendable"
    GRADING = "grading"
    ANNUAL = "annual"


class PointsLot(Base):
    """Points granted together: one bearer, one end."""

    __tablename__ = "points_lots"
    __table_args__ = (
        Index("ix_points_lots_person_id_kind_expires_at", "person_id", "kind", "expires_at"),
        Index("ix_points_lots_person_id_id", "person_id", "id"),
        enum_check("kind", PointsKind),
        CheckConstraint("granted > 0", name="granted"),
        CheckConstraint("remaining >= 0 AND remaining <= granted", name="remaining"),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    person_id: Mapped[int] = ref("persons.id")
    kind: Mapped[PointsKind] = enum_column(PointsKind)
    bearer: Mapped[str] = text_column(64, exact=True, doc="who bears the cost, such as campaign:<id>")
    granted: Mapped[int] = big_int(doc="points")
    remaining: Mapped[int] = big_int(doc="points")
    expires_at: Mapped[datetime | None] = moment(nullable=True, doc="none: never")
    granted_at: Mapped[datetime] = moment()
    manner: Mapped[str] = text_column(48, exact=True)
    ref_id: Mapped[int] = ref(doc="what it was granted for, such as an award")
    transfer_key: Mapped[str] = text_column(96, exact=True, doc="its movement in the ledger")
