"""Tax under 64 connections: the year's limit holds for all awards together, a month is paid once."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity.queries import Cluster, cluster
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.rewards import operations as rewards
from app.rewards.models import AwardKind, DeliveryWay
from app.tax import operations, queries
from app.tax.errors import IdentityWanted, NothingOwed
from app.tax.terms import TaxedKind
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.factories.taxes import taxed
from tests.support.racing import CONNECTIONS, RaceResult, race

pytestmark = pytest.mark.race

_FEN, _OVER = 100, 500


@pytest.fixture
def world(wide_db: Database, clock: ManualClock) -> PrizeWorld:
    return PrizeWorld.build(wide_db, clock)


def collect_all(world: PrizeWorld, person: int, seed: int) -> RaceResult:
    tax = taxed(_FEN, over=_OVER)
    deadline = world.clock.now() + timedelta(days=7)
    won = [world.grant(person, amount_fen=_FEN, tax=tax, deadline_at=deadline).id for _ in range(CONNECTIONS)]
    who, now = world.cluster(person), world.clock.now()

    def tap(award_id: int) -> bool:
        def work(session: Session) -> bool:
            rewards.collect(
                session,
                award_id=award_id,
                person_id=person,
                cluster=who,
                app_id=world.app_id,
                now=now,
                actor=Actor(ActorKind.PERSON, "shopper", person),
            )
            return True

        try:
            return world.db.transact(work)
        except IdentityWanted:
            return False

    return race(world.db, [lambda award_id=award_id: tap(award_id) for award_id in won], seed=seed)


def counted_fen(world: PrizeWorld, person: int) -> int:
    return world.read(queries.year_of, person_ids=[person], now=world.clock.now()).base_fen


def test_awards_collected_at_once_see_each_other(world: PrizeWorld, race_seed: int) -> None:
    person = world.person()
    result = collect_all(world, person, race_seed)
    assert result.errors == []
    assert sum(result.values) == _OVER // _FEN
    assert counted_fen(world, person) == _OVER
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def test_without_the_lock_on_the_person_they_pass_the_limit_together(
    world: PrizeWorld, race_seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(session: Session, *, person_id: int) -> Cluster:
        return cluster(session, person_id=person_id)

    monkeypatch.setattr(rewards, "lock_cluster", look)
    person = world.person()
    collect_all(world, person, race_seed)
    assert counted_fen(world, person) > _OVER


def test_a_month_is_paid_once_however_many_pay_it(world: PrizeWorld, race_seed: int) -> None:
    thing = taxed(4_000, kind=TaxedKind.GOODS)
    won = world.grant(world.person(), kind=AwardKind.GOODS, delivery=DeliveryWay.STORE, tax=thing)
    world.do(rewards.hand_over, award_id=won.id)
    month = f"{world.clock.now():%Y-%m}"
    world.clock.advance(timedelta(days=40))
    now = world.clock.now()

    def pay(number: int) -> int:
        return world.db.transact(
            lambda session: operations.remit(
                session,
                brand_id=world.brand_id,
                month=month,
                reference=f"R-{number}",
                now=now,
                actor=OPERATOR,
            )
        )

    result = race(world.db, [lambda n=n: pay(n) for n in range(CONNECTIONS)], seed=race_seed)
    assert result.values == [1_000]
    assert {type(error) for error in result.errors} == {NothingOwed}
    assert world.books()["tax"] == 1_000
    standing = world.read(queries.standing, brand_id=world.brand_id, month=month)
    assert (standing.owed_fen, standing.parts) == (0, 1)
