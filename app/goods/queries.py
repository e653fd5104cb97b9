"""Reading deliveries: a winner's own, what waits to be sent, and the addresses for whoever sends it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.goods.models import Delivery, DeliveryState
from app.rewards.errors import NotDelivered
from app.rewards.models import Award, AwardState, DeliveryWay
from app.rewards.queries import AwardView


class DeliveryView(NamedTuple):
    """A delivery as its winner and operators see it: nothing of the receiver."""

    award_id: int
    state: DeliveryState
    region: str | None
    courier: str | None
    tracking_no: str | None
    asked_at: datetime | None
    resolved_at: datetime | None


_VIEW = (
    Delivery.award_id,
    Delivery.state,
    Delivery.region,
    Delivery.courier,
    Delivery.tracking_no,
    Delivery.asked_at,
    Delivery.resolved_at,
)


def delivery_of(session: Session, *, award_id: int) -> DeliveryView | None:
    """Return the delivery of an award; None until its winner has said how to get it."""
    row = session.connection().execute(select(*_VIEW).where(Delivery.award_id == award_id)).first()
    return None if row is None else DeliveryView._make(row)


def require_fetchable(award: AwardView, *, now: datetime) -> None:
    """Raise NotDelivered unless an award can be fetched in a store at this moment."""
    in_store = award.delivery in (DeliveryWay.STORE, DeliveryWay.EITHER)
    if not in_store or award.state is not AwardState.COLLECTIBLE or award.deadline_at <= now:
        raise NotDelivered("this cannot be fetched in a store, or not any more")


def deliveries(
    session: Session, *, campaign_id: int, states: Sequence[DeliveryState], limit: int = 500
) -> list[DeliveryView]:
    """Return a campaign's deliveries in some states, the longest waiting first."""
    wanted = (
        select(*_VIEW)
        .where(Delivery.campaign_id == campaign_id, Delivery.state.in_(states))
        .order_by(Delivery.asked_at, Delivery.award_id)
        .limit(limit)
    )
    return [DeliveryView._make(row) for row in session.connection().execute(wanted)]


class Parcel(NamedTuple):
    """What whoever sends a prize must know; personal data."""

    award_id: int
    prize: str
    receiver: str
    phone: str
    region: str
    address: str


def parcels(session: Session, *, campaign_id: int) -> list[Parcel]:
    """Return a campaign's parcels whose addresses are fixed and that have not left, with personal data."""
    wanted = (
        select(
            Delivery.award_id,
            Award.name_zh,
            Delivery.receiver,
            Delivery.phone,
            Delivery.region,
            Delivery.address,
        )
        .join(Award, Award.id == Delivery.award_id)
        .where(Delivery.campaign_id == campaign_id, Delivery.state == DeliveryState.EXPORTED)
        .order_by(Delivery.asked_at, Delivery.award_id)
    )
    return [Parcel._make(row) for row in session.connection().execute(wanted)]
