"""Reading campaigns: what is published, what a code can be drawn for, draws, winners, checks."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from app.campaigns.accounts import find_accounts
from app.campaigns.book import CampaignBook
from app.campaigns.context import Shelf, offers
from app.campaigns.draw import Result
from app.campaigns.errors import NothingPublished, UnknownCampaign, UnknownDraw
from app.campaigns.models import (
    Action,
    Campaign,
    CampaignEvent,
    CampaignOutflow,
    CampaignState,
    CampaignVersion,
    Draw,
    OutflowState,
    Purpose,
    VersionState,
)
from app.campaigns.parser import parse_rules
from app.campaigns.rules import PhonePolicy, PrizeKind, Rules, Text
from app.campaigns.seed import Commitment
from app.campaigns.verify import DrawRecord, Mismatch, verify
from app.codes.outcome import CodeFacts
from app.identity.queries import cluster
from app.kernel.json import Json
from app.ledger.models import AccountKind, TransferRow
from app.ledger.queries import balances, open_balance
from app.members.queries import membership


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign as an operator sees it."""

    id: int
    brand_id: int
    key: str
    payer_id: int | None
    state: CampaignState
    version: int
    starts_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """A campaign that a code can be drawn for now: what a scan shows."""

    campaign_id: int
    name: Text
    ends_at: datetime
    phone_policy: PhonePolicy
    location_counts: bool


@dataclass(frozen=True, slots=True)
class DrawView:
    """A draw as its shopper sees it; prize and its name are empty when nothing was won."""

    id: int
    campaign_id: int
    version: int
    person_id: int
    scan_id: int
    at: datetime
    result: Result
    pool: str
    pool_name: Text
    prize: str | None
    prize_name: Text
    kind: PrizeKind
    amount_fen: int
    points: int


@dataclass(frozen=True, slots=True)
class PublishedRules:
    """What a campaign has published. The seed and its salt (hex) are there once it has ended."""

    campaign_id: int
    state: CampaignState
    version: int
    published_at: datetime
    text: Text
    text_sha256: str
    rules: dict[str, Json]
    rules_sha256: str
    seed_sha256: str
    seed: str | None
    salt: str | None


@dataclass(frozen=True, slots=True)
class Winner:
    """A winner above the publicity threshold, masked: nobody but the winner knows who it is."""

    draw_id: int
    at: datetime
    member: str
    prize_name: Text
    worth_fen: int


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version of a campaign's rules and how it came about."""

    version: int
    state: VersionState
    sha256: str
    text_sha256: str | None
    reason: str | None
    proposed_by: str | None
    approved_by: str | None
    saved_by: str
    saved_at: datetime
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventView:
    """One line of a campaign's history."""

    id: int
    action: Action
    version: int | None
    reason: str | None
    detail: dict[str, Json]
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class OutflowView:
    """Money that waits for a second operator to leave a running campaign's budget.

    pool: "" for out of the campaign; else the pool it goes to, or with an amount below zero comes back from.
    """

    reference: str
    pool: str
    amount_fen: int
    reason: str
    proposed_by: str
    proposed_at: datetime


@dataclass(frozen=True, slots=True)
class Left:
    """What a campaign holds: an account's purpose, the pool's or prize's key, fen or pieces.

    kept: how much of a budget the limited prizes in stock may cost, in fen; no other prize is paid out of it.
    """

    purpose: Purpose
    key: str
    amount: int
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Movement:
    """A line of an account's history: what came (above zero) or went, why, and for what."""

    id: int
    at: datetime
    amount: int
    reason: str
    ref_id: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of checking one draw; no mismatches: it is as it was promised."""

    draw_id: int
    mismatches: tuple[Mismatch, ...] = field(default=())


_CAMPAIGN: Select[*tuple[Any, ...]] = select(
    Campaign.id,
    Campaign.brand_id,
    Campaign.key,
    Campaign.payer_id,
    Campaign.state,
    Campaign.version,
    Campaign.starts_at,
    Campaign.ends_at,
    Campaign.ended_at,
    Campaign.created_at,
)


def campaign(session: Session, *, campaign_id: int) -> CampaignView:
    """Return a campaign; raise UnknownCampaign."""
    row = session.connection().execute(_CAMPAIGN.where(Campaign.id == campaign_id)).first()
    if row is None:
        raise UnknownCampaign("there is no campaign with this id; `saoma campaigns list` shows them")
    return CampaignView(*row)


def campaign_by_key(session: Session, *, brand_id: int, key: str) -> CampaignView:
    """Return a brand's campaign by its key; raise UnknownCampaign."""
    wanted = _CAMPAIGN.where(Campaign.brand_id == brand_id, Campaign.key == key)
    row = session.connection().execute(wanted).first()
    if row is None:
        raise UnknownCampaign("the brand has no campaign with this key; `saoma campaigns list` shows them")
    return CampaignView(*row)


