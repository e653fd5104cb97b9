"""Goods under 64 connections: fetched once, or sent, or lapsed; never two of these."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.goods import operations as goods
from app.goods.operations import Receiver
from app.kernel.clock import ManualClock
from app.organisation.operations import save_dealer, save_store
from app.rewards import operations as rewards
from app.rewards.errors import AlreadyFulfilled, AwardLapsed, NotDelivered
from app.rewards.models import Award, AwardKind, AwardState, DeliveryWay
from app.rewards.queries import AwardView
from app.rewards.terms import TERMS, Terms
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

_TAPS = 20


@pytest.fixture
def world(wide_db: Database, clock: ManualClock) -> PrizeWorld:
    made = PrizeWorld.build(wide_db, clock)

    def stores(session: Session, now: object) -> None:
        save_dealer(session, code="D-1", name="East", regions=["310000"], now=clock.now())
        save_store(session, code="S-1", name="A", region="310115", dealer_code="D-1", now=clock.now())

    made.do(stores)
    return made


def _race(world: PrizeWorld, seed: int) -> tuple[AwardView, RaceResult]:
    """One award: store staff hand it over, its winner gives an address, the deadline passes."""
    deadline = world.clock.now() + timedelta(days=7)
    person = world.person()
    won = world.grant(person, kind=AwardKind.GOODS, delivery=DeliveryWay.EITHER, deadline_at=deadline)
    cluster = world.cluster(person)
    just_before = deadline - timedelta(microseconds=1)

    def fetch() -> str:
        world.db.transact(
            lambda session: goods.hand_over(
                session, award_id=won.id, store_code="S-1", now=just_before, actor=OPERATOR
            )
        )
        return "fetched"

    def ask() -> str:
        to = Receiver("李雷", "13800001234", "310115", "世纪大道 1 号")
        world.db.transact(
            lambda session: goods.give_address(
                session, award_id=won.id, person_id=person, cluster=cluster, to=to, now=just_before
            )
        )
        return "asked"

    def lapse() -> str | None:
        done = world.db.transact(lambda session: rewards.lapse_due(session, now=deadline, limit=1))
        return "lapsed" if done else None

    result = race(world.db, [*([fetch] * _TAPS), *([ask] * _TAPS), *([lapse] * _TAPS)], seed=seed)
    expected = (AlreadyFulfilled, AwardLapsed, NotDelivered)
    assert all(isinstance(error, expected) for error in result.errors), result.errors
    return won, result


def test_goods_get_to_their_winner_in_one_way_or_lapse(world: PrizeWorld, race_seed: int) -> None:
    won, result = _race(world, race_seed)
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    ends = [value for value in result.values if value]
    state = world.now_award(won).state
    if state is AwardState.LOCKED:
        assert set(ends) == {"asked"}
    else:
        assert ends == [{AwardState.FULFILLED: "fetched", AwardState.LAPSED: "lapsed"}[state]]
    assert world.books()["awarded"] == (0 if state is AwardState.LAPSED else 1)


def test_without_the_guard_goods_are_handed_over_twice(
    world: PrizeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(session: Session, award_id: int) -> Terms:
        """The guard taken out: a look at the row, and a write of what was decided."""
        row = session.connection().execute(TERMS.where(Award.id == award_id)).one()
        session.execute(text("SELECT SLEEP(0.05)"))
        return Terms._make(row)

    def write(
        session: Session, ids: Sequence[int], old: AwardState, new: AwardState, **values: object
    ) -> None:
        session.connection().execute(update(Award).where(Award.id.in_(ids)).values(state=new, **values))

    monkeypatch.setattr(rewards, "lock", look)
    monkeypatch.setattr(rewards, "_move", write)
    won = world.grant(world.person(), kind=AwardKind.GOODS, delivery=DeliveryWay.STORE)

    def fetch() -> None:
        world.db.transact(lambda session: rewards.hand_over(session, award_id=won.id, now=world.clock.now()))

    result = race(world.db, [fetch] * _TAPS, seed=0)
    assert len(result.values) > 1
