"""Granting points. Spending and expiring them come with the features that need them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.kernel.ids import new_id
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import Transfer, ensure_account, post
from app.points.models import PointsEntry, PointsKind, PointsLot

_INSERT_LOT = insert(PointsLot)
_INSERT_ENTRY = insert(PointsEntry)


def purse(kind: PointsKind) -> str:
    """Return the purpose of a person's ledger account for points of `kind`."""
    return f"points.{kind}"


def grant(
    session: Session,
    *,
    person_id: int,
    brand_id: int,
    points: int,
    kind: PointsKind,
    bearer: str,
    expires_at: datetime | None,
    key: str,
    reason: str,
    ref_id: int,
    now: datetime,
    along: Sequence[Transfer] = (),
) -> int:
    """Give a person `points` (at least 1) in a lot of its own; return the lot's id.

    `bearer` says who bears the cost ("campaign:<id>"), `reason` the manner ("award"), `ref_id` the thing
    that they were granted for (PTS-03). `along` are transfers that must be posted with them, so that the
    hot rows which they touch are still taken last. Raises AlreadyPosted when `key` was used before, and
    InsufficientBalance for an account of `along`; either way the transaction must roll back.
    """
    if points <= 0:
        raise ValueError("at least one point is granted")
    issued = ensure_account(
        session,
        kind=AccountKind.OPEN,
        asset=Asset.POINTS,
        purpose=f"issued.{kind}",
        owner_id=brand_id,
        brand_id=brand_id,
        now=now,
    )
    # One purse for all brands: a lot knows its brand, a member has one balance.
    own = ensure_account(
        session,
        kind=AccountKind.PERSONAL,
        asset=Asset.POINTS,
        purpose=purse(kind),
        owner_id=person_id,
        brand_id=None,
        now=now,
    )
    lot_id = new_id()
    common = {"brand_id": brand_id, "person_id": person_id, "kind": kind, "bearer": bearer}
    lot = {"id": lot_id, "granted": points, "remaining": points, "expires_at": expires_at, "granted_at": now}
    entry = {
        "id": new_id(),
        "lot_id": lot_id,
        "points": points,
        "manner": reason,
        "ref_id": ref_id,
        "transfer_key": key,
        "at": now,
    }
    session.connection().execute(_INSERT_LOT, common | lot)
    session.connection().execute(_INSERT_ENTRY, common | entry)
    movement = Transfer(
        key=key, debit=issued, credit=own, amount=points, reason=f"points.{reason}"[:48], ref_id=ref_id
    )
    post(session, [movement, *along], now=now)
    return lot_id
