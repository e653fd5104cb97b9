"""Reading what tax is owed, and for whom. Totals of a person take the ids of their cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.elements import ColumnElement

from app.identity.models import Person
from app.ledger.models import Account, Asset
from app.tax import periods
from app.tax.documents import Identity
from app.tax.models import AwardTax, TaxIdentity, TaxRemittance, TaxState
from app.tax.terms import TaxBearer, TaxedKind

WITHHELD_PURPOSE = "tax.withheld"
"""The ledger account of a brand that holds the tax which it owes the tax office."""
REMITTED_PURPOSE = "tax.remitted"
"""That of the tax which it has paid there."""


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


def identities_of(session: Session, *, person_ids: Sequence[int]) -> dict[int, Identity]:
    """Return who each of several persons is, by person: as anybody of their cluster has given it last."""
    one, other = aliased(Person), aliased(Person)
    wanted = (
        select(one.id, TaxIdentity.real_name, TaxIdentity.document, TaxIdentity.number)
        .join_from(one, other, other.one_id == one.one_id)
        .join(TaxIdentity, TaxIdentity.person_id == other.id)
        .where(one.id.in_(person_ids))
        .order_by(TaxIdentity.given_at, TaxIdentity.person_id)
    )
    rows = session.connection().execute(wanted)
    return {row.id: Identity(row.real_name, row.document, row.number) for row in rows}


@dataclass(frozen=True, slots=True)
class Standing:
    """A brand's month in fen: what is due, what of it was paid, in how many parts."""

    due_fen: int
    remitted_fen: int
    parts: int

    @property
    def owed_fen(self) -> int:
        """Return what is left to pay."""
        return self.due_fen - self.remitted_fen


def standing(session: Session, *, brand_id: int, month: str) -> Standing:
    """Return how a brand's month stands; raise BadMonth."""
    due = select(_sum(AwardTax.tax_fen)).where(*_due_in(brand_id, month))
    paid = select(_sum(TaxRemittance.amount_fen), func.count()).where(
        TaxRemittance.brand_id == brand_id, TaxRemittance.month == month
    )
    # What was paid is read first: tax that becomes due meanwhile is then owed, and not paid twice.
    remitted_fen, parts = session.connection().execute(paid).one()
    due_fen = session.connection().execute(due).scalar_one()
    return Standing(int(due_fen), int(remitted_fen), int(parts))


def _due_in(brand_id: int, month: str) -> tuple[ColumnElement[bool], ...]:
    start, end = periods.month(month)
    # Only what is due has a moment at which it became so.
    return AwardTax.brand_id == brand_id, AwardTax.due_at >= start, AwardTax.due_at < end


def is_remitted(session: Session, *, brand_id: int, reference: str) -> bool:
    """Tell whether a payment of a brand carries this reference."""
    wanted = select(TaxRemittance.id).where(
        TaxRemittance.brand_id == brand_id, TaxRemittance.reference == reference
    )
    return session.connection().execute(wanted).first() is not None


class Line(NamedTuple):
    """What became due in a month by campaign and bearer; amounts in fen."""

    campaign_id: int
    bearer: TaxBearer
    awards: int
    persons: int
    base_fen: int
    tax_fen: int
    net_fen: int


def report(session: Session, *, brand_id: int, month: str) -> list[Line]:
    """Return a brand's month by campaign; raise BadMonth."""
    key = (AwardTax.campaign_id, AwardTax.bearer)
    sums = [_sum(column) for column in (AwardTax.base_fen, AwardTax.tax_fen, AwardTax.net_fen)]
    wanted = (
        select(*key, func.count(), func.count(AwardTax.person_id.distinct()), *sums)
        .where(*_due_in(brand_id, month))
        .group_by(*key)
        .order_by(*key)
    )
    rows = session.connection().execute(wanted)
    return [Line(row[0], row[1], *(int(amount) for amount in row[2:])) for row in rows]


class Receipt(NamedTuple):
    """A taxed award that its winner has: one line of a tax return; amounts in fen."""

    award_id: int
    campaign_id: int
    person_id: int
    kind: TaxedKind
    bearer: TaxBearer
    rate_bps: int
    base_fen: int
    tax_fen: int
    net_fen: int
    due_at: datetime


_RECEIPT = select(*(getattr(AwardTax, name) for name in Receipt._fields))


def receipts(
    session: Session,
    *,
    brand_id: int,
    month: str,
    after: tuple[datetime, int] | None = None,
    limit: int = 1000,
) -> list[Receipt]:
    """Return what became due in a brand's month in the order of (moment, award), behind `after`."""
    wanted = _RECEIPT.where(*_due_in(brand_id, month)).order_by(AwardTax.due_at, AwardTax.award_id)
    if after is not None:
        moment, award_id = after
        later = (AwardTax.due_at > moment) | (AwardTax.award_id > award_id)
        wanted = wanted.where(AwardTax.due_at >= moment, later)
    return [Receipt._make(row) for row in session.connection().execute(wanted.limit(limit))]


def withheld_account_id(session: Session, *, brand_id: int) -> int | None:
    """Return the ledger account of a brand's tax that is not paid yet; None when none was ever due."""
    wanted = select(Account.id).where(
        Account.asset == Asset.FEN, Account.purpose == WITHHELD_PURPOSE, Account.owner_id == brand_id
    )
    return session.connection().execute(wanted).scalar()