def campaigns(session: Session, *, brand_id: int | None = None, limit: int = 100) -> list[CampaignView]:
    """Return campaigns, the newest first."""
    wanted = _CAMPAIGN.order_by(Campaign.id.desc()).limit(limit)
    if brand_id is not None:
        wanted = wanted.where(Campaign.brand_id == brand_id)
    return [CampaignView(*row) for row in session.connection().execute(wanted)]


def keys(session: Session, *, brand_id: int) -> dict[int, str]:
    """Return the keys of all campaigns of a brand by id."""
    rows = session.connection().execute(
        select(Campaign.id, Campaign.key).where(Campaign.brand_id == brand_id)
    )
    return {row.id: row.key for row in rows}


def on_offer(
    session: Session, *, book: CampaignBook, code: CodeFacts, shelf: Shelf, now: datetime
) -> Offer | None:
    """Return the campaign that a code can be drawn for, if any.

    Of several that are held for it, the one that started last: a themed campaign goes before the one that
    runs all year. Who may draw from it is decided at the draw.
    """
    held = offers(session, book=book, shelf=shelf, facts=shelf.facts(code, at=now), level=code.level)
    if not held:
        return None
    version = held[0][1]
    rules = version.rules
    return Offer(
        version.campaign_id, rules.name, rules.period.ends_at, rules.phone_policy, rules.location_counts
    )


def draws_since(session: Session, *, campaign_id: int, person_ids: Collection[int], moment: datetime) -> int:
    """Return how often a cluster has drawn in a campaign after a moment, by its draws (DRAW-11)."""
    wanted = select(func.count()).where(
        Draw.person_id.in_(person_ids), Draw.campaign_id == campaign_id, Draw.at > moment
    )
    return session.connection().execute(wanted).scalar_one()


def phone_at_collection(session: Session, *, campaign_id: int) -> bool:
    """Tell whether the rules in force ask for a phone number when a prize is collected (contract 13.2)."""
    wanted = (
        select(CampaignVersion.rules["phone_policy"].as_string())
        .join(
            Campaign,
            (Campaign.id == CampaignVersion.campaign_id) & (Campaign.version == CampaignVersion.version),
        )
        .where(Campaign.id == campaign_id)
    )
    return session.connection().execute(wanted).scalar() == PhonePolicy.AT_COLLECTION


_RECORD = (
    Draw.id,
    Draw.campaign_id,
    Draw.version,
    CampaignVersion.sha256,
    Draw.batch_id,
    Draw.code_index,
    Draw.chance,
    Draw.scan_id,
    Draw.person_id,
    Draw.at,
    Draw.facts,
    Draw.outcome,
)
_DRAW = select(*_RECORD).join_from(
    Draw,
    CampaignVersion,
    (CampaignVersion.campaign_id == Draw.campaign_id) & (CampaignVersion.version == Draw.version),
)


def draw(session: Session, *, book: CampaignBook, draw_id: int, person_ids: Collection[int]) -> DrawView:
    """Return a draw of this cluster; raise UnknownDraw, also when it is somebody else's."""
    wanted = _DRAW.where(Draw.id == draw_id, Draw.person_id.in_(list(person_ids)))
    row = session.connection().execute(wanted).first()
    if row is None:
        raise UnknownDraw("you have no draw with this id")
    record = DrawRecord(*row)
    version = book.version(session, campaign_id=record.campaign_id, version=record.version)
    return view_of(record, version.rules)


def view_of(record: DrawRecord, rules: Rules) -> DrawView:
    """Return what a shopper sees of a draw's record."""
    outcome: Any = record.outcome
    prize = rules.prize_by_key.get(outcome["prize"])
    return DrawView(
        id=record.draw_id,
        campaign_id=record.campaign_id,
        version=record.version,
        person_id=record.person_id,
        scan_id=record.scan_id,
        at=record.at,
        result=Result(outcome["result"]),
        pool=outcome["pool"],
        pool_name=next(pool.name for pool in rules.pools if pool.key == outcome["pool"]),
        prize=outcome["prize"],
        prize_name=prize.name if prize else Text(),
        kind=PrizeKind(outcome["kind"]),
        amount_fen=outcome["amount_fen"],
        points=outcome["points"],
    )


