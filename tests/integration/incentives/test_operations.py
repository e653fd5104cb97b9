"""Store staff are rewarded once for each case that their store's dealer received."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.codes import operations as codes
from app.identity import operations as identity
from app.identity.queries import Principal
from app.incentives import operations, queries
from app.incentives.errors import InvalidStaffReward, NotStoreStaff
from app.incentives.operations import CaseOutcome, CaseReward
from app.ledger.queries import audit
from app.members import operations as members
from app.members.models import AgeBand
from app.members.operations import Source
from app.organisation.errors import UnknownStore
from app.points.models import PointsLot
from app.points.queries import balance
from tests.factories.campaign_world import OLGA, POLICY
from tests.factories.people import EVERYTHING
from tests.factories.store_world import POINTS, StoreWorld

NOT_THEIRS = CaseReward(CaseOutcome.NOT_FOR_STORE, 0)


def points(stores: StoreWorld, who: Principal) -> int:
    with stores.world.db.read() as session:
        assert audit(session) == []
        return balance(session, person_ids=[who.person_id], now=stores.world.clock.now())


def test_a_case_is_rewarded_once_whoever_scans_it(stores: StoreWorld) -> None:
    first, second = stores.staff(), stores.staff()
    assert stores.scan(first, 0).staff_reward == CaseReward(CaseOutcome.GRANTED, POINTS)
    assert stores.scan(first, 0).staff_reward == CaseReward(CaseOutcome.GRANTED_BEFORE, POINTS)
    assert stores.scan(second, 0).staff_reward == CaseReward(CaseOutcome.GRANTED_TO_ANOTHER, 0)
    assert stores.scan(first, 1).staff_reward == CaseReward(CaseOutcome.GRANTED, POINTS)
    assert (points(stores, first), points(stores, second)) == (2 * POINTS, 0)
    with stores.world.db.read() as session:
        borne = session.execute(select(PointsLot.bearer, PointsLot.manner).distinct()).all()
        told = [(found.store, found.cases, found.points) for found in queries.staff(session)]
    assert borne == [(f"staff:{stores.world.brand_id}", "staff_case")]
    assert told == [("S-1", 2, 2 * POINTS), ("S-1", 0, 0)]


def test_only_what_was_shipped_to_the_stores_dealer_earns(stores: StoreWorld) -> None:
    who = stores.staff("S-1")
    assert [stores.scan(who, case).staff_reward for case in (10, 50)] == [NOT_THEIRS, NOT_THEIRS]
    stores.world.do(operations.register, person_id=who.person_id, store_code="S-2", actor=OLGA)
    assert stores.scan(who, 10).staff_reward == CaseReward(CaseOutcome.GRANTED, POINTS)
    assert stores.scan(who, 0).staff_reward == NOT_THEIRS
    assert points(stores, who) == POINTS


def test_shoppers_strangers_single_products_and_stopped_cases_earn_nothing(stores: StoreWorld) -> None:
    world, who = stores.world, stores.staff()
    visitor = world.visitor()
    world.do(operations.register, person_id=visitor.person_id, store_code="S-1", actor=OLGA)
    assert stores.scan(world.member(), 0).staff_reward is None, "works in no store"
    assert stores.scan(visitor, 0).staff_reward is None, "has not joined"
    assert stores.scan(who, 0, batch_id=world.batch_id).staff_reward is None, "not a case"
    world.do(codes.freeze, batch_id=stores.cases, reason="stolen", actor=OLGA)
    assert stores.scan(who, 0).staff_reward is None, "stopped"
    world.do(codes.unfreeze, batch_id=stores.cases, reason="found", actor=OLGA)
    world.do(members.withdraw_consent, person_id=who.person_id)
    assert stores.scan(who, 0).staff_reward is None, "withdrew the consent"
    assert points(stores, who) == 0


def test_a_reward_holds_from_its_first_moment_to_before_its_end(stores: StoreWorld) -> None:
    who = stores.staff()
    stores.offer(7, starts_in_days=1)
    assert stores.scan(who, 0).staff_reward is None
    stores.world.wait(days=1)
    assert stores.scan(who, 0).staff_reward == CaseReward(CaseOutcome.GRANTED, 7)
    stores.world.clock.advance(timedelta(days=30) - timedelta(microseconds=1))
    assert stores.scan(who, 1).staff_reward == CaseReward(CaseOutcome.GRANTED, 7)
    stores.world.clock.advance(timedelta(microseconds=1))
    assert stores.scan(who, 2).staff_reward is None
    with stores.world.db.read() as session:
        assert [(found.brand, found.points) for found in queries.rewards(session)] == [("tea", 7)]


def test_every_case_that_staff_scan_tells_where_goods_are(stores: StoreWorld) -> None:
    """CODE-03: rewarded or not; once for each store, and where it should not be, too."""
    world, who = stores.world, stores.staff("S-1")
    stores.scan(who, 0)
    stores.scan(who, 0)
    world.wait(minutes=1)
    stores.scan(who, 10)
    world.wait(days=31)
    other = stores.staff("S-2")
    assert stores.scan(other, 0).staff_reward is None, "no reward any more"
    stores.scan(world.member(), 1)
    with world.db.read() as session:
        told = queries.cases(session)
        assert [(it.code_index, it.store, it.dealer, it.shipped_to, it.points) for it in told] == [
            (0, "S-2", "SOUTH", "EAST", 0),
            (10, "S-1", "EAST", "SOUTH", 0),
            (0, "S-1", "EAST", "EAST", POINTS),
        ]
        assert [it.person_id for it in told] == [other.person_id, who.person_id, who.person_id]
        assert {it.sku for it in told} == {"T-330"}
        assert queries.cases(session, elsewhere=True) == told[:2]
        assert queries.cases(session, store_code="S-1") == told[1:]
        assert queries.cases(session, code=(stores.cases, 0)) == [told[0], told[2]]
        assert queries.cases(session, limit=1) == told[:1]


def test_members_that_staff_bring_are_counted_for_the_store(stores: StoreWorld) -> None:
    """JOIN-18."""
    who = stores.staff("S-1")
    world = stores.world
    for store in ("S-1", "S-1", "S-2", None):
        world.do(
            members.join,
            person_id=world.visitor().person_id,
            policy_version=POLICY,
            age_band=AgeBand.ADULT,
            guardian_consent=False,
            source=Source(inviter_person_id=who.person_id, store_ref=store, guide_ref="pe"),
            actor=OLGA,
        )
    with world.db.read() as session:
        assert [(it.store, it.members) for it in queries.staff(session)] == [("S-1", 2)]
        assert queries.workplace(session, person_ids=[who.person_id]) == ("S-1", "EAST", who.person_id)
        assert queries.workplace(session, person_ids=[1]) is None


def test_what_any_id_of_a_staff_member_did_counts(stores: StoreWorld) -> None:
    """One human being, registered first under one id, then under another."""
    world, who, other = stores.world, stores.staff("S-1"), stores.world.member()
    stores.scan(who, 0)
    world.do(
        members.join,
        person_id=world.visitor().person_id,
        policy_version=POLICY,
        age_band=AgeBand.ADULT,
        guardian_consent=False,
        source=Source(inviter_person_id=who.person_id, store_ref="S-1", guide_ref=None),
        actor=OLGA,
    )
    world.do(
        identity.merge,
        person_id=who.person_id,
        other_id=other.person_id,
        reason="one",
        although=EVERYTHING,
        actor=OLGA,
    )
    world.do(operations.register, person_id=other.person_id, store_code="S-1", actor=OLGA)
    with world.db.read() as session:
        (found,) = queries.staff(session)
    assert (found.person_id, found.cases, found.points, found.members) == (other.person_id, 1, POINTS, 1)


def test_who_left_earns_nothing_and_keeps_what_there_was(stores: StoreWorld) -> None:
    who = stores.staff()
    stores.scan(who, 0)
    stores.world.do(lambda session, now: operations.dismiss(session, person_id=who.person_id))
    assert stores.scan(who, 1).staff_reward is None
    assert points(stores, who) == POINTS
    with pytest.raises(NotStoreStaff):
        stores.world.do(lambda session, now: operations.dismiss(session, person_id=who.person_id))
    with stores.world.db.read() as session:
        assert queries.staff(session, store_code="S-1") == []


def test_what_cannot_be_is_refused(stores: StoreWorld) -> None:
    for wrong in (0, 100_001):
        with pytest.raises(InvalidStaffReward):
            stores.offer(wrong)
    now = stores.world.clock.now()
    with pytest.raises(InvalidStaffReward):
        stores.world.do(
            operations.set_reward,
            brand_id=stores.world.brand_id,
            points=1,
            starts_at=now,
            ends_at=now,
            actor=OLGA,
        )
    with pytest.raises(UnknownStore):
        stores.staff("S-9")
