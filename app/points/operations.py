"""Granting points. Spending and expiring them come with the features that need them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.db.prepared import Prepared
from app.kernel.ids import new_id
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import AccountRef, Transfer, ensure_account, hold_personal, post
from app.points.models import PointsKind, PointsLot

_INSERT_LOT = Prepared(insert(PointsLot))


def purse(kind: PointsKind) -> str:
    """Return the purpose of a person's ledger account for points of `kind`."""
    return f"points.{kind}"


def issuing(kind: PointsKind) -> str:
    """Return the purpose of a brand's ledger account from which points of `kind` come."""
    return f"issued.{kind}"


def issued(session: Session, *, kind: PointsKind, brand_id: int, now: datetime) -> AccountRef:
    """Return the account from which a brand's points of `kind` come, opening it when it is not there."""
    return ensure_account(
        session,
        kind=AccountKind.OPEN,
        asset=Asset.POINTS,
        purpose=issuing(kind),
        owner_id=brand_id,
        brand_id=brand_id,
        now=now,
    )


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
    source: AccountRef | None = None,
) -> int:
    """Give a person `points` (at least 1) in a lot of its own; return the lot's id.

    `bearer` says who bears the cost ("campaign:<id>"), `reason` the manner ("award"), `ref_id` the thing
    that they were granted for (PTS-03). `along` are transfers that must be posted with them, so that the
    hot rows which they touch are still taken last; `source` is the brand's account of `issued`, if the
    caller knows it. Four statements then. Raises AlreadyPosted when `key` was used before, and
    InsufficientBalance for an account of `along`; either way the transaction must roll back.
    """
    if points <= 0:
        raise ValueError("at least one point is granted")
    source = source or issued(session, kind=kind, brand_id=brand_id, now=now)
    # One purse for all brands: a lot knows its brand, a member has one balance.
    own = hold_personal(
        session, asset=Asset.POINTS, purpose=purse(kind), owner_id=person_id, brand_id=None, now=now
    )
    lot_id = new_id()
    _INSERT_LOT.run(
        session,
        {
            "id": lot_id,
            "brand_id": brand_id,
            "person_id": person_id,
            "kind": kind,
            "bearer": bearer,
            "granted": points,
            "remaining": points,
            "expires_at": expires_at,
            "granted_at": now,
            "manner": reason,
            "ref_id": ref_id,
            "transfer_key": key,
        },
    )
    movement = Transfer(
        key=key,
        debit=source,
        credit=own.account,
        amount=points,
        reason=f"points.{reason}"[:48],
        ref_id=ref_id,
    )
    post(session, [movement, *along], now=now, held=[own])
    return lot_id