def published(session: Session, *, campaign_id: int, version: int | None = None) -> PublishedRules:
    """Return what a campaign has published: the version in force, or an earlier one (public).

    Raises UnknownCampaign, NothingPublished.
    """
    wanted = (
        select(Campaign, CampaignVersion)
        .outerjoin(
            CampaignVersion,
            (CampaignVersion.campaign_id == Campaign.id)
            & (CampaignVersion.version == (Campaign.version if version is None else version))
            & (CampaignVersion.state == VersionState.PUBLISHED),
        )
        .where(Campaign.id == campaign_id)
    )
    row = session.execute(wanted).first()
    if row is None:
        raise UnknownCampaign("there is no such campaign")
    about: Campaign = row[0]
    found: CampaignVersion | None = row[1]
    if found is None or found.published_at is None:
        raise NothingPublished("these rules have not been published")
    is_over = about.state is CampaignState.ENDED
    return PublishedRules(
        campaign_id=about.id,
        state=about.state,
        version=found.version,
        published_at=found.published_at,
        text=Text(found.text_zh or "", found.text_en or ""),
        text_sha256=found.text_sha256 or "",
        rules=found.rules,
        rules_sha256=found.sha256,
        seed_sha256=about.seed_sha256 or "",
        seed=about.seed if is_over else None,
        salt=about.salt if is_over else None,
    )


def versions(session: Session, *, campaign_id: int) -> list[VersionView]:
    """Return the versions of a campaign, the newest first, with who proposed and approved them."""
    row = CampaignVersion
    wanted: Select[*tuple[Any, ...]] = (
        select(
            row.version,
            row.state,
            row.sha256,
            row.text_sha256,
            row.reason,
            row.proposed_by,
            row.approved_by,
            row.saved_by,
            row.saved_at,
            row.published_at,
        )
        .where(row.campaign_id == campaign_id)
        .order_by(row.version.desc())
    )
    return [VersionView(*found) for found in session.connection().execute(wanted)]


def history(
    session: Session, *, campaign_id: int, before: int | None = None, limit: int = 50
) -> list[EventView]:
    """Return what was done to a campaign, the newest first, with an id below `before` (DRAW-16)."""
    row = CampaignEvent
    wanted = (
        select(row.id, row.action, row.version, row.reason, row.detail, row.at, row.by)
        .where(row.campaign_id == campaign_id)
        .order_by(row.id.desc())
        .limit(limit)
    )
    if before is not None:
        wanted = wanted.where(row.id < before)
    return [EventView(*found) for found in session.connection().execute(wanted)]


def outflows(session: Session, *, campaign_id: int) -> list[OutflowView]:
    """Return the money that waits for approval to leave a campaign's budget, the oldest first."""
    row = CampaignOutflow
    wanted = (
        select(row.reference, row.pool, row.amount_fen, row.reason, row.proposed_by, row.proposed_at)
        .where(row.campaign_id == campaign_id, row.state == OutflowState.PROPOSED)
        .order_by(row.proposed_at, row.reference)
    )
    return [OutflowView(*found) for found in session.connection().execute(wanted)]


def left(session: Session, *, campaign_id: int) -> list[Left]:
    """Return what a campaign's accounts hold: budgets, committed money, stock, pieces awarded (DRAW-18).

    Before its rules are published a budget keeps nothing.
    """
    accounts = find_accounts(session, campaign_id)
    running = balances(
        session, [account.id for account in accounts.values() if account.kind is AccountKind.GUARDED]
    )
    in_force = (
        select(CampaignVersion.rules)
        .join(Campaign, Campaign.id == CampaignVersion.campaign_id)
        .where(CampaignVersion.campaign_id == campaign_id, CampaignVersion.version == Campaign.version)
    )
    rules = session.scalars(in_force).one_or_none()
    kept = {} if rules is None else parse_rules(rules).kept_fen
    return [
        Left(
            purpose,
            key,
            running[account.id] if account.id in running else open_balance(session, account.id),
            sum(
                running[accounts[Purpose.STOCK, prize].id] * fen
                for prize, fen in (kept.get(key, {}) if purpose in _BUDGETS else {}).items()
            ),
        )
        for (purpose, key), account in sorted(accounts.items())
    ]


_BUDGETS = (Purpose.BUDGET, Purpose.POOL_BUDGET)


