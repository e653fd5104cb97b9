"""Goods on their way: an address, a parcel, a store; never two of them, never after the deadline."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.goods import operations as goods
from app.goods import queries
from app.goods.errors import AddressFixed, BadAddress, BadShipment
from app.goods.models import DeliveryState
from app.goods.operations import Receiver
from app.goods.queries import DeliveryView, require_fetchable
from app.kernel.clock import ManualClock
from app.kernel.transitions import TransitionRefused
from app.organisation.errors import UnknownStore
from app.organisation.operations import save_dealer, save_store
from app.rewards import operations as rewards
from app.rewards.errors import AlreadyFulfilled, AwardLapsed, NotDelivered, UnknownAward
from app.rewards.models import AwardKind, AwardState, DeliveryWay
from app.rewards.queries import AwardView
from tests.factories.prizes import OPERATOR, PrizeWorld

HOME = Receiver("李雷", "138 0000 1234", "310115", "世纪大道 1 号 101 室")


@pytest.fixture(params=["mariadb", "sqlite"])
def world(request: pytest.FixtureRequest, clock: ManualClock) -> PrizeWorld:
    name = "clean_db" if request.param == "mariadb" else "sqlite_db"
    database: Database = request.getfixturevalue(name)
    made = PrizeWorld.build(database, clock)

    def stores(session: Session, now: Any) -> None:
        save_dealer(session, code="D-1", name="East", regions=["310000"], now=now)
        save_store(session, code="S-1", name="Pudong", region="310115", dealer_code="D-1", now=now)

    made.do(stores)
    return made


def _win(world: PrizeWorld, way: DeliveryWay = DeliveryWay.EITHER) -> AwardView:
    return world.grant(world.person(), kind=AwardKind.GOODS, delivery=way)


def _give(world: PrizeWorld, won: AwardView, to: Receiver = HOME, **changes: Any) -> None:
    values: dict[str, Any] = {
        "award_id": won.id,
        "person_id": won.person_id,
        "cluster": world.cluster(won.person_id),
        "to": to,
        **changes,
    }
    world.do(goods.give_address, **values)


def _send(world: PrizeWorld, won: AwardView, **changes: Any) -> None:
    parcel = {"courier": "SF", "tracking_no": "SF1234567890", **changes}
    world.do(goods.send, award_id=won.id, actor=OPERATOR, **parcel)


def _hand_over(world: PrizeWorld, won: AwardView, store_code: str = "S-1") -> None:
    world.do(goods.hand_over, award_id=won.id, store_code=store_code, actor=OPERATOR)


def _delivery(world: PrizeWorld, won: AwardView) -> DeliveryView | None:
    return world.read(queries.delivery_of, award_id=won.id)


def test_goods_are_sent_to_the_address_that_their_winner_gives(world: PrizeWorld) -> None:
    """PAY-06: address, courier and tracking number; a piece of the stock, sealed personal data."""
    won = _win(world)
    assert (won.state, won.delivery) == (AwardState.COLLECTIBLE, DeliveryWay.EITHER)
    assert _delivery(world, won) is None
    _give(world, won, Receiver("韩梅梅", "13900001234", "310000", "elsewhere"))
    _give(world, won)
    assert world.now_award(won).state is AwardState.LOCKED
    assert world.do(_export) == [won.id]
    (parcel,) = world.read(queries.parcels, campaign_id=won.campaign_id)
    assert parcel == (won.id, "一元红包", "李雷", "+8613800001234", "310115", "世纪大道 1 号 101 室")
    with pytest.raises(AddressFixed):
        _give(world, won)
    _send(world, won)
    assert world.now_award(won).state is AwardState.FULFILLED
    delivery = _delivery(world, won)
    assert delivery is not None
    assert (delivery.state, delivery.courier, delivery.tracking_no) == (
        DeliveryState.SENT,
        "SF",
        "SF1234567890",
    )
    assert world.read(queries.parcels, campaign_id=won.campaign_id) == []
    assert world.books()["awarded"] == 1
    with pytest.raises(AlreadyFulfilled):
        _give(world, won)
    with pytest.raises(TransitionRefused):
        _send(world, won)


def _export(session: Session, now: Any) -> list[int]:
    return goods.mark_exported(session, campaign_id=1)


def test_the_receiver_is_sealed_and_forgotten_when_the_parcel_is_long_gone(world: PrizeWorld) -> None:
    won = _win(world)
    _give(world, won)

    def raw() -> list[Any]:
        with world.db.engine.connect() as connection:
            return list(connection.execute(text("SELECT receiver, phone, address FROM deliveries")).one())

    assert "李雷" not in repr(HOME)
    assert not any(
        word.encode() in bytes(value) for value in raw() for word in ("李雷", "1380000", "世纪大道")
    )
    _send(world, won)
    world.clock.advance(goods.KEEP_ADDRESSES)
    assert world.do(goods.forget_addresses) == 0
    world.clock.advance(timedelta(seconds=1))
    assert world.do(goods.forget_addresses) == 1
    assert raw() == [None, None, None]
    assert world.do(goods.forget_addresses) == 0


def test_goods_are_handed_over_in_a_store_once(world: PrizeWorld) -> None:
    won = _win(world)
    require_fetchable(won, now=world.clock.now())
    with pytest.raises(UnknownStore):
        _hand_over(world, won, "S-9")
    _hand_over(world, won)
    assert world.now_award(won).state is AwardState.FULFILLED
    with pytest.raises(AlreadyFulfilled):
        _hand_over(world, won)
    with pytest.raises(AlreadyFulfilled):
        _give(world, won)
    with pytest.raises(NotDelivered):
        require_fetchable(world.now_award(won), now=world.clock.now())
    delivery = _delivery(world, won)
    assert delivery is not None
    assert delivery.state is DeliveryState.HANDED_OVER
    assert world.books()["awarded"] == 1


def test_each_way_only_where_it_is_offered(world: PrizeWorld) -> None:
    by_courier, in_store = _win(world, DeliveryWay.COURIER), _win(world, DeliveryWay.STORE)
    money = world.grant(world.person())
    for won in (in_store, money):
        with pytest.raises(NotDelivered):
            _give(world, won)
    for won in (by_courier, money):
        with pytest.raises(NotDelivered):
            _hand_over(world, won)
        with pytest.raises(NotDelivered):
            require_fetchable(won, now=world.clock.now())
    with pytest.raises(NotDelivered):
        _send(world, money)
    with pytest.raises(TransitionRefused):
        _send(world, by_courier)
    other = world.person()
    with pytest.raises(UnknownAward):
        _give(world, by_courier, person_id=other, cluster=world.cluster(other))


def test_what_is_being_sent_is_not_handed_over_until_it_is_reopened(world: PrizeWorld) -> None:
    won = _win(world)
    _give(world, won)
    with pytest.raises(NotDelivered):
        _hand_over(world, won)
    world.clock.advance(timedelta(days=8))
    assert world.do(rewards.lapse_due) == 0
    world.do(goods.reopen, award_id=won.id, reason="came back", actor=OPERATOR)
    again = world.now_award(won)
    assert again.state is AwardState.COLLECTIBLE
    assert again.deadline_at == world.clock.now() + timedelta(days=7)
    _give(world, won)
    world.do(goods.reopen, award_id=won.id, reason="came back again", actor=OPERATOR)
    _hand_over(world, won)
    assert world.now_award(won).state is AwardState.FULFILLED


def test_goods_that_nobody_claims_lapse_and_return_to_the_stock(world: PrizeWorld) -> None:
    won = _win(world)
    world.clock.advance(timedelta(days=7))
    for act in (_give, _hand_over):
        with pytest.raises(AwardLapsed):
            act(world, won)
    assert world.do(rewards.lapse_due) == 1
    assert world.books()["awarded"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"receiver": " "},
        {"receiver": "x" * 41},
        {"receiver": "a\nb"},
        {"phone": "12"},
        {"region": "999999"},
        {"region": "shanghai"},
        {"address": ""},
        {"address": "x" * 201},
    ],
)
def test_an_address_to_which_nothing_could_be_sent_is_refused(
    world: PrizeWorld, changes: dict[str, str]
) -> None:
    won = _win(world)
    values = {name: getattr(HOME, name) for name in ("receiver", "phone", "region", "address")} | changes
    with pytest.raises(BadAddress):
        _give(world, won, Receiver(**values))
    assert world.now_award(won).state is AwardState.COLLECTIBLE


@pytest.mark.parametrize("changes", [{"courier": " "}, {"tracking_no": "12"}, {"tracking_no": "SF 12-34"}])
def test_a_parcel_has_a_courier_and_a_number(world: PrizeWorld, changes: dict[str, str]) -> None:
    won = _win(world)
    _give(world, won)
    with pytest.raises(BadShipment):
        _send(world, won, **changes)


def test_the_tables_hold_their_checks(world: PrizeWorld) -> None:
    won = _win(world)
    _give(world, won)
    for change in ("state = 'sent'", "state = 'handed_over'", "state = 'flown'"):
        with pytest.raises(DBAPIError), world.db.engine.begin() as connection:
            connection.execute(text(f"UPDATE deliveries SET {change}"))
    with pytest.raises(DBAPIError), world.db.engine.begin() as connection:
        connection.execute(text("UPDATE awards SET delivery = 'drone'"))
