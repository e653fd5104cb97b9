"""Registering store staff, and what follows when they scan a case (CODE-03, CODE-09).

That the case is in their store is kept, rewarded or not: it is what the maker learns of the channel. Only a
case that was shipped to the dealer of the scanner's store earns anything: a photograph of a case in somebody
else's warehouse does not. Nothing is taken back when goods go on to another dealer later.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.codes.outcome import CodeFacts
from app.db.once import insert_once
from app.identity.queries import cluster
from app.incentives.errors import InvalidStaffReward, NotStoreStaff
from app.incentives.models import MAX_POINTS, StaffCaseReward, StaffReward, StoreCaseScan, StoreStaff
from app.kernel.actor import Actor
from app.organisation.models import Dealer, Store
from app.organisation.queries import store_by_code
from app.points.models import PointsKind
from app.points.operations import grant

MANNER = "staff_case"


class CaseOutcome(StrEnum):
    """What a case that a staff member scanned comes to."""

    GRANTED = "granted"
    GRANTED_BEFORE = "granted_before"
    GRANTED_TO_ANOTHER = "granted_to_another"
    NOT_FOR_STORE = "not_for_store"


@dataclass(frozen=True, slots=True)
class CaseReward:
    """What a staff member is told; `points` are those of this case, 0 when none were theirs."""

    outcome: CaseOutcome
    points: int


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What the scan of a case comes to; nothing for whoever works in no store.

    supplied: the case was shipped to the dealer of the scanner's store. reward: None when no points are to be
    expected.
    """

    supplied: bool
    reward: CaseReward | None


_NOT_STAFF = TakenIn(supplied=False, reward=None)


def bearer(brand_id: int) -> str:
    """Return who bears the cost of the points that a brand gives to store staff (PTS-03)."""
    return f"staff:{brand_id}"


def set_reward(
    session: Session,
    *,
    brand_id: int,
    points: int,
    starts_at: datetime,
    ends_at: datetime,
    actor: Actor,
    now: datetime,
) -> None:
    """Give `points` for each case that is scanned from `starts_at` until before `ends_at`.

    It takes the place of what the brand gave before. Raise InvalidStaffReward.
    """
    if not 1 <= points <= MAX_POINTS:
        raise InvalidStaffReward(f"a case gives 1 to {MAX_POINTS:,} points")
    if starts_at >= ends_at:
        raise InvalidStaffReward("the period ends before it begins")
    said = {
        "points": points,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "set_at": now,
        "set_by": actor.label,
    }
    if not insert_once(session, insert(StaffReward), {"brand_id": brand_id, **said}):
        session.execute(update(StaffReward).where(StaffReward.brand_id == brand_id).values(**said))


def register(session: Session, *, person_id: int, store_code: str, actor: Actor, now: datetime) -> None:
    """Note that a person works in a store, and in no other; raise UnknownPerson or UnknownStore."""
    store_id = store_by_code(session, code=store_code).id
    person_ids = cluster(session, person_id=person_id).person_ids
    session.execute(delete(StoreStaff).where(StoreStaff.person_id.in_(person_ids)))
    said = {"store_id": store_id, "since": now, "registered_by": actor.label}
    if not insert_once(session, insert(StoreStaff), {"person_id": person_id, **said}):
        session.execute(update(StoreStaff).where(StoreStaff.person_id == person_id).values(**said))


def dismiss(session: Session, *, person_id: int) -> None:
    """Note that a person works in no store any more; raise UnknownPerson or NotStoreStaff."""
    person_ids = cluster(session, person_id=person_id).person_ids
    gone = delete(StoreStaff).where(StoreStaff.person_id.in_(person_ids))
    if not session.connection().execute(gone).rowcount:
        raise NotStoreStaff("this person works in no store; `saoma staff list` shows who does")


def case_scanned(
    session: Session, *, case: CodeFacts, person_id: int, person_ids: Collection[int], now: datetime
) -> TakenIn:
    """Keep that a case is in the store of whoever scanned it, and give them the points for it.

    `person_ids` are all ids of the scanner, of whom one must be registered; of two, the latest counts. The
    case is active, which the caller has seen. One statement for everybody who works in no store.
    """
    points = select(StaffReward.points).where(
        StaffReward.brand_id == case.brand_id, StaffReward.starts_at <= now, StaffReward.ends_at > now
    )
    offer = (
        select(StoreStaff.store_id, Dealer.code.label("dealer"), points.scalar_subquery().label("points"))
        .join(Store, Store.id == StoreStaff.store_id)
        .join(Dealer, Dealer.id == Store.dealer_id)
        .where(StoreStaff.person_id.in_(person_ids))
        .order_by(StoreStaff.since.desc(), StoreStaff.person_id.desc())
        .limit(1)
    )
    mine = session.execute(offer).first()
    if mine is None:
        return _NOT_STAFF
    shipped_to = case.attributes.get("dealer")
    seen = {
        "batch_id": case.batch_id,
        "code_index": case.code_index,
        "store_id": mine.store_id,
        "person_id": person_id,
        "shipped_to": shipped_to,
        "at": now,
    }
    insert_once(session, insert(StoreCaseScan), seen)
    supplied = shipped_to == mine.dealer
    if mine.points is None:
        return TakenIn(supplied, None)
    if not supplied:
        return TakenIn(supplied, CaseReward(CaseOutcome.NOT_FOR_STORE, 0))
    earned = {
        "batch_id": case.batch_id,
        "code_index": case.code_index,
        "person_id": person_id,
        "store_id": mine.store_id,
        "points": mine.points,
        "at": now,
    }
    if not insert_once(session, insert(StaffCaseReward), earned):
        return TakenIn(supplied, _granted_before(session, case, person_ids))
    _grant(session, earned, case.brand_id)
    return TakenIn(supplied, CaseReward(CaseOutcome.GRANTED, mine.points))


def _grant(session: Session, earned: Mapping[str, Any], brand_id: int) -> None:
    grant(
        session,
        person_id=earned["person_id"],
        brand_id=brand_id,
        points=earned["points"],
        kind=PointsKind.SPENDABLE,
        bearer=bearer(brand_id),
        expires_at=None,
        key=f"{MANNER}:{earned['batch_id']}:{earned['code_index']}",
        reason=MANNER,
        ref_id=earned["batch_id"],
        now=earned["at"],
    )


def _granted_before(session: Session, case: CodeFacts, person_ids: Collection[int]) -> CaseReward:
    granted = select(StaffCaseReward.person_id, StaffCaseReward.points).where(
        StaffCaseReward.batch_id == case.batch_id, StaffCaseReward.code_index == case.code_index
    )
    found = session.execute(granted).one()
    if found.person_id in person_ids:
        return CaseReward(CaseOutcome.GRANTED_BEFORE, found.points)
    return CaseReward(CaseOutcome.GRANTED_TO_ANOTHER, 0)
