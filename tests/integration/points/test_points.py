"""Points: granted in lots with manner, quantity, bearer and end; one balance for a cluster."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.ledger.errors import AlreadyPosted, InsufficientBalance
from app.ledger.models import AccountKind, Asset, TransferRow
from app.ledger.operations import Transfer, ensure_account
from app.ledger.queries import audit
from app.points import operations, queries
from app.points.models import PointsKind, PointsLot
from tests.factories.prizes import PrizeWorld


def grant(world: PrizeWorld, person_id: int, points: int, **changes: Any) -> int:
    world.draws += 1
    values: dict[str, Any] = {
        "person_id": person_id,
        "brand_id": world.brand_id,
        "points": points,
        "kind": PointsKind.SPENDABLE,
        "bearer": "campaign:1",
        "expires_at": None,
        "key": f"points:{world.draws}",
        "reason": "award",
        "ref_id": world.draws,
        **changes,
    }
    return world.do(operations.grant, **values)


def balance(world: PrizeWorld, *person_ids: int, **changes: Any) -> int:
    return world.read(queries.balance, person_ids=person_ids, **{"now": world.clock.now()} | changes)


def test_a_cluster_has_one_balance_and_kinds_are_kept_apart(world: PrizeWorld) -> None:
    here, there, stranger = world.person(), world.person(), world.person()
    grant(world, here, 10)
    grant(world, there, 25)
    grant(world, here, 3)
    grant(world, here, 7, kind=PointsKind.GRADING)
    grant(world, stranger, 100)
    assert balance(world, here, there) == 38
    assert balance(world, here) == 13
    assert balance(world, here, there, kind=PointsKind.GRADING) == 7
    assert balance(world, here, kind=PointsKind.ANNUAL) == 0
    assert world.read(audit) == []


def test_a_lot_past_its_end_does_not_count(world: PrizeWorld) -> None:
    person = world.person()
    grant(world, person, 10, expires_at=world.clock.now() + timedelta(days=1))
    grant(world, person, 5, expires_at=world.clock.now() + timedelta(days=2))
    grant(world, person, 1)
    assert balance(world, person) == 16
    world.clock.advance(timedelta(days=1))
    assert balance(world, person) == 6
    world.clock.advance(timedelta(days=1))
    assert balance(world, person) == 1


def test_each_entry_says_manner_time_quantity_and_bearer(world: PrizeWorld) -> None:
    person = world.person()
    lot = grant(world, person, 10, bearer="dealer:7", reason="award", ref_id=4711)
    (entry,) = world.read(queries.entries, person_ids=[person])
    assert (entry.manner, entry.at, entry.points, entry.bearer) == (
        "award",
        world.clock.now(),
        10,
        "dealer:7",
    )
    assert (entry.id, entry.ref_id) == (lot, 4711)
    kept = world.read(lambda session: session.scalars(select(PointsLot)).one())
    assert (kept.granted, kept.remaining, kept.bearer, kept.brand_id) == (10, 10, "dealer:7", world.brand_id)
    moved = select(TransferRow.amount).where(TransferRow.key == kept.transfer_key)
    assert world.read(lambda session: session.execute(moved).scalar_one()) == 10


def test_entries_come_page_by_page_newest_first(world: PrizeWorld) -> None:
    here, there = world.person(), world.person()
    for points in range(1, 6):
        grant(world, here if points % 2 else there, points)
    grant(world, here, 9, kind=PointsKind.ANNUAL)
    found, last = [], None
    while page := world.read(
        queries.entries, person_ids=[here, there], before_id=last, limit=2, kind=PointsKind.SPENDABLE
    ):
        found.append([entry.points for entry in page])
        last = page[-1].id
    assert found == [[5, 4], [3, 2], [1]]
    assert [entry.points for entry in world.read(queries.entries, person_ids=[here])] == [9, 5, 3, 1]


def test_the_same_grant_twice_counts_once(world: PrizeWorld) -> None:
    person = world.person()
    grant(world, person, 10, key="once")
    with pytest.raises(AlreadyPosted):
        grant(world, person, 10, key="once")
    assert balance(world, person) == 10
    assert len(world.read(queries.entries, person_ids=[person])) == 1


def test_what_goes_along_goes_together_or_not_at_all(world: PrizeWorld) -> None:
    person = world.person()

    def transfer(amount: int) -> Transfer:
        return Transfer(f"along:{amount}", world.stock, world.awarded, amount, "award.stock", 1)

    with pytest.raises(InsufficientBalance):
        grant(world, person, 10, along=[transfer(101)])
    assert balance(world, person) == 0
    grant(world, person, 10, along=[transfer(4)])
    assert balance(world, person) == 10
    assert world.books()["stock"] == 96


def test_at_least_one_point_is_granted(world: PrizeWorld) -> None:
    for points in (0, -5):
        with pytest.raises(ValueError, match="at least one"):
            grant(world, 1, points)


def test_a_purse_is_personal_and_what_was_issued_is_open(world: PrizeWorld) -> None:
    person = world.person()
    grant(world, person, 10)

    def kinds(session: Any) -> list[AccountKind]:
        def kind(purpose: str, owner: int, expected: AccountKind) -> AccountKind:
            return ensure_account(
                session,
                kind=expected,
                asset=Asset.POINTS,
                purpose=purpose,
                owner_id=owner,
                brand_id=None,
                now=world.clock.now(),
            ).kind

        return [
            kind("points.spendable", person, AccountKind.PERSONAL),
            kind("issued.spendable", world.brand_id, AccountKind.OPEN),
        ]

    assert world.read(kinds) == [AccountKind.PERSONAL, AccountKind.OPEN]
