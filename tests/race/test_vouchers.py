"""Codes under many connections: each is handed out once, and each award has one."""

from collections import Counter

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity.queries import cluster
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.rewards import operations as rewards
from app.rewards.models import AwardKind
from app.rewards.queries import AwardView
from app.vouchers import operations as vouchers
from app.vouchers.models import NEVER, Voucher, VoucherState
from app.vouchers.operations import StockFile
from app.vouchers.stock_file import NewVoucher
from tests.factories.prizes import PrizeWorld
from tests.race.conftest import FEWER
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

OLGA = Actor(ActorKind.OPERATOR, "olga")


@pytest.fixture
def world(wide_db: Database, clock: ManualClock) -> PrizeWorld:
    return PrizeWorld.build(wide_db, clock)


def _stock(world: PrizeWorld, number: int) -> None:
    world.do(
        vouchers.take_in,
        brand_id=world.brand_id,
        supply_account=1,
        stock_account=world.stock.id,
        reference="PO-1",
        codes=[NewVoucher(f"CODE-{n}", None, NEVER) for n in range(number)],
        actor=OLGA,
    )


def _collect_all(world: PrizeWorld, awards: list[AwardView], seed: int) -> RaceResult:
    everybody = world.read(cluster, person_id=awards[0].person_id)

    def tap(award: AwardView) -> None:
        world.db.transact(
            lambda session: rewards.collect_voucher(
                session,
                award_id=award.id,
                person_id=award.person_id,
                cluster=everybody,
                supplier=StockFile(),
                now=world.clock.now(),
            )
        )

    return race(world.db, [lambda award=award: tap(award) for award in awards], seed=seed)  # type: ignore[misc]


def _awards(world: PrizeWorld, number: int) -> list[AwardView]:
    person = world.person()
    return [world.grant(person, kind=AwardKind.VOUCHER) for _ in range(number)]


def _allotted(world: PrizeWorld) -> list[int]:
    wanted = select(Voucher.award_id).where(Voucher.state == VoucherState.ALLOTTED)
    return world.read(lambda session: list(session.scalars(wanted)))


def test_each_winner_gets_a_code_and_each_code_a_winner(world: PrizeWorld, race_seed: int) -> None:
    """As many codes as winners: whoever passes over codes that others hold still finds the last one."""
    _stock(world, FEWER)
    awards = _awards(world, FEWER)
    result = _collect_all(world, awards, race_seed)
    assert result.errors == []
    assert Counter(_allotted(world)) == Counter(award.id for award in awards)


def test_many_taps_of_one_winner_take_one_code(world: PrizeWorld, race_seed: int) -> None:
    _stock(world, 10)
    (award,) = _awards(world, 1)
    result = _collect_all(world, [award] * FEWER, race_seed)
    assert result.errors == []
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert _allotted(world) == [award.id]


def test_without_the_guards_one_code_is_handed_out_twice(
    world: PrizeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[int] = []

    def pick(session: Session, stock_account: int, *_: object, **__: object) -> int | None:
        """The guard taken out: the first free code is looked at, not locked."""
        first = select(Voucher.id).where(
            Voucher.stock_account == stock_account, Voucher.state == VoucherState.FREE
        )
        found = session.connection().execute(first.order_by(Voucher.id).limit(1)).scalar()
        session.execute(text("SELECT SLEEP(0.05)"))
        return found

    def take(session: Session, voucher_id: int, award_id: int, *_: object) -> bool:
        """Written without asking whether it is still free."""
        taken = update(Voucher).where(Voucher.id == voucher_id)
        session.connection().execute(taken.values(state=VoucherState.ALLOTTED, award_id=award_id))
        handed.append(voucher_id)
        return True

    monkeypatch.setattr(vouchers, "_pick", pick)
    monkeypatch.setattr(vouchers, "_take", take)
    _stock(world, FEWER)
    _collect_all(world, _awards(world, FEWER), seed=0)
    assert max(Counter(handed).values()) > 1


def test_two_imports_of_one_file_at_once_take_each_code_in_once(world: PrizeWorld, race_seed: int) -> None:
    def take_in(number: int) -> int:
        return world.db.transact(
            lambda session: (
                vouchers.take_in(
                    session,
                    brand_id=world.brand_id,
                    supply_account=1,
                    stock_account=world.stock.id,
                    reference=f"PO-{number}",
                    codes=[NewVoucher(f"CODE-{n}", None, NEVER) for n in range(50)],
                    now=world.clock.now(),
                    actor=OLGA,
                ).pieces
            )
        )

    result = race(world.db, [lambda n=n: take_in(n) for n in range(8)], seed=race_seed)  # type: ignore[misc]
    assert result.errors == []
    assert sum(result.values) == 50
    assert world.read(lambda session: len(session.scalars(select(Voucher.id)).all())) == 50
