"""Granting: what it moves, in how few statements, and what it will not do."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.ledger.errors import InsufficientBalance
from app.points import queries as points
from app.points.models import PointsKind
from app.rewards import operations
from app.rewards.errors import AlreadyAwarded
from app.rewards.models import Award, AwardKind, AwardState
from app.rewards.queries import award_of_draw
from tests.factories.prizes import PrizeWorld
from tests.support.statements import statements


def test_money_moves_from_the_budget_and_a_piece_from_the_stock(world: PrizeWorld) -> None:
    won = world.grant(world.person(), amount_fen=250)
    assert won.state is AwardState.COLLECTIBLE
    assert won == world.now_award(won) == world.read(award_of_draw, draw_id=won.draw_id)
    assert world.books() == {"budget": 99_750, "committed": 250, "paid": 0, "stock": 99, "awarded": 1}


def test_a_prize_without_a_stock_counts_no_pieces(world: PrizeWorld) -> None:
    world.grant(world.person(), stock=None, awarded=None)
    assert world.books()["stock"] == 100


def test_points_are_there_at_once(world: PrizeWorld) -> None:
    person = world.person()
    expires = world.clock.now() + timedelta(days=365)
    won = world.grant(person, kind=AwardKind.POINTS, points=30, points_expire_at=expires, campaign_id=77)
    assert (won.state, won.resolved_at, won.points) == (AwardState.FULFILLED, world.clock.now(), 30)
    assert world.read(points.balance, person_ids=[person], now=world.clock.now()) == 30
    (entry,) = world.read(points.entries, person_ids=[person])
    assert (entry.points, entry.manner, entry.bearer) == (30, "award", "campaign:77")
    assert (entry.ref_id, entry.expires_at, entry.kind) == (won.id, expires, PointsKind.SPENDABLE)
    assert world.books() == {"budget": 100_000, "committed": 0, "paid": 0, "stock": 99, "awarded": 1}


def test_nothing_is_an_award_too(world: PrizeWorld) -> None:
    won = world.grant(world.person(), kind=AwardKind.NOTHING, stock=None, awarded=None)
    assert (won.state, won.resolved_at) == (AwardState.FULFILLED, world.clock.now())
    assert world.books()["budget"] == 100_000


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({}, 3),
        ({"kind": AwardKind.NOTHING, "stock": None, "awarded": None}, 1),
        ({"kind": AwardKind.POINTS, "points": 5}, 6),
    ],
)
def test_a_grant_costs_few_statements_and_the_hot_rows_come_last(
    world: PrizeWorld, changes: dict[str, Any], most: int
) -> None:
    person = world.person()
    world.grant(person, kind=AwardKind.POINTS, points=1)  # opens the accounts
    wanted = world.new_award(person, **changes)
    with world.db.unit_of_work() as session:
        session.connection()
        with statements(world.db.engine) as seen:
            operations.grant(session, award=wanted, now=world.clock.now())
    assert len(seen) <= most, seen
    if wanted.stock is not None:
        assert seen[-1].startswith("UPDATE ledger_accounts SET balance=(ledger_accounts.balance +")


@pytest.mark.parametrize("changes", [{"amount_fen": 100_001}, {"kind": AwardKind.POINTS, "points": 5}])
def test_what_is_not_there_is_not_granted(world: PrizeWorld, changes: dict[str, Any]) -> None:
    person = world.person()
    for _ in range(100):
        world.grant(person, kind=AwardKind.NOTHING)
    before = world.books()
    with pytest.raises(InsufficientBalance):
        world.grant(person, **changes)
    assert world.books() == before
    assert world.read(points.balance, person_ids=[person], now=world.clock.now()) == 0


def test_a_draw_that_falls_back_keeps_no_trace_of_the_first_try(world: PrizeWorld) -> None:
    person = world.person()
    too_much = world.new_award(person, amount_fen=100_001)
    instead = world.new_award(person, kind=AwardKind.POINTS, points=5, draw_id=too_much.draw_id)

    def draw(session: Session, *, now: Any) -> Any:
        try:
            with session.begin_nested():
                return operations.grant(session, award=too_much, now=now)
        except InsufficientBalance:
            return operations.grant(session, award=instead, now=now)

    assert world.do(draw).kind is AwardKind.POINTS
    assert world.read(lambda session: session.scalar(select(func.count()).select_from(Award))) == 1
    assert world.books()["budget"] == 100_000


def test_one_draw_one_award(world: PrizeWorld) -> None:
    person = world.person()
    won = world.grant(person)
    with pytest.raises(AlreadyAwarded):
        world.grant(person, draw_id=won.draw_id)
    assert world.books()["committed"] == 100


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_fen": 9},
        {"amount_fen": 0},
        {"budget": None},
        {"committed": None},
        {"payer_id": None},
        {"points": 5},
        {"awarded": None},
        {"kind": AwardKind.POINTS},
        {"kind": AwardKind.POINTS, "points": 5, "amount_fen": 10},
        {"kind": AwardKind.NOTHING, "points": 5},
    ],
)
def test_what_could_never_be_fulfilled_is_refused(world: PrizeWorld, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"money|points|stock"):
        world.new_award(1, **changes)
