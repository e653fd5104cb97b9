"""The statements that gather what a scan shows and what a draw must know: few, since each is a round trip.

`read_code` tells all about a code that is scanned: the code itself, its product, the campaigns that run,
whether its scanner may draw. `ask_scan` tells the same of a scan that was recorded, at the time of its draw.
`ask_context` says in one UNION who draws: how often they have drawn, their membership, what is left in the
accounts. Every part is a look-up by a leading key column.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Integer, String, bindparam, case, func, literal, select
from sqlalchemy import type_coerce as typed
from sqlalchemy.orm import Session
from sqlalchemy.sql import null

from app.campaigns.book import CampaignBook, PublishedVersion
from app.campaigns.facts import Behaviour, DrawFacts
from app.campaigns.models import Campaign, CampaignState, Draw
from app.catalogue.models import Product
from app.catalogue.queries import PRODUCT_COLUMNS, ProductView, view_of_product
from app.codes import queries as codes
from app.codes.book import CodeBook
from app.codes.format import Parsed
from app.codes.models import CodeBatch, Scan
from app.codes.outcome import CodeFacts, CodeLevel
from app.codes.queries import FactsSource
from app.db.base import BigInt, UtcDateTime
from app.db.prepared import Asked, Prepared
from app.ledger.models import Account
from app.members.models import Member
from app.members.queries import AGREED, JOINED_AND_AGREES
from app.risk.queries import LISTED


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
class Seen:
    """A genuine code, what is on its product's shelf, and whether its scanner has joined and agrees."""

    code: CodeFacts
    shelf: Shelf
    may_draw: bool


@dataclass(frozen=True, slots=True)
class ScanContext:
    """A recorded scan, what is known of its code now, and the shelf; without code it read none of ours."""

    person_id: int
    region: str | None
    code: CodeFacts | None
    shelf: Shelf | None


_SHELF = (
    Campaign.id.label("campaign_id"),
    Campaign.version,
    Campaign.payer_id,
    Campaign.starts_at,
    *PRODUCT_COLUMNS,
)
_PRODUCT = slice(-len(PRODUCT_COLUMNS), None)
_RUNS = (
    (Campaign.brand_id == Product.brand_id)
    & (Campaign.state == CampaignState.PUBLISHED)
    & (Campaign.starts_at <= bindparam("now"))
    & (Campaign.ends_at > bindparam("now"))
)
_BY_CODE = Prepared(
    codes.select_code(JOINED_AND_AGREES.label("may_draw"), *_SHELF)
    .join(Product, Product.id == CodeBatch.product_id)
    .outerjoin(Campaign, _RUNS)
)


def _by_scan() -> Any:
    source = FactsSource(Scan.batch_id, Scan.code_index)
    told = (
        select(Scan.person_id, Scan.batch_id, Scan.code_index, Scan.region, *source.columns, *_SHELF)
        .select_from(Scan)
        .outerjoin(CodeBatch, (CodeBatch.id == Scan.batch_id) & (CodeBatch.size > Scan.code_index))
    )
    for table, condition in source.joins:
        told = told.outerjoin(table, condition)
    return (
        told.outerjoin(Product, Product.id == CodeBatch.product_id)
        .outerjoin(Campaign, _RUNS)
        .where(Scan.id == bindparam("scan"))
    )


_BY_SCAN = Prepared(_by_scan())


def read_code(
    session: Session, *, book: CodeBook, parsed: Parsed, person_ids: Collection[int], now: datetime
) -> Seen | None:
    """Return what a scan at `now` shows of a code that was read; None when it is not one of ours."""
    wanted = {
        "batch": parsed.batch_id,
        "code_index": parsed.code_index,
        "persons": list(person_ids),
        "now": now,
    }
    rows = _BY_CODE.all(session, wanted)
    code = codes.verified(rows[0] if rows else None, book, parsed)
    return None if code is None else Seen(code, _shelf(rows), bool(rows[0].may_draw))


def ask_scan(session: Session, *, scan_id: int, now: datetime) -> Asked[ScanContext | None]:
    """Ask for a scan and what it could be drawn for at `now`; the answer is None for no such scan."""
    return _BY_SCAN.ask(session, {"scan": scan_id, "now": now}, _scan_context)


def _scan_context(rows: list[Any]) -> ScanContext | None:
    if not rows:
        return None
    first = rows[0]
    if first.sku is None:
        return ScanContext(first.person_id, first.region, None, None)
    code = codes.facts_of_row(first, first.batch_id, first.code_index, earlier=None)
    return ScanContext(first.person_id, first.region, code, _shelf(rows))


