"""Tables of what store staff earn by scanning cases, and of the channel that their scans tell (CODE-03, 09).

A case has one row in `staff_case_rewards`, and its primary key is the guard: whoever scans it first is
rewarded, however many scan it at once. In `store_case_scans` it has one for each store that it was seen in,
whether anything was earned or not.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from app.db.base import Base, big_int, moment, ref, small_int, text_column
from app.identity import models as _identity  # noqa: F401 - a foreign key needs its table
from app.organisation import models as _organisation  # noqa: F401 - a foreign key needs its table

MAX_POINTS = 100_000


class StaffReward(Base):
    """What a brand gives for a case, and from when to when; the audit trail keeps earlier ones."""

    __tablename__ = "staff_rewards"
    __table_args__ = (
        CheckConstraint(f"points >= 1 AND points <= {MAX_POINTS}", name="points"),
        CheckConstraint("starts_at < ends_at", name="period"),
    )
    brand_id: Mapped[int] = ref("brands.id", primary_key=True)
    points: Mapped[int] = big_int(doc="points for a case")
    starts_at: Mapped[datetime] = moment()
    ends_at: Mapped[datetime] = moment(doc="the first moment at which nothing is given any more")
    set_at: Mapped[datetime] = moment()
    set_by: Mapped[str] = text_column(64)


class StoreStaff(Base):
    """Who works in which store; a person works in one at a time."""

    __tablename__ = "store_staff"
    __table_args__ = (Index(None, "store_id"),)
    person_id: Mapped[int] = ref("persons.id", primary_key=True)
    store_id: Mapped[int] = ref("stores.id")
    since: Mapped[datetime] = moment()
    registered_by: Mapped[str] = text_column(64)


class StaffCaseReward(Base):
    """A case that somebody was rewarded for: its primary key is the guard."""

    __tablename__ = "staff_case_rewards"
    __table_args__ = (Index(None, "store_id", "at"),)
    batch_id: Mapped[int] = ref(primary_key=True)
    code_index: Mapped[int] = small_int(primary_key=True)
    person_id: Mapped[int] = ref()
    store_id: Mapped[int] = ref()
    points: Mapped[int] = big_int(doc="points that were granted")
    at: Mapped[datetime] = moment()


class StoreCaseScan(Base):
    """A case that somebody of a store's staff scanned: the first time in that store."""

    __tablename__ = "store_case_scans"
    __table_args__ = (Index(None, "store_id", "at"), Index(None, "at"))
    batch_id: Mapped[int] = ref(primary_key=True)
    code_index: Mapped[int] = small_int(primary_key=True)
    store_id: Mapped[int] = ref("stores.id", primary_key=True)
    person_id: Mapped[int] = ref()
    shipped_to: Mapped[str | None] = text_column(
        64, exact=True, nullable=True, doc="code of the dealer that the case had been shipped to by then"
    )
    at: Mapped[datetime] = moment()