def stock_history(
    session: Session, *, campaign_id: int, prize: str, before: int | None = None, limit: int = 50
) -> list[Movement]:
    """Return how pieces of a prize came and went, the newest first (PAY-09): deliveries, awards, returns."""
    account = find_accounts(session, campaign_id).get((Purpose.STOCK, prize))
    if account is None:
        return []
    row = TransferRow
    wanted = (
        select(row.id, row.at, row.amount, row.reason, row.ref_id, row.credit_account)
        .where((row.debit_account == account.id) | (row.credit_account == account.id))
        .order_by(row.id.desc())
        .limit(limit)
    )
    if before is not None:
        wanted = wanted.where(row.id < before)
    return [
        Movement(
            found.id,
            found.at,
            found.amount if found.credit_account == account.id else -found.amount,
            found.reason,
            found.ref_id,
        )
        for found in session.connection().execute(wanted)
    ]


def winners(
    session: Session, *, campaign_id: int, before: int | None = None, limit: int = 50
) -> list[Winner]:
    """Return winners of more than 500 yuan, masked, the newest first (Interim Provisions, art. 13; public).

    Raises UnknownCampaign, NothingPublished.
    """
    rules = parse_rules(published(session, campaign_id=campaign_id).rules)
    wanted = (
        _DRAW.add_columns(Draw.worth_fen)
        .where(Draw.campaign_id == campaign_id, Draw.worth_fen > rules.profile.publicity_over_fen)
        .order_by(Draw.id.desc())
        .limit(limit)
    )
    if before is not None:
        wanted = wanted.where(Draw.id < before)
    found = []
    for row in session.connection().execute(wanted).all():
        record = DrawRecord(*row[:-1])
        won = view_of(record, _rules_of(session, record))
        member = _masked(session, record.person_id)
        found.append(Winner(record.draw_id, record.at, member, won.prize_name, row[-1]))
    return found


def _masked(session: Session, person_id: int) -> str:
    """Return a member number of which the middle is hidden: its owner knows it, others learn nothing."""
    member = membership(session, person_ids=cluster(session, person_id=person_id).person_ids)
    if member is None:
        return "****"
    return f"{member.member_no[:3]}******{member.member_no[-3:]}"


_RULES_READ = "campaigns.rules_read"


def _rules_of(session: Session, record: DrawRecord) -> Rules:
    # Read and parsed once a session, not once a draw: large rules cost a tenth of a second, and a page of
    # winners is public.
    parsed: dict[tuple[int, int], Rules] = session.info.setdefault(_RULES_READ, {})
    key = (record.campaign_id, record.version)
    if key not in parsed:
        row = session.get(CampaignVersion, key)
        assert row is not None
        parsed[key] = parse_rules(row.rules)
    return parsed[key]


def verify_draw(session: Session, *, draw_id: int) -> Verification:
    """Check one draw against the rules and the seed that were promised; raise UnknownDraw.

    Reads everything from the database, nothing from memory.
    """
    row = session.connection().execute(_CHECKED.where(Draw.id == draw_id)).first()
    if row is None:
        raise UnknownDraw("there is no draw with this id")
    return _verification(session, row)


def verify_draws(
    session: Session, *, campaign_id: int, after: int | None = None, limit: int = 500
) -> list[Verification]:
    """Check a campaign's draws, oldest first, at most `limit`, with an id above `after`."""
    wanted = _CHECKED.where(Draw.campaign_id == campaign_id).order_by(Draw.id).limit(limit)
    if after is not None:
        wanted = wanted.where(Draw.id > after)
    return [_verification(session, row) for row in session.connection().execute(wanted).all()]


_STORED = (Draw.result, Draw.pool, Draw.prize, Draw.amount_fen, Draw.points)
_CHECKED = _DRAW.add_columns(Draw.seal, Draw.worth_fen, *_STORED)


def _verification(session: Session, row: Row[*tuple[Any, ...]]) -> Verification:
    record = DrawRecord(*row[: len(_RECORD)])
    about = session.get(Campaign, record.campaign_id)
    assert about is not None
    commitment = Commitment(
        bytes.fromhex(about.seed or ""), bytes.fromhex(about.salt or ""), about.seed_sha256 or ""
    )
    rules = _rules_of(session, record)
    found = verify(record, row.seal, rules, commitment)
    expected: dict[str, Json] = {column.name: record.outcome.get(column.name) for column in _STORED}
    expected["worth_fen"] = _worth(record, rules)
    stored = {name: getattr(row, name) for name in expected}
    found += [
        Mismatch(name, expected[name], stored[name]) for name in expected if expected[name] != stored[name]
    ]
    return Verification(record.draw_id, tuple(found))


def _worth(record: DrawRecord, rules: Rules) -> int:
    outcome: Any = record.outcome
    return int(outcome["amount_fen"]) + rules.points_worth_fen(int(outcome["points"]))
