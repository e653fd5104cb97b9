"""What a member sees of their points. Everything takes the person ids of a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.ledger.models import Account, Asset
from app.ledger.operations import AccountRef
from app.points.models import PointsKind, PointsLot
from app.points.operations import issuing, purse


def issuing_account(
    session: Session, *, brand_id: int, kind: PointsKind = PointsKind.SPENDABLE
) -> AccountRef | None:
    """Return the account from which a brand's points of `kind` come; None before it is opened."""
    wanted = select(Account.id, Account.kind).where(
        Account.asset == Asset.POINTS, Account.purpose == issuing(kind), Account.owner_id == brand_id
    )
    row = session.connection().execute(wanted).first()
    return None if row is None else AccountRef(row.id, row.kind, Asset.POINTS)


def balance(
    session: Session,
    *,
    person_ids: Sequence[int],
    now: datetime,
    kind: PointsKind = PointsKind.SPENDABLE,
) -> int:
    """Return the points of `kind` that a cluster has at `now`.

    A lot past its end no longer counts, whether or not its expiry has been booked: what the ledger holds,
    less what has expired in it.
    """
    connection = session.connection()
    held = select(func.coalesce(func.sum(Account.balance), 0)).where(
        Account.asset == Asset.POINTS, Account.purpose == purse(kind), Account.owner_id.in_(person_ids)
    )
    ended = select(func.coalesce(func.sum(PointsLot.remaining), 0)).where(
        PointsLot.person_id.in_(person_ids), PointsLot.kind == kind, PointsLot.expires_at <= now
    )
    return int(connection.execute(held).scalar_one()) - int(connection.execute(ended).scalar_one())


@dataclass(frozen=True, slots=True)
class EntryView:
    """One line of a member's points: `points` came in this `manner` at this time."""

    id: int
    kind: PointsKind
    points: int
    manner: str
    bearer: str
    ref_id: int
    expires_at: datetime | None
    at: datetime


def entries(
    session: Session,
    *,
    person_ids: Sequence[int],
    before_id: int | None = None,
    limit: int = 20,
    kind: PointsKind | None = None,
) -> list[EntryView]:
    """Return a cluster's entries, the newest first; `before_id` is the last id of the page before."""
    wanted = (
        select(
            PointsLot.id,
            PointsLot.kind,
            PointsLot.granted,
            PointsLot.manner,
            PointsLot.bearer,
            PointsLot.ref_id,
            PointsLot.expires_at,
            PointsLot.granted_at,
        )
        .where(PointsLot.person_id.in_(person_ids))
        .order_by(PointsLot.id.desc())
        .limit(limit)
    )
    if before_id is not None:
        wanted = wanted.where(PointsLot.id < before_id)
    if kind is not None:
        wanted = wanted.where(PointsLot.kind == kind)
    return [EntryView(*row) for row in session.connection().execute(wanted)]
