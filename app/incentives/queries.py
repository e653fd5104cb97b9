"""Reading who works where, what they earned, and which cases they saw."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.catalogue.models import Product
from app.codes.models import CodeBatch
from app.codes.outcome import CodeFacts
from app.identity.models import Person
from app.incentives.models import StaffCaseReward, StaffReward, StoreCaseScan, StoreStaff
from app.members.models import Member
from app.organisation.models import Brand, Dealer, Store


class Workplace(NamedTuple):
    """The store that somebody works in, its dealer, by their codes; the person id that was registered."""

    store: str
    dealer: str
    person_id: int


def workplace(session: Session, *, person_ids: Collection[int]) -> Workplace | None:
    """Return where somebody with these ids works, or None; of two registrations the latest counts."""
    wanted = (
        select(Store.code, Dealer.code, StoreStaff.person_id)
        .join(Store, Store.id == StoreStaff.store_id)
        .join(Dealer, Dealer.id == Store.dealer_id)
        .where(StoreStaff.person_id.in_(person_ids))
        .order_by(StoreStaff.since.desc(), StoreStaff.person_id.desc())
        .limit(1)
    )
    row = session.execute(wanted).first()
    return None if row is None else Workplace(*row)


def supplied_store(session: Session, *, case: CodeFacts, person_ids: Collection[int]) -> str | None:
    """Return the store that somebody works in if the case was shipped to its dealer, by its code.

    Which of a dealer's stores a case went to, no shipment says.
    """
    works = workplace(session, person_ids=person_ids)
    return works.store if works is not None and case.attributes.get("dealer") == works.dealer else None


class StaffView(NamedTuple):
    """Somebody who works in a store; cases and points are those that they were rewarded for there.

    members: how many joined with their code, for that store. What any id of theirs did counts, whichever of
    them is registered; if two are, both rows say the same.
    """

    person_id: int
    store: str
    since: datetime
    cases: int
    points: int
    members: int


class RewardView(NamedTuple):
    """What a brand gives for a case, and when."""

    brand: str
    points: int
    starts_at: datetime
    ends_at: datetime


def staff(session: Session, *, store_code: str | None = None) -> list[StaffView]:
    """Return who works in stores, or in one, by store."""
    registered, doer = aliased(Person), aliased(Person)
    earned = (
        select(
            StaffCaseReward.store_id,
            doer.one_id,
            func.count().label("cases"),
            func.sum(StaffCaseReward.points).label("points"),
        )
        .join(doer, doer.id == StaffCaseReward.person_id)
        .group_by(StaffCaseReward.store_id, doer.one_id)
        .subquery()
    )
    theirs = select(registered.one_id).join(StoreStaff, StoreStaff.person_id == registered.id)
    recruited = (
        select(Member.store_ref, doer.one_id, func.count().label("members"))
        .join(doer, doer.id == Member.inviter_person_id)
        .where(doer.one_id.in_(theirs))
        .group_by(Member.store_ref, doer.one_id)
        .subquery()
    )
    wanted = (
        select(
            StoreStaff.person_id,
            Store.code,
            StoreStaff.since,
            func.coalesce(earned.c.cases, 0),
            func.coalesce(earned.c.points, 0),
            func.coalesce(recruited.c.members, 0),
        )
        .join(Store, Store.id == StoreStaff.store_id)
        .join(registered, registered.id == StoreStaff.person_id)
        .outerjoin(
            earned, (earned.c.store_id == StoreStaff.store_id) & (earned.c.one_id == registered.one_id)
        )
        .outerjoin(
            recruited, (recruited.c.store_ref == Store.code) & (recruited.c.one_id == registered.one_id)
        )
        .order_by(Store.code, StoreStaff.person_id)
    )
    if store_code is not None:
        wanted = wanted.where(Store.code == store_code)
    return [
        StaffView(person_id, store, since, int(cases), int(points), int(members))
        for person_id, store, since, cases, points, members in session.execute(wanted)
    ]


class CaseView(NamedTuple):
    """A case that a store has, as its staff say.

    dealer supplies the store; shipped_to is the dealer that the case had been shipped to when it was scanned:
    where they differ, goods went another way than they were sent. points were earned there, 0 for none.
    """

    batch_id: int
    code_index: int
    sku: str
    store: str
    dealer: str
    shipped_to: str | None
    person_id: int
    points: int
    at: datetime


def cases(
    session: Session,
    *,
    store_code: str | None = None,
    code: tuple[int, int] | None = None,
    elsewhere: bool = False,
    limit: int = 200,
) -> list[CaseView]:
    """Return the cases that stores have, the latest first, at most `limit` (CODE-03).

    Of one store, or of one case by batch and index; `elsewhere`: only those that another dealer was sent.
    """
    seen = StoreCaseScan
    earned = (
        (StaffCaseReward.batch_id == seen.batch_id)
        & (StaffCaseReward.code_index == seen.code_index)
        & (StaffCaseReward.store_id == seen.store_id)
    )
    wanted = (
        select(
            seen.batch_id,
            seen.code_index,
            Product.sku,
            Store.code,
            Dealer.code,
            seen.shipped_to,
            seen.person_id,
            func.coalesce(StaffCaseReward.points, 0),
            seen.at,
        )
        .join(CodeBatch, CodeBatch.id == seen.batch_id)
        .join(Product, Product.id == CodeBatch.product_id)
        .join(Store, Store.id == seen.store_id)
        .join(Dealer, Dealer.id == Store.dealer_id)
        .outerjoin(StaffCaseReward, earned)
        .order_by(seen.at.desc(), seen.batch_id, seen.code_index)
        .limit(limit)
    )
    if store_code is not None:
        wanted = wanted.where(Store.code == store_code)
    if code is not None:
        wanted = wanted.where(seen.batch_id == code[0], seen.code_index == code[1])
    if elsewhere:
        wanted = wanted.where(seen.shipped_to != Dealer.code)
    return [CaseView(*row) for row in session.execute(wanted)]


def rewards(session: Session) -> list[RewardView]:
    """Return what each brand gives."""
    wanted = (
        select(Brand.slug, StaffReward.points, StaffReward.starts_at, StaffReward.ends_at)
        .join(Brand, Brand.id == StaffReward.brand_id)
        .order_by(Brand.slug)
    )
    return [RewardView(*row) for row in session.execute(wanted)]
