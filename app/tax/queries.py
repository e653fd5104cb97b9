"""Reading what tax is owed, and for whom. Totals of a person take the ids of their cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.tax import periods
from app.tax.documents import Identity
from app.tax.models import AwardTax, TaxIdentity, TaxState


class Uncounted(NamedTuple):
    """A taxed award that is in no year yet: its income in fen, and the limit that it was won under."""

    base_fen: int
    identity_over_fen: int


def uncounted(session: Session, *, award_id: int) -> Uncounted | None:
    """Return an award that collecting must count; None when it has been counted."""
    wanted = select(AwardTax.base_fen, AwardTax.identity_over_fen).where(
        AwardTax.award_id == award_id, AwardTax.counted_at.is_(None)
    )
    row = session.connection().execute(wanted).first()
    return None if row is None else Uncounted(*row)


@dataclass(frozen=True, slots=True)
class Year:
    """What somebody has collected in a calendar year that is taxed, in fen."""

    awards: int
    base_fen: int
    tax_fen: int


def year_of(session: Session, *, person_ids: Sequence[int], now: datetime) -> Year:
    """Return a cluster's calendar year so far; merged persons count together."""
    start, end = periods.year(now)
    wanted = select(func.count(), _sum(AwardTax.base_fen), _sum(AwardTax.tax_fen)).where(
        AwardTax.person_id.in_(person_ids),
        AwardTax.counted_at >= start,
        AwardTax.counted_at < end,
        AwardTax.state != TaxState.VOID,
    )
    return Year(*(int(amount) for amount in session.connection().execute(wanted).one()))


def has_collected(session: Session, *, person_ids: Sequence[int]) -> bool:
    """Tell whether a cluster has ever collected, or is collecting, a taxed award."""
    wanted = select(AwardTax.award_id).where(
        AwardTax.person_id.in_(person_ids), AwardTax.counted_at.is_not(None), AwardTax.state != TaxState.VOID
    )
    return session.connection().execute(wanted.limit(1)).first() is not None


@dataclass(frozen=True, slots=True)
class Given:
    """Who somebody is to the tax office, and since when we know; personal data."""

    identity: Identity = field(repr=False)
    given_at: datetime


def identity_of(session: Session, *, person_ids: Sequence[int]) -> Given | None:
    """Return who a cluster is, as given last; None when nobody has said it. Never log it."""
    row = session.connection().execute(_GIVEN.where(TaxIdentity.person_id.in_(person_ids))).first()
    return None if row is None else _given(row)


_GIVEN = select(
    TaxIdentity.real_name, TaxIdentity.document, TaxIdentity.number, TaxIdentity.given_at
).order_by(TaxIdentity.given_at.desc(), TaxIdentity.person_id.desc())


def _given(row: Any) -> Given:
    return Given(Identity(row.real_name, row.document, row.number), row.given_at)


def _sum(column: Any) -> Any:
    return func.coalesce(func.sum(column), 0)
