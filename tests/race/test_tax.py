"""Tax under many connections: the year's limit holds for all awards together, a month is paid once."""

from collections.abc import Callable
from datetime import timedelta
from types import ModuleType

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity.queries import Cluster, cluster
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.ledger.errors import AlreadyPosted
from app.rewards import operations as rewards
from app.rewards import taxing
from app.rewards.models import AwardKind, DeliveryWay
from app.tax import operations, queries
from app.tax.errors import IdentityWanted, NothingOwed
from app.tax.terms import TaxBasis, TaxedKind
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.factories.taxes import taxed
from tests.race.conftest import FEWER
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

_FEN, _OVER = 100, 500
_TRIES = 5


@pytest.fixture
def world(wide_db: Database, clock: ManualClock) -> PrizeWorld:
    return PrizeWorld.build(wide_db, clock)


def collect_all(world: PrizeWorld, person: int, seed: int) -> RaceResult:
    """Let a person tap on Collect for sixteen awards of money."""
    tax = taxed(_FEN, over=_OVER)
    won = [world.grant(person, amount_fen=_FEN, tax=tax).id for _ in range(FEWER)]
    who, now = world.cluster(person), world.clock.now()

    def tap(session: Session, award_id: int) -> None:
        rewards.collect(
            session,
            award_id=award_id,
            person_id=person,
            cluster=who,
            app_id=world.app_id,
            now=now,
            actor=Actor(ActorKind.PERSON, "shopper", person),
        )

    return _all_at_once(world, tap, won, seed)


def fetch_all(world: PrizeWorld, person: int, seed: int) -> RaceResult:
    """Let stores hand sixteen awards of goods over to a person."""
    tax = taxed(_FEN, kind=TaxedKind.GOODS, basis=TaxBasis.GROSS, over=_OVER)
    goods = {"kind": AwardKind.GOODS, "delivery": DeliveryWay.STORE, "tax": tax}
    won = [world.grant(person, **goods).id for _ in range(FEWER)]
    now = world.clock.now()

    def hand_over(session: Session, award_id: int) -> None:
        rewards.hand_over(session, award_id=award_id, now=now)

    return _all_at_once(world, hand_over, won, seed)


def _all_at_once(
    world: PrizeWorld, act: Callable[[Session, int], None], won: list[int], seed: int
) -> RaceResult:
    def run(award_id: int) -> bool:
        try:
            world.db.transact(lambda session: act(session, award_id))
        except IdentityWanted:
            return False
        return True

    return race(world.db, [lambda award_id=award_id: run(award_id) for award_id in won], seed=seed)


def counted_fen(world: PrizeWorld, person: int) -> int:
    return world.read(queries.year_of, person_ids=[person], now=world.clock.now()).base_fen


@pytest.mark.parametrize("get", [collect_all, fetch_all])
def test_awards_collected_at_once_see_each_other(
    world: PrizeWorld, race_seed: int, get: Callable[..., RaceResult]
) -> None:
    person = world.person()
    result = get(world, person, race_seed)
    assert result.errors == []
    assert sum(result.values) == _OVER // _FEN
    assert counted_fen(world, person) == _OVER
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


@pytest.mark.parametrize(("get", "where"), [(collect_all, rewards), (fetch_all, taxing)])
def test_without_the_lock_on_the_person_they_pass_the_limit_together(
    world: PrizeWorld,
    race_seed: int,
    monkeypatch: pytest.MonkeyPatch,
    get: Callable[..., RaceResult],
    where: ModuleType,
) -> None:
    def look(session: Session, *, person_id: int) -> Cluster:
        return cluster(session, person_id=person_id)

    monkeypatch.setattr(where, "lock_cluster", look)
    person = world.person()
    get(world, person, race_seed)
    assert counted_fen(world, person) > _OVER


def _pay_at_once(world: PrizeWorld, *, runners: int, seed: int) -> tuple[RaceResult, str]:
    """Let 10 yuan become due in a month, and many pay it once it is over; return also the month."""
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
                reference=f"R-{month}-{number}",
                now=now,
                actor=OPERATOR,
            )
        )

    return race(world.db, [lambda n=n: pay(n) for n in range(runners)], seed=seed), month


def test_a_month_is_paid_once_however_many_pay_it(world: PrizeWorld, race_seed: int) -> None:
    result, month = _pay_at_once(world, runners=FEWER, seed=race_seed)
    assert result.values == [1_000]
    assert {type(error) for error in result.errors} == {NothingOwed}
    assert world.books()["tax"] == 1_000
    standing = world.read(queries.standing, brand_id=world.brand_id, month=month)
    assert (standing.owed_fen, standing.parts) == (0, 1)


def _unguarded(without_key: Callable[..., Database], clock: ManualClock) -> PrizeWorld:
    return PrizeWorld.build(
        without_key("tax_remittances", "DROP INDEX uq_tax_remittances_brand_id_month_part"), clock
    )


def test_without_the_key_of_a_part_only_the_ledger_stands_in_the_way(
    without_key: Callable[..., Database], clock: ManualClock
) -> None:
    world = _unguarded(without_key, clock)
    for attempt in range(_TRIES):
        result, _ = _pay_at_once(world, runners=FEWER, seed=attempt)
        assert result.values == [1_000]
        if AlreadyPosted in {type(error) for error in result.errors}:
            return
    pytest.fail("the key was not missed in any month")


def test_without_both_keys_a_month_is_paid_more_than_once(
    without_key: Callable[..., Database], clock: ManualClock
) -> None:
    world = _unguarded(without_key, clock)
    with world.db.engine.connect() as connection:
        connection.execute(text("ALTER TABLE ledger_transfers DROP INDEX uq_ledger_transfers_key"))
        connection.commit()
    for attempt in range(_TRIES):
        result, month = _pay_at_once(world, runners=FEWER, seed=attempt)
        if len(result.values) > 1:
            standing = world.read(queries.standing, brand_id=world.brand_id, month=month)
            assert standing.owed_fen == 1_000 * (1 - len(result.values))
            return
    pytest.fail("every month was paid once without the keys")
