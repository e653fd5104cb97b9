"""Saying where goods are to be sent, sending them, handing them over.

Whether an award may be delivered at all is the prize service's to say, under the lock of the award's row;
each operation here takes that lock first and then writes the delivery, so that an address, a courier, a
store and the deadline never win together.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.goods.errors import AddressFixed, BadAddress, BadShipment, UnknownDelivery
from app.goods.models import DELIVERY_TRANSITIONS, Delivery, DeliveryState
from app.identity.queries import Cluster
from app.identity.values import normalise_phone
from app.kernel.actor import Actor
from app.organisation.queries import store_by_code
from app.organisation.regions import is_adcode
from app.rewards import operations as rewards

_LONGEST = {"receiver": 40, "address": 200}
KEEP_ADDRESSES = timedelta(days=90)
"""How long a receiver's data is kept after the parcel left: as long as it may come back or be asked about."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who gets a parcel, where: `region` is an adcode, `address` the rest of it; personal data."""

    receiver: str = field(repr=False)
    phone: str = field(repr=False)
    region: str
    address: str = field(repr=False)

    def checked(self) -> "Receiver":
        """Return it trimmed, the phone in its normal form; raise BadAddress."""
        receiver, address = self.receiver.strip(), self.address.strip()
        for name, text in (("receiver", receiver), ("address", address)):
            if not 1 <= len(text) <= _LONGEST[name] or not text.isprintable():
                raise BadAddress(f"{name} has 1 to {_LONGEST[name]} printable characters")
        phone = normalise_phone(self.phone)
        if phone is None:
            raise BadAddress("the phone number is not one that a courier could call")
        if not is_adcode(self.region):
            raise BadAddress("region is a six-digit code of a province, city or district")
        return Receiver(receiver, phone, self.region, address)


def give_address(
    session: Session, *, award_id: int, person_id: int, cluster: Cluster, to: Receiver, now: datetime
) -> None:
    """Say where goods are to be sent; until they are packed it may be said anew (PAY-06).

    Raises BadAddress, AddressFixed, and what rewards.claim_goods raises.
    """
    receiver = to.checked()
    terms = rewards.claim_goods(session, award_id=award_id, person_id=person_id, cluster=cluster, now=now)
    delivery = session.get(Delivery, award_id, populate_existing=True, with_for_update=True)
    if delivery is None:
        delivery = Delivery(award_id=award_id, campaign_id=terms.campaign_id)
        session.add(delivery)
    elif delivery.state is DeliveryState.REOPENED:
        DELIVERY_TRANSITIONS.require(delivery.state, DeliveryState.ASKED)
    elif delivery.state is not DeliveryState.ASKED:
        raise AddressFixed("it is being packed; the organiser can help")
    delivery.state, delivery.asked_at, delivery.reason = DeliveryState.ASKED, now, None
    delivery.receiver, delivery.phone = receiver.receiver, receiver.phone
    delivery.region, delivery.address = receiver.region, receiver.address
    session.flush()


def mark_exported(session: Session, *, campaign_id: int) -> list[int]:
    """Fix the addresses of all goods of a campaign that wait; return their awards, the longest waiting first.

    The awards' rows are not needed: whoever changes an address waits for this row and then finds it fixed.
    """
    waiting = (
        select(Delivery.award_id)
        .where(Delivery.campaign_id == campaign_id, Delivery.state == DeliveryState.ASKED)
        .order_by(Delivery.asked_at, Delivery.award_id)
        .with_for_update()
    )
    ids = list(session.connection().execute(waiting).scalars())
    fixed = update(Delivery).where(Delivery.award_id.in_(ids), Delivery.state == DeliveryState.ASKED)
    session.connection().execute(fixed.values(state=DeliveryState.EXPORTED))
    return ids


def send(
    session: Session, *, award_id: int, courier: str, tracking_no: str, now: datetime, actor: Actor
) -> None:
    """Record that goods were given to a courier: the award is fulfilled, once.

    Raises BadShipment, UnknownAward, NotDelivered, TransitionRefused, UnknownDelivery.
    """
    courier, number = courier.strip(), tracking_no.strip()
    if not (1 <= len(courier) <= 32 and 4 <= len(number) <= 64 and number.isascii() and number.isalnum()):
        raise BadShipment("name the courier, and a tracking number of 4 to 64 letters and digits")
    rewards.end_delivery(session, award_id=award_id, sent=True, now=now)
    delivery = _delivery(session, award_id)
    _resolve(delivery, DeliveryState.SENT, now, actor)
    delivery.courier, delivery.tracking_no = courier, number
    session.flush()


def reopen(session: Session, *, award_id: int, reason: str, now: datetime, actor: Actor) -> None:
    """Give goods that cannot be sent back to their winner, who says anew how to get them.

    The address is forgotten. Raises UnknownAward, NotDelivered, TransitionRefused, UnknownDelivery.
    """
    rewards.end_delivery(session, award_id=award_id, sent=False, now=now)
    delivery = _delivery(session, award_id)
    _resolve(delivery, DeliveryState.REOPENED, now, actor)
    delivery.reason = reason.strip()[:200]
    delivery.receiver = delivery.phone = delivery.address = None
    session.flush()


def hand_over(session: Session, *, award_id: int, store_code: str, now: datetime, actor: Actor) -> None:
    """Record that a winner has fetched goods in a store, once. The caller has verified the code shown.

    Raises UnknownStore, and what rewards.hand_over raises.
    """
    store = store_by_code(session, code=store_code)
    terms = rewards.hand_over(session, award_id=award_id, now=now)
    delivery = session.get(Delivery, award_id, populate_existing=True)
    if delivery is None:
        delivery = Delivery(award_id=award_id, campaign_id=terms.campaign_id)
        session.add(delivery)
    else:
        DELIVERY_TRANSITIONS.require(delivery.state, DeliveryState.HANDED_OVER)
    delivery.state, delivery.store_id = DeliveryState.HANDED_OVER, store.id
    delivery.resolved_at, delivery.resolved_by = now, actor.label[:64]
    session.flush()


def forget_addresses(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Erase the receivers of parcels that left long enough ago (contract 14.2); return how many."""
    old = (
        select(Delivery.award_id)
        .where(
            Delivery.state == DeliveryState.SENT,
            Delivery.resolved_at < now - KEEP_ADDRESSES,
            Delivery.receiver.is_not(None),
        )
        .limit(limit)
    )
    ids = list(session.connection().execute(old).scalars())
    erased = update(Delivery).where(Delivery.award_id.in_(ids))
    session.connection().execute(erased.values(receiver=None, phone=None, address=None))
    return len(ids)


def _delivery(session: Session, award_id: int) -> Delivery:
    found = session.get(Delivery, award_id, populate_existing=True, with_for_update=True)
    if found is None:
        raise UnknownDelivery("its winner has not said where to send it")
    return found


def _resolve(delivery: Delivery, state: DeliveryState, now: datetime, actor: Actor) -> None:
    DELIVERY_TRANSITIONS.require(delivery.state, state)
    delivery.state, delivery.resolved_at, delivery.resolved_by = state, now, actor.label[:64]