def _shelf(rows: Sequence[Any]) -> Shelf:
    # In order here: a handful of rows, for which the database would prepare a sort in a temporary table.
    running = [row for row in rows if row.campaign_id is not None]
    running.sort(key=lambda row: (row.starts_at, row.campaign_id), reverse=True)
    return Shelf(
        product=view_of_product(rows[0][_PRODUCT]),
        candidates=tuple([Candidate(row.campaign_id, row.version, row.payer_id) for row in running]),
    )


def offers(
    session: Session, *, book: CampaignBook, shelf: Shelf, facts: DrawFacts, level: CodeLevel
) -> list[tuple[Candidate, PublishedVersion]]:
    """Return the running campaigns that are held for a code with these facts, in the shelf's order.

    `level` is what the code is printed on: a campaign is held for items or for cases.
    """
    found = []
    for candidate in shelf.candidates:
        number = candidate.version
        version = book.version(session, campaign_id=candidate.campaign_id, version=number)
        held_for = version.rules.participation
        if held_for.codes is not level:
            continue
        if held_for.conditions.which.hold(facts) and held_for.conditions.own.hold(facts):
            found.append((candidate, version))
    return found


def held_for_cases(session: Session, *, book: CampaignBook, shelf: Shelf) -> frozenset[int]:
    """Return the shelf's campaigns that are held for cases; no statement after `offers`."""
    versions = [
        book.version(session, campaign_id=candidate.campaign_id, version=candidate.version)
        for candidate in shelf.candidates
    ]
    return frozenset(
        version.campaign_id for version in versions if version.rules.participation.codes is CodeLevel.CASE
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """How often somebody has drawn in a campaign: ever, and since the day began."""

    draws: int
    today: int


@dataclass(frozen=True, slots=True)
class DrawContext:
    """Who asks, and what is left.

    counts: by campaign, of those that were drawn in. is_member, consents: joined, and agrees to the current
    policy. listed: something about them is on a black or white list. balances: by ledger account.
    """

    counts: Mapping[int, Counts]
    is_member: bool
    consents: bool
    tier: str | None
    listed: bool
    balances: Mapping[int, int]


_DRAWS, _MEMBER, _BALANCES = range(3)
_PERSONS: BindParameter[Any] = bindparam("persons", expanding=True)


def _part(number: int, **columns: Any) -> list[Any]:
    """Return the columns of a part: its own where it has them, typed nulls elsewhere."""
    kinds: dict[str, Any] = {
        "id": BigInt,
        "count1": BigInt,
        "count2": BigInt,
        "tier": String(32),
        "joined_at": UtcDateTime,
    }
    found = [typed(columns.get(name, null()), kind).label(name) for name, kind in kinds.items()]
    return [literal(number, Integer, literal_execute=True).label("part"), *found]


def _statement() -> Any:
    today = func.sum(case((Draw.at >= bindparam("day"), 1), else_=0))
    member = _part(
        _MEMBER, id=Member.id, count1=AGREED, count2=LISTED, tier=Member.tier, joined_at=Member.joined_at
    )
    return (
        select(*_part(_DRAWS, id=Draw.campaign_id, count1=func.count(), count2=today))
        .where(Draw.person_id.in_(_PERSONS))
        .group_by(Draw.campaign_id)
        .union_all(
            select(*member).where(Member.person_id.in_(_PERSONS)),
            select(*_part(_BALANCES, id=Account.id, count1=Account.balance)).where(
                Account.id.in_(bindparam("accounts", expanding=True))
            ),
        )
    )


_CONTEXT = Prepared(_statement())


def ask_context(
    session: Session,
    *,
    person_ids: Collection[int],
    hashes: Collection[bytes],
    account_ids: Collection[int],
    day: datetime,
) -> Asked[DrawContext]:
    """Ask for the context of a draw: one statement.

    Args: hashes are those of the subjects to look up on the lists; `day` is when the present calendar day
    began in the market's zone. Of several memberships in a cluster the one joined first counts.
    """
    parameters = {
        "persons": list(person_ids),
        "hashes": list(hashes),
        "accounts": list(account_ids),
        "day": day,
    }
    return _CONTEXT.ask(session, parameters, _context)


def _context(rows: list[Any]) -> DrawContext:
    counts: dict[int, Counts] = {}
    balances: dict[int, int] = {}
    members = []
    for row in rows:
        if row.part == _DRAWS:
            counts[row.id] = Counts(int(row.count1), int(row.count2))
        elif row.part == _MEMBER:
            members.append(row)
        else:
            balances[row.id] = int(row.count1)
    member = min(members, key=lambda row: (row.joined_at, row.id), default=None)
    if member is None:
        return DrawContext(counts, False, False, None, False, balances)
    return DrawContext(counts, True, bool(member.count1), member.tier, bool(member.count2), balances)
