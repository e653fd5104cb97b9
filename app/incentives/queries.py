"""Reading who works where, and what they earned."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.incentives.models import StaffCaseReward, StaffReward, StoreStaff
from app.organisation.models import Brand, Store


class StaffView(NamedTuple):
    """Somebody who works in a store; cases and points are those that they were rewarded for there."""

    person_id: int
    store: str
    since: datetime
    cases: int
    points: int


class RewardView(NamedTuple):
    """What a brand gives for a case, and when."""

    brand: str
    points: int
    starts_at: datetime
    ends_at: datetime


def staff(session: Session, *, store_code: str | None = None) -> list[StaffView]:
    """Return who works in stores, or in one, by store."""
    earned = (
        select(
            StaffCaseReward.store_id,
            StaffCaseReward.person_id,
            func.count().label("cases"),
            func.sum(StaffCaseReward.points).label("points"),
        )
        .group_by(StaffCaseReward.store_id, StaffCaseReward.person_id)
        .subquery()
    )
    wanted = (
        select(
            StoreStaff.person_id,
            Store.code,
            StoreStaff.since,
            func.coalesce(earned.c.cases, 0),
            func.coalesce(earned.c.points, 0),
        )
        .join(Store, Store.id == StoreStaff.store_id)
        .outerjoin(
            earned,
            (earned.c.store_id == StoreStaff.store_id) & (earned.c.person_id == StoreStaff.person_id),
        )
        .order_by(Store.code, StoreStaff.person_id)
    )
    if store_code is not None:
        wanted = wanted.where(Store.code == store_code)
    return [
        StaffView(person_id, store, since, int(cases), int(points))
        for person_id, store, since, cases, points in session.execute(wanted)
    ]


def rewards(session: Session) -> list[RewardView]:
    """Return what each brand gives."""
    wanted = (
        select(Brand.slug, StaffReward.points, StaffReward.starts_at, StaffReward.ends_at)
        .join(Brand, Brand.id == StaffReward.brand_id)
        .order_by(Brand.slug)
    )
    return [RewardView(*row) for row in session.execute(wanted)]
