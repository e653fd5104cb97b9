"""Two statements that gather what a draw must know, beyond the code itself.

A draw is worth twelve statements at most, each of them a round trip. `for_scan` says what a scan could be
drawn for: product, running campaigns. `gather` says in one UNION who asks: how often they have drawn,
their membership, what the lists say, and what is left in the accounts. Every part of it is a look-up by a
leading key column; the parts have columns of their own, so that no two collations meet.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Integer, LargeBinary, String, bindparam, case, func, literal, select
from sqlalchemy import type_coerce as typed
from sqlalchemy.orm import Session
from sqlalchemy.sql import null

from app.campaigns.book import CampaignBook, PublishedVersion
from app.campaigns.facts import Behaviour, DrawFacts
from app.campaigns.models import Campaign, CampaignState, Draw
from app.catalogue.errors import UnknownProduct
from app.catalogue.models import Product
from app.catalogue.queries import PRODUCT_COLUMNS, ProductView, view_of_product
from app.codes.models import CodeBatch, Scan
from app.codes.outcome import CodeFacts
from app.db.base import BigInt, UtcDateTime
from app.db.prepared import Prepared
from app.ledger.models import Account
from app.members.queries import MEMBERSHIP
from app.risk.lists import Entry, Level, ListKind, Subject, SubjectKind
from app.risk.queries import BY_HASH, BY_PHONE


@dataclass(frozen=True, slots=True)
class Candidate:
    """A running campaign of the code's brand; the version in force, and who pays."""

    campaign_id: int
    version: int
    payer_id: int | None


@dataclass(frozen=True, slots=True)
class Shelf:
    """A product as conditions see it, and the campaigns of its brand that run, the one started last first."""

    product: ProductView
    candidates: tuple[Candidate, ...]

    def facts(self, code: CodeFacts, *, at: datetime, behaviour: Behaviour = Behaviour.SCAN) -> DrawFacts:
        """Return what a draw sees of the code alone; where it was shipped to says more than its product."""
        product, own = self.product, code.attributes
        return DrawFacts(
            at=at,
            behaviour=behaviour,
            sku=product.sku,
            line=product.line,
            category=product.category,
            spec=product.spec,
            product_tags=product.tags,
            case=own.get("case"),
            channel=own.get("channel"),
            order=own.get("order"),
            origin=own.get("origin") or product.origin,
        )


@dataclass(frozen=True, slots=True)
class ScanContext:
    """A scan and what is on its product's shelf; without batch, index and shelf it read no code of ours."""

    person_id: int
    batch_id: int | None
    code_index: int | None
    region: str | None
    shelf: Shelf | None


_SHELF = (
    Campaign.id.label("campaign_id"),
    Campaign.version,
    Campaign.payer_id,
    *PRODUCT_COLUMNS,
)
_PRODUCT = slice(3, 3 + len(PRODUCT_COLUMNS))
_RUNS = (
    (Campaign.state == CampaignState.PUBLISHED)
    & (Campaign.starts_at <= bindparam("now"))
    & (Campaign.ends_at > bindparam("now"))
)
_LATEST_FIRST = (Campaign.starts_at.desc(), Campaign.id.desc())
_BY_SCAN = Prepared(
    select(*_SHELF, Scan.person_id, Scan.batch_id, Scan.code_index, Scan.region)
    .select_from(Scan)
    .outerjoin(CodeBatch, CodeBatch.id == Scan.batch_id)
    .outerjoin(Product, Product.id == CodeBatch.product_id)
    .outerjoin(Campaign, (Campaign.brand_id == Product.brand_id) & _RUNS)
    .where(Scan.id == bindparam("scan"))
    .order_by(*_LATEST_FIRST)
)
_BY_PRODUCT = Prepared(
    select(*_SHELF)
    .select_from(Product)
    .outerjoin(Campaign, (Campaign.brand_id == Product.brand_id) & _RUNS)
    .where(Product.id == bindparam("product"))
    .order_by(*_LATEST_FIRST)
)


def for_scan(session: Session, *, scan_id: int, now: datetime) -> ScanContext | None:
    """Return a scan and what it could be drawn for at `now`; None when there is no such scan."""
    rows = _BY_SCAN.all(session, {"scan": scan_id, "now": now})
    if not rows:
        return None
    first = rows[0]
    return ScanContext(first.person_id, first.batch_id, first.code_index, first.region, _shelf(rows))


def for_product(session: Session, *, product_id: int, now: datetime) -> Shelf:
    """Return a product and what its codes could be drawn for at `now`; raise UnknownProduct."""
    shelf = _shelf(_BY_PRODUCT.all(session, {"product": product_id, "now": now}))
    if shelf is None:
        raise UnknownProduct("there is no such product")
    return shelf


