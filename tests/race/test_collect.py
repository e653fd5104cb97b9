"""Collect under up to 64 connections: one open bill, one successor, never a bill and a lapse, one end."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from app.ledger.queries import is_posted
from app.outbox.drain import Drainer
from app.outbox.models import Fact
from app.payouts import operations as payouts
from app.payouts.models import Bill, Payout
from app.rewards import operations as rewards
from app.rewards.errors import AwardLapsed
from app.rewards.models import Award, AwardState
from app.rewards.queries import AwardView
from app.rewards.terms import TERMS, Terms
from tests.factories.prizes import PrizeWorld
from tests.race.conftest import FEWER
from tests.support.racing import CONNECTIONS, RaceResult, race
from tests.support.scripted_pay import FAIL

pytestmark = pytest.mark.race(seeds=5)

AWARDS = 4


@pytest.fixture
def world(wide_db: Database, clock: ManualClock) -> PrizeWorld:
    return PrizeWorld.build(wide_db, clock)


def bills(world: PrizeWorld) -> int:
    return world.read(lambda session: session.scalar(select(func.count()).select_from(Bill))) or 0


def tap_64_times(world: PrizeWorld, won: AwardView, seed: int) -> RaceResult:
    cluster = world.cluster(won.person_id)
    now, actor = world.clock.now(), Actor(ActorKind.PERSON, "shopper")

    def tap() -> str:
        return world.db.transact(
            lambda session: (
                rewards.collect(
                    session,
                    award_id=won.id,
                    person_id=won.person_id,
                    cluster=cluster,
                    app_id=world.app_id,
                    now=now,
                    actor=actor,
                ).bill.bill_no
            )
        )

    return race(world.db, [tap] * CONNECTIONS, seed=seed)


def test_64_taps_open_one_bill_and_after_its_failure_one_more(world: PrizeWorld, race_seed: int) -> None:
    won = world.grant(world.person())
    result = tap_64_times(world, won, race_seed)
    assert result.errors == []
    assert len(set(result.values)) == bills(world) == 1
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    world.drain()
    number = result.values[0]
    assert world.pay.calls == [("open", number)]
    world.pay.end(number, FAIL, "ACCOUNT_FROZEN")
    world.call_back(number)
    world.drain()
    again = tap_64_times(world, won, race_seed)
    assert again.errors == []
    assert len(set(again.values)) == 1
    assert bills(world) == 2
    assert world.books()["committed"] == 100


def test_many_callers_of_open_bill_itself_make_one_bill(world: PrizeWorld, race_seed: int) -> None:
    result = _open_often(world, race_seed)
    assert result.errors == []
    assert len(set(result.values)) == bills(world) == 1
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def _open_often(world: PrizeWorld, seed: int) -> RaceResult:
    person = world.person()

    def tap() -> str:
        return world.do(
            payouts.open_bill,
            award_id=77,
            brand_id=world.brand_id,
            person_id=person,
            person_ids=(person,),
            app_id=world.app_id,
            payer_id=world.payer_id,
            amount_fen=100,
            remark="扫码奖励",
            actor=Actor(ActorKind.PERSON, "shopper"),
        ).bill_no

    return race(world.db, [tap] * FEWER, seed=seed)


@pytest.fixture
def _many_payouts_per_award(world: PrizeWorld) -> Iterator[None]:
    """The guard taken out: nothing in the database says that an award has one payout."""
    with world.db.engine.connect() as connection:
        connection.execute(text("ALTER TABLE payouts DROP INDEX uq_payouts_award_id"))
        yield
        connection.execute(text("SET foreign_key_checks = 0"))
        connection.execute(text("DELETE FROM payouts"))
        connection.execute(text("ALTER TABLE payouts ADD CONSTRAINT uq_payouts_award_id UNIQUE (award_id)"))
        connection.execute(text("SET foreign_key_checks = 1"))
        connection.commit()


@pytest.mark.usefixtures("_many_payouts_per_award")
def test_without_the_guard_they_make_more_than_one(
    world: PrizeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The number follows from the award, and would hold a second bill back by its own unique key.
    monkeypatch.setattr(payouts, "bill_number", lambda *_: f"SB{new_id()}")
    _open_often(world, seed=0)
    assert bills(world) > 1


def _collect_against_lapse(world: PrizeWorld, seed: int) -> tuple[list[AwardView], RaceResult]:
    """Half of the runners collect just before the deadline, half are the clock just after it."""
    deadline = world.clock.now() + timedelta(days=7)
    awards = [world.grant(world.person(), deadline_at=deadline) for _ in range(AWARDS)]
    clusters = {won.id: world.cluster(won.person_id) for won in awards}

    def tap(won: AwardView) -> None:
        world.db.transact(
            lambda session: rewards.collect(
                session,
                award_id=won.id,
                person_id=won.person_id,
                cluster=clusters[won.id],
                app_id=world.app_id,
                now=deadline - timedelta(microseconds=1),
                actor=Actor(ActorKind.PERSON, "shopper"),
            )
        )

    def lapse() -> None:
        world.db.transact(lambda session: rewards.lapse_due(session, now=deadline, limit=2))

    runners = [*(lambda won=won: tap(won) for won in awards * 2), *([lapse] * 2 * AWARDS)]
    result = race(world.db, runners, seed=seed)
    assert all(isinstance(error, AwardLapsed) for error in result.errors), result.errors
    return awards, result


def _both(world: PrizeWorld, awards: Sequence[AwardView]) -> int:
    """How many awards have a bill that may pay and gave their money back all the same."""

    def look(session: Session) -> int:
        billed = set(session.scalars(select(Payout.award_id)))
        return sum(won.id in billed and is_posted(session, f"award:{won.id}:resolve") for won in awards)

    return world.read(look)


def test_an_award_is_collected_or_lapses_never_both(world: PrizeWorld, race_seed: int) -> None:
    awards, result = _collect_against_lapse(world, race_seed)
    assert _both(world, awards) == 0
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    states = [world.now_award(won).state for won in awards]
    locked = states.count(AwardState.LOCKED)
    assert locked + states.count(AwardState.LAPSED) == len(awards)
    assert bills(world) == locked
    assert world.books()["committed"] == 100 * locked


def test_without_the_guard_an_award_is_collected_and_lapses(
    world: PrizeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(session: Session, award_id: int) -> Terms:
        """The guard taken out: what most systems do, a look at the row and a write of what was decided."""
        row = session.connection().execute(TERMS.where(Award.id == award_id)).one()
        session.execute(text("SELECT SLEEP(0.05)"))
        return Terms._make(row)

    def write(
        session: Session, ids: Sequence[int], old: AwardState, new: AwardState, **values: object
    ) -> None:
        session.connection().execute(update(Award).where(Award.id.in_(ids)).values(state=new, **values))

    monkeypatch.setattr(rewards, "lock", look)
    monkeypatch.setattr(rewards, "_move", write)
    awards, _result = _collect_against_lapse(world, seed=0)
    assert _both(world, awards) > 0


def test_many_callbacks_about_one_bill_end_it_once(world: PrizeWorld, race_seed: int) -> None:
    won = world.grant(world.person())
    number = world.collect(won).bill.bill_no
    world.drain()
    world.pay.confirm(number)
    for repeat in range(FEWER):
        world.call_back(number, repeat)
    later = ManualClock(world.clock.now() + timedelta(seconds=1))

    def drain() -> None:
        drainer = Drainer(world.db, world.registry, later, worker="racer")
        drainer.until_idle(seconds=20)
        drainer.close()

    # Each drainer takes one callback at a time, so that they meet at the bill and not at the inbox.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.outbox.drain._LOCAL_BATCH", 1)
        result = race(world.db, [drain] * FEWER, seed=race_seed)
    assert result.errors == []
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    facts = world.read(lambda session: session.scalars(select(Fact.name)).all())
    assert facts == ["payout.settled"]
    world.drain()
    assert world.books()["paid"] == 100
