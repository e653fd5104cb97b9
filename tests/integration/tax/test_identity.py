"""Who must say who they are before a taxed award is collected: the year's total of all that one is."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.identity.errors import VirtualPerson
from app.identity.operations import merge
from app.rewards import operations as rewards
from app.rewards.models import AwardKind, AwardState, DeliveryWay
from app.rewards.queries import AwardView
from app.tax import notice, operations, queries
from app.tax.documents import Document, Identity
from app.tax.errors import BadIdentity, IdentityKept, IdentityWanted, NoticeOutdated
from app.tax.models import AwardTax, TaxIdentity
from app.tax.terms import TaxBasis, TaxedKind
from tests.factories.identities import card
from tests.factories.people import EVERYTHING
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.factories.taxes import taxed
from tests.support.scripted_pay import FAIL

OVER = 2_000
WHO = Identity("张三", Document.RESIDENT_ID, card(date(1990, 1, 1)))


def award(
    world: PrizeWorld,
    person: int,
    fen: int,
    *,
    over: int = OVER,
    taxed_as: TaxedKind = TaxedKind.MONEY,
    **more: Any,
) -> AwardView:
    tax = taxed(fen, kind=taxed_as, basis=TaxBasis.GROSS, over=over)
    money = {"amount_fen": fen} if taxed_as is TaxedKind.MONEY else {}
    return world.grant(person, tax=tax, **money, **more)


def give(world: PrizeWorld, person: int, identity: Identity = WHO) -> None:
    world.do(operations.give_identity, person_id=person, identity=identity, notice_version=notice.VERSION)


def year(world: PrizeWorld, person: int) -> queries.Year:
    ids = world.cluster(person).person_ids
    return world.read(queries.year_of, person_ids=ids, now=world.clock.now())


def test_up_to_the_limit_nobody_is_asked(world: PrizeWorld) -> None:
    person = world.person()
    for fen in (1_500, 500):
        assert world.collect(award(world, person, fen)).award.state is AwardState.LOCKED
    assert year(world, person) == queries.Year(awards=2, base_fen=2_000, tax_fen=400)


def test_beyond_it_an_award_waits_for_a_name_and_keeps_its_deadline(world: PrizeWorld) -> None:
    person = world.person()
    world.collect(award(world, person, 2_000))
    won = award(world, person, 100)
    with pytest.raises(IdentityWanted) as asked:
        world.collect(won)
    assert asked.value.extra == {"over_fen": OVER}
    assert world.now_award(won) == won
    assert year(world, person).base_fen == 2_000
    give(world, person)
    assert world.collect(won).award.state is AwardState.LOCKED
    assert year(world, person).base_fen == 2_100


def test_awards_that_take_no_tax_never_ask(world: PrizeWorld) -> None:
    person = world.person()
    world.collect(award(world, person, 2_000))
    assert world.collect(world.grant(person, amount_fen=50_000)).award.state is AwardState.LOCKED
    assert year(world, person).base_fen == 2_000


def test_a_limit_of_nothing_asks_at_the_first_fen(world: PrizeWorld) -> None:
    with pytest.raises(IdentityWanted):
        world.collect(award(world, world.person(), 10 + 5, over=0))


def test_merged_persons_count_together_and_answer_for_each_other(world: PrizeWorld) -> None:
    one, other = world.person(), world.person()
    world.collect(award(world, one, 1_500))
    won = award(world, other, 1_000)
    world.do(merge, person_id=one, other_id=other, reason="the same", actor=OPERATOR, although=EVERYTHING)
    with pytest.raises(IdentityWanted):
        world.collect(won)
    give(world, one)
    world.collect(won)
    assert year(world, other).awards == 2


def test_each_calendar_year_of_beijing_begins_anew(world: PrizeWorld) -> None:
    person = world.person()
    world.clock.set(datetime(2026, 12, 31, 15, 59, tzinfo=UTC))
    world.collect(award(world, person, 2_000))
    won = award(world, person, 2_000)
    with pytest.raises(IdentityWanted):
        world.collect(won)
    world.clock.advance(timedelta(minutes=1))
    world.collect(won)
    assert year(world, person) == queries.Year(awards=1, base_fen=2_000, tax_fen=400)


def test_a_bill_that_fails_does_not_count_twice(world: PrizeWorld) -> None:
    person = world.person()
    won = award(world, person, 2_000)
    number = world.collect(won).bill.bill_no
    world.drain()
    world.pay.end(number, FAIL, "ACCOUNT_FROZEN")
    world.call_back(number)
    world.drain()
    world.collect(won)
    assert year(world, person).base_fen == 2_000


def test_what_lapses_leaves_the_year(world: PrizeWorld) -> None:
    person = world.person()
    won = award(world, person, 2_000)
    number = world.collect(won).bill.bill_no
    world.drain()
    world.pay.end(number, FAIL, "ACCOUNT_FROZEN")
    world.call_back(number)
    world.drain()
    world.clock.advance(timedelta(days=8))
    assert world.do(rewards.lapse_due) == 1
    assert year(world, person) == queries.Year(0, 0, 0)


@pytest.mark.parametrize("way", ["claim", "hand over"])
def test_goods_ask_before_they_are_sent_or_handed_over(world: PrizeWorld, way: str) -> None:
    person = world.person()
    won = award(
        world,
        person,
        2_500,
        taxed_as=TaxedKind.GOODS,
        kind=AwardKind.GOODS,
        delivery=DeliveryWay.EITHER,
    )

    def act() -> None:
        if way == "claim":
            claim = {"award_id": won.id, "person_id": person, "cluster": world.cluster(person)}
            world.do(rewards.claim_goods, **claim)
        else:
            world.do(rewards.hand_over, award_id=won.id)

    with pytest.raises(IdentityWanted):
        act()
    give(world, person)
    act()
    assert year(world, person).base_fen == 2_500


def test_it_is_corrected_by_giving_it_again_and_the_last_of_a_cluster_counts(world: PrizeWorld) -> None:
    one, other = world.person(), world.person()
    give(world, one)
    world.clock.advance(timedelta(seconds=1))
    give(world, other, Identity("李四", Document.PASSPORT, "G12345678"))
    world.clock.advance(timedelta(seconds=1))
    corrected = Identity("张珊", Document.RESIDENT_ID, card(date(1991, 1, 1)))
    give(world, one, corrected)
    found = world.read(queries.identity_of, person_ids=[one, other])
    assert found is not None
    assert (found.identity, found.given_at) == (corrected, world.clock.now())
    assert world.read(queries.identity_of, person_ids=[other + 1]) is None


def test_what_is_given_is_sealed(world: PrizeWorld) -> None:
    give(world, world.person())

    def raw(session: Session) -> bytes:
        row = session.execute(text("SELECT real_name, number FROM tax_identities")).one()
        return bytes(row.real_name) + bytes(row.number)

    stored = world.read(raw)
    assert WHO.name.encode() not in stored
    assert WHO.number.encode() not in stored


def test_who_is_refused(world: PrizeWorld) -> None:
    person = world.person()
    with pytest.raises(NoticeOutdated):
        world.do(operations.give_identity, person_id=person, identity=WHO, notice_version="2020-1")
    with pytest.raises(BadIdentity):
        give(world, person, Identity("张三", Document.RESIDENT_ID, "1"))
    with pytest.raises(VirtualPerson):
        give(world, world.person(virtual=True))


def test_it_is_deleted_until_a_tax_return_needs_it(world: PrizeWorld) -> None:
    person = world.person()
    give(world, person)

    def withdraw() -> None:
        world.db.transact(lambda session: operations.withdraw_identity(session, person_id=person))

    withdraw()
    assert world.read(lambda session: session.scalar(select(func.count()).select_from(TaxIdentity))) == 0
    give(world, person)
    won = award(world, person, 5_000)
    withdraw()
    give(world, person)
    world.collect(won)
    with pytest.raises(IdentityKept):
        withdraw()
    counted = world.read(lambda session: session.scalars(select(AwardTax.counted_at)).one())
    assert counted == world.clock.now()


def known(world: PrizeWorld) -> int:
    return world.read(lambda session: session.scalar(select(func.count()).select_from(TaxIdentity))) or 0


def test_an_unused_name_is_forgotten_and_a_used_one_after_ten_years(world: PrizeWorld) -> None:
    unused, used = world.person(), world.person()
    for person in (unused, used):
        give(world, person)
    world.collect(award(world, used, 5_000))
    give(world, used)
    world.clock.advance(operations.KEEP_UNUSED - timedelta(microseconds=1))
    assert world.do(operations.forget_identities) == 0
    world.clock.advance(timedelta(microseconds=1))
    assert world.do(operations.forget_identities) == 1
    assert known(world) == 1
    assert world.read(queries.identity_of, person_ids=[unused]) is None
    world.clock.advance(operations.KEEP_FILED)
    assert world.do(operations.forget_identities) == 1
    assert known(world) == 0


def test_the_name_that_a_collection_relies_on_is_not_forgotten_beside_it(world: PrizeWorld) -> None:
    one, other = world.person(), world.person()
    give(world, one)
    world.do(merge, person_id=one, other_id=other, reason="the same", actor=OPERATOR, although=EVERYTHING)
    world.clock.advance(operations.KEEP_UNUSED)
    world.collect(award(world, other, 5_000))
    assert world.do(operations.forget_identities) == 0
    assert known(world) == 1