def _shelf(rows: Sequence[Any]) -> Shelf | None:
    if not rows or rows[0].sku is None:
        return None
    running = [row for row in rows if row.campaign_id is not None]
    return Shelf(
        product=view_of_product(rows[0][_PRODUCT]),
        candidates=tuple([Candidate(row.campaign_id, row.version, row.payer_id) for row in running]),
    )


def offers(
    session: Session, *, book: CampaignBook, shelf: Shelf, facts: DrawFacts
) -> list[tuple[Candidate, PublishedVersion]]:
    """Return the running campaigns that are held for a code with these facts, in the shelf's order."""
    found = []
    for candidate in shelf.candidates:
        number = candidate.version
        version = book.version(session, campaign_id=candidate.campaign_id, version=number)
        conditions = version.rules.participation.conditions
        if conditions.which.hold(facts) and conditions.own.hold(facts):
            found.append((candidate, version))
    return found


@dataclass(frozen=True, slots=True)
class Counts:
    """How often somebody has drawn in a campaign: ever, and since the day began."""

    draws: int
    today: int


@dataclass(frozen=True, slots=True)
class DrawContext:
    """Who asks, and what is left.

    counts: by campaign, of those that were drawn in. is_member, consents: joined, and agrees to the current
    policy. balances: by ledger account.
    """

    counts: Mapping[int, Counts]
    is_member: bool
    consents: bool
    tier: str | None
    entries: Sequence[Entry]
    balances: Mapping[int, int]


_DRAWS, _MEMBER, _LISTS, _BALANCES = range(4)
_PERSONS: BindParameter[Any] = bindparam("persons", expanding=True)


def _part(number: int, **columns: Any) -> list[Any]:
    """Return the columns of a part: its own where it has them, typed nulls elsewhere."""
    kinds: dict[str, Any] = {
        "id": BigInt,
        "count1": BigInt,
        "count2": BigInt,
        "tier": String(32),
        "list": String(24),
        "subject_kind": String(24),
        "effect": String(24),
        "subject_hash": LargeBinary(32),
        "expires_at": UtcDateTime,
    }
    found = [typed(columns.get(name, null()), kind).label(name) for name, kind in kinds.items()]
    return [literal(number, Integer, literal_execute=True).label("part"), *found]


def _statement() -> Any:
    today = func.sum(case((Draw.at >= bindparam("day"), 1), else_=0))
    member, by_hash, by_phone = MEMBERSHIP.subquery(), BY_HASH.subquery(), BY_PHONE.subquery()
    listed = [
        select(*_part(_LISTS, **{name: found.c[name] for name in _ENTRY})) for found in (by_hash, by_phone)
    ]
    return (
        select(*_part(_DRAWS, id=Draw.campaign_id, count1=func.count(), count2=today))
        .where(Draw.person_id.in_(_PERSONS))
        .group_by(Draw.campaign_id)
        .union_all(
            select(*_part(_MEMBER, id=member.c.id, count1=list(member.c)[-1], tier=member.c.tier)),
            *listed,
            select(*_part(_BALANCES, id=Account.id, count1=Account.balance)).where(
                Account.id.in_(bindparam("accounts", expanding=True))
            ),
        )
    )


_ENTRY = ("list", "subject_kind", "subject_hash", "effect", "expires_at")
_CONTEXT = Prepared(_statement())


def gather(
    session: Session,
    *,
    person_ids: Collection[int],
    hashes: Collection[bytes],
    account_ids: Collection[int],
    day: datetime,
) -> DrawContext:
    """Return the context of a draw in one statement.

    Args: hashes are those of the subjects to look up on the lists; `day` is when the present calendar day
    began in the market's zone.
    """
    parameters = {
        "persons": list(person_ids),
        "hashes": list(hashes),
        "accounts": list(account_ids),
        "day": day,
    }
    counts: dict[int, Counts] = {}
    balances: dict[int, int] = {}
    entries: list[Entry] = []
    is_member = consents = False
    tier: str | None = None
    for row in _CONTEXT.all(session, parameters):
        if row.part == _DRAWS:
            counts[row.id] = Counts(int(row.count1), int(row.count2))
        elif row.part == _MEMBER:
            is_member, consents, tier = True, bool(row.count1), row.tier
        elif row.part == _BALANCES:
            balances[row.id] = int(row.count1)
        else:
            subject = Subject(SubjectKind(row.subject_kind), bytes(row.subject_hash))
            entries.append(Entry(ListKind(row.list), subject, Level(row.effect), row.expires_at))
    return DrawContext(counts, is_member, consents, tier, entries, balances)
