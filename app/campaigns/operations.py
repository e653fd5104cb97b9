"""Making, publishing, changing, stopping and ending campaigns: what operators do.

Each act locks the campaign's row, so two operators work one after the other, and writes a line of its
history with who and why (DRAW-16). Draws hold a shared lock on the same row until they commit: once a stop
has been answered, no draw follows it. Money and stock are in `app.campaigns.funding`, the draw in
`app.campaigns.play`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.campaigns.accounts import needed, open_accounts
from app.campaigns.backing import require_backing
from app.campaigns.changes import Change, changes, needs_approval
from app.campaigns.disclosure import missing_fields, refusals
from app.campaigns.errors import (
    CampaignExists,
    DisclosureIncomplete,
    InvalidCampaign,
    NothingToChange,
    OverlapsCampaigns,
    ProposalChanged,
    RulesRefused,
    SecondOperatorNeeded,
    UnknownCampaign,
    WrongState,
)
from app.campaigns.models import (
    CAMPAIGN_TRANSITIONS,
    VERSION_TRANSITIONS,
    Action,
    Campaign,
    CampaignEvent,
    CampaignState,
    CampaignVersion,
    VersionState,
)
from app.campaigns.neighbours import close_ranks, overlapping
from app.campaigns.overlap import same_reach
from app.campaigns.parser import parse_rules
from app.campaigns.publication import publish_text
from app.campaigns.reader import Fault
from app.campaigns.rules import PrizeKind, Rules
from app.campaigns.seed import make_commitment
from app.db.once import insert_once
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.kernel.ids import new_id
from app.kernel.json import Json
from app.payouts.limits import least_fen
from app.payouts.queries import payer
from app.points import operations as points
from app.points.models import PointsKind

_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class SavedVersion:
    """A version that was saved, and what stands between it and its publication.

    missing: what must still be filled in. changed: what differs from the version in force, and which
    campaigns it would newly overlap.
    """

    campaign_id: int
    version: int
    sha256: str
    missing: tuple[Fault, ...]
    changed: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class InForce:
    """What came of publishing a version; `published` False: it waits for a second operator's approval."""

    campaign_id: int
    version: int
    sha256: str
    published: bool
    changed: tuple[Change, ...]


def create(
    session: Session, *, brand_id: int, key: str, now: datetime, actor: Actor, payer_id: int | None = None
) -> int:
    """Make an empty campaign of a brand and return its id.

    Args: key is its short name for operators; payer_id whose account pays its money prizes (PAY-02).
    Raises InvalidCampaign (the payer is another brand's, too), CampaignExists, UnknownPayer.
    """
    if not _KEY.fullmatch(key):
        raise InvalidCampaign("a key has 1 to 32 lower-case letters, digits and hyphens, such as june-2026")
    if payer_id is not None:
        _require_own_payer(session, payer_id, brand_id)
    campaign_id = new_id()
    row = {
        "id": campaign_id,
        "brand_id": brand_id,
        "key": key,
        "payer_id": payer_id,
        "state": CampaignState.DRAFT,
        "version": 0,
        "created_at": now,
    }
    if not insert_once(session, insert(Campaign), row):
        raise CampaignExists("the brand has a campaign with this key; choose another one")
    log(session, campaign_id, Action.CREATED, now=now, actor=actor)
    return campaign_id


def choose_payer(session: Session, *, campaign_id: int, payer_id: int, now: datetime, actor: Actor) -> None:
    """Let another account pay what is won from now on.

    Raises RulesRefused when its limit is too low, InvalidCampaign when it pays for another brand,
    UnknownPayer, WrongState.
    """
    campaign = take(session, campaign_id)
    if campaign.state is CampaignState.ENDED:
        raise WrongState("the campaign has ended")
    _require_own_payer(session, payer_id, campaign.brand_id)
    if campaign.version:
        _require_allowed(session, rules_of(session, campaign_id, campaign.version), payer_id)
    campaign.payer_id = payer_id
    session.flush()
    log(session, campaign_id, Action.PAYER_CHOSEN, now=now, actor=actor, detail={"payer_id": payer_id})


def save_version(
    session: Session, *, campaign_id: int, document: object, now: datetime, actor: Actor
) -> SavedVersion:
    """Save the rules that the next version is to have; nothing changes for shoppers.

    A campaign has at most one unpublished version; saving replaces it, and withdraws it where it waited for
    approval. Raises RulesInvalid (422, all faults), RulesRefused (the law, the payer's limit), WrongState.
    """
    campaign = take(session, campaign_id)
    if campaign.state is CampaignState.ENDED:
        raise WrongState("the campaign has ended; make a new one")
    rules = parse_rules(document)
    _require_allowed(session, rules, campaign.payer_id)
    number = campaign.version + 1
    row = session.get(CampaignVersion, (campaign_id, number))
    if row is None:
        row = CampaignVersion(campaign_id=campaign_id, version=number)
        session.add(row)
    row.state = VersionState.DRAFT
    row.rules = rules.to_json()
    row.sha256 = rules.sha256
    row.reason = row.proposed_by = row.approved_by = None
    row.saved_by, row.saved_at = actor.label[:64], now
    session.flush()
    log(session, campaign_id, Action.SAVED, number, now=now, actor=actor, detail={"sha256": rules.sha256})
    return SavedVersion(
        campaign_id,
        number,
        rules.sha256,
        tuple(missing_fields(rules)),
        tuple(_changes(session, campaign, rules, now=now)),
    )


def publish(
    session: Session,
    *,
    campaign_id: int,
    now: datetime,
    actor: Actor,
    random_bytes: Callable[[int], bytes],
    reason: str | None = None,
) -> InForce:
    """Publish a campaign for the first time: rules frozen and hashed, seed made and committed to.

    It can be drawn from in its period. Where other campaigns of the brand are held for the same codes at the
    same time, a reason is needed and a second operator's approval (`approve`): it would take draws away from
    what they promise. Args: random_bytes(n) gives n bytes nobody can predict (`secrets.token_bytes`). Raises
    NothingToChange, DisclosureIncomplete, RulesRefused, PromiseNotBacked, OverlapsCampaigns (no reason),
    WrongState.
    """
    campaign = take(session, campaign_id)
    if campaign.state is not CampaignState.DRAFT:
        raise WrongState("the campaign has been published; save a version and publish the change")
    row, rules = _unpublished(session, campaign)
    _require_time_left(rules, now)
    commitment = make_commitment(random_bytes)
    campaign.seed, campaign.salt = commitment.seed.hex(), commitment.salt.hex()
    campaign.seed_sha256 = commitment.sha256
    return _publish_or_propose(session, campaign, row, rules, now=now, actor=actor, reason=reason)


def change(
    session: Session, *, campaign_id: int, now: datetime, actor: Actor, reason: str | None = None
) -> InForce:
    """Publish the saved version of a campaign that runs (DRAW-16), from the next draw on.

    What favours shoppers in every point is published at once; anything else, such as reaching over another
    campaign, needs a reason and waits for a second operator (`approve`). Raises NothingToChange,
    DisclosureIncomplete, RulesRefused, PromiseNotBacked, InvalidCampaign and OverlapsCampaigns (no reason),
    WrongState.
    """
    campaign = take(session, campaign_id)
    if campaign.state not in (CampaignState.PUBLISHED, CampaignState.STOPPED):
        raise WrongState(f"the campaign is {campaign.state}; only what has been published can be changed")
    row, rules = _unpublished(session, campaign)
    if not _changes(session, campaign, rules, now=now):
        raise NothingToChange("the saved version says the same as the one in force")
    return _publish_or_propose(session, campaign, row, rules, now=now, actor=actor, reason=reason)


def _publish_or_propose(
    session: Session,
    campaign: Campaign,
    row: CampaignVersion,
    rules: Rules,
    *,
    now: datetime,
    actor: Actor,
    reason: str | None,
) -> InForce:
    """Put a version in force, or let it wait for a second operator where shoppers could lose by it."""
    close_ranks(session, campaign.brand_id)
    action = Action.CHANGED if campaign.version else Action.PUBLISHED
    found = _changes(session, campaign, rules, now=now)
    asks = rules.profile.immutable_after_start and needs_approval(found)
    if asks and not (reason or "").strip():
        _refuse_overlaps(found)
    if asks or reason:
        reason = read_reason(reason)
    detail: dict[str, Json] = {}
    if found:
        detail["changed"] = [[item.path, item.favours_shoppers] for item in found]
    if asks:
        action = Action.PROPOSED
        VERSION_TRANSITIONS.require(row.state, VersionState.PROPOSED)
        _require_publishable(session, campaign, rules, now=now)
        row.state, row.reason, row.proposed_by = VersionState.PROPOSED, reason, actor.label[:64]
        session.flush()
    else:
        _put_in_force(session, campaign, row, rules, now=now)
        detail |= _hashes(campaign, row)
    log(session, campaign.id, action, row.version, now=now, actor=actor, reason=reason, detail=detail)
    return InForce(campaign.id, row.version, row.sha256, published=not asks, changed=tuple(found))


def approve(session: Session, *, campaign_id: int, rules_sha256: str, now: datetime, actor: Actor) -> InForce:
    """Approve and publish a proposed version, as an operator who did not propose it.

    Args: rules_sha256 names what the approver has read. Raises ProposalChanged (also when another campaign
    has come since that it would overlap), SecondOperatorNeeded, NothingToChange, and what publishing raises.
    """
    campaign = take(session, campaign_id)
    if campaign.state is CampaignState.ENDED:
        raise WrongState("the campaign has ended; nothing of it can be changed")
    row, rules = _unpublished(session, campaign)
    if row.state is not VersionState.PROPOSED:
        raise NothingToChange("nothing waits for approval")
    if row.sha256 != rules_sha256:
        raise ProposalChanged("the proposal is not the one that was read", sha256=row.sha256)
    require_second(actor, row.proposed_by)
    if not campaign.version:
        _require_time_left(rules, now)
    close_ranks(session, campaign.brand_id)
    found = _changes(session, campaign, rules, now=now)
    if not _overlaps(found) <= _overlaps_proposed(session, row):
        raise ProposalChanged(
            "it now overlaps a campaign that the proposal does not name; withdraw it and propose again"
        )
    action = Action.CHANGED if campaign.version else Action.PUBLISHED
    row.approved_by = actor.label[:64]
    _put_in_force(session, campaign, row, rules, now=now)
    detail = _hashes(campaign, row) | {"proposed_by": row.proposed_by}
    log(session, campaign_id, action, row.version, now=now, actor=actor, reason=row.reason, detail=detail)
    return InForce(campaign_id, row.version, row.sha256, published=True, changed=tuple(found))


@dataclass(frozen=True, slots=True)
class Saved:
    """The version that is not in force yet: the hash of its rules, and whether it waits for approval."""

    sha256: str
    is_proposed: bool


def saved_version(session: Session, *, campaign_id: int) -> Saved:
    """Return the unpublished version, the campaign locked; raise NothingToChange, UnknownCampaign."""
    row, _ = _unpublished(session, take(session, campaign_id))
    return Saved(row.sha256, row.state is VersionState.PROPOSED)


def withdraw(session: Session, *, campaign_id: int, reason: str, now: datetime, actor: Actor) -> None:
    """Take a proposed change back, or turn it down; it stays as a draft."""
    campaign = take(session, campaign_id)
    row, _ = _unpublished(session, campaign)
    VERSION_TRANSITIONS.require(row.state, VersionState.DRAFT)
    row.state, row.reason, row.proposed_by = VersionState.DRAFT, None, None
    session.flush()
    words = read_reason(reason)
    log(session, campaign_id, Action.WITHDRAWN, row.version, now=now, actor=actor, reason=words)


def stop(session: Session, *, campaign_id: int, reason: str, now: datetime, actor: Actor) -> None:
    """Stop a campaign at once: an emergency act of its own; what was won stays won (DRAW-16)."""
    campaign = take(session, campaign_id)
    CAMPAIGN_TRANSITIONS.require(campaign.state, CampaignState.STOPPED)
    campaign.state, campaign.stopped_by = CampaignState.STOPPED, actor.label[:64]
    session.flush()
    log(session, campaign_id, Action.STOPPED, now=now, actor=actor, reason=read_reason(reason))


def resume(session: Session, *, campaign_id: int, reason: str, now: datetime, actor: Actor) -> None:
    """Let a stopped campaign go on."""
    campaign = take(session, campaign_id)
    if campaign.state is not CampaignState.STOPPED:
        raise WrongState("only a stopped campaign can go on")
    campaign.state, campaign.stopped_by = CampaignState.PUBLISHED, None
    session.flush()
    log(session, campaign_id, Action.RESUMED, now=now, actor=actor, reason=read_reason(reason))


def end(
    session: Session, *, campaign_id: int, now: datetime, actor: Actor, reason: str | None = None
) -> None:
    """End a campaign for good; its seed is public from now on, and no draw follows.

    Before the published end that takes a stop first, a reason, and another operator than the one who stopped
    it: shoppers hold codes that they were promised a draw for. Raises WrongState, SecondOperatorNeeded.
    """
    campaign = take(session, campaign_id)
    CAMPAIGN_TRANSITIONS.require(campaign.state, CampaignState.ENDED)
    assert campaign.ends_at is not None
    if now < campaign.ends_at:
        if campaign.state is not CampaignState.STOPPED:
            raise WrongState("its period is not over: stop it first, or shorten the period by a change")
        reason = read_reason(reason)
        if actor.kind is not ActorKind.OPERATOR or actor.label[:64] == campaign.stopped_by:
            raise SecondOperatorNeeded("another operator than the one who stopped it ends it early")
    campaign.state, campaign.ended_at = CampaignState.ENDED, now
    session.flush()
    log(session, campaign_id, Action.ENDED, now=now, actor=actor, reason=reason)


def end_due(session: Session, *, now: datetime, limit: int = 20) -> int:
    """End at most `limit` campaigns whose period is over; return how many. Harmless when repeated."""
    living = (CampaignState.PUBLISHED, CampaignState.STOPPED)
    due = (
        select(Campaign.id)
        .where(Campaign.state.in_(living), Campaign.ends_at <= now)
        .order_by(Campaign.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = session.scalars(due).all()
    for campaign_id in ids:
        end(session, campaign_id=campaign_id, now=now, actor=SYSTEM)
    return len(ids)


def take(session: Session, campaign_id: int) -> Campaign:
    """Return a campaign, locked for the rest of the transaction; raise UnknownCampaign."""
    wanted = select(Campaign).where(Campaign.id == campaign_id).with_for_update()
    found = session.scalar(wanted.execution_options(populate_existing=True))
    if found is None:
        raise UnknownCampaign("there is no campaign with this id; `saoma campaigns list` shows them")
    return found


def rules_of(session: Session, campaign_id: int, version: int) -> Rules:
    """Return the rules of a version; raise NothingToChange when there is no such version."""
    row = session.get(CampaignVersion, (campaign_id, version))
    if row is None:
        raise NothingToChange("no such version has been saved; save the rules first")
    return parse_rules(row.rules)


def read_reason(reason: str | None) -> str:
    """Return a reason fit to be stored; raise InvalidCampaign without one."""
    words = (reason or "").strip()
    if not 1 <= len(words) <= _MAX_REASON:
        raise InvalidCampaign(f"say why, in 1 to {_MAX_REASON} characters")
    return words


def log(
    session: Session,
    campaign_id: int,
    action: Action,
    version: int | None = None,
    *,
    now: datetime,
    actor: Actor,
    reason: str | None = None,
    detail: Mapping[str, Json] | None = None,
) -> None:
    """Write one line of a campaign's history."""
    row = {
        "id": new_id(),
        "campaign_id": campaign_id,
        "action": action,
        "version": version,
        "reason": reason,
        "detail": dict(detail or {}),
        "at": now,
        "by": actor.label[:64],
    }
    session.connection().execute(insert(CampaignEvent), row)


def _unpublished(session: Session, campaign: Campaign) -> tuple[CampaignVersion, Rules]:
    row = session.get(CampaignVersion, (campaign.id, campaign.version + 1))
    if row is None:
        raise NothingToChange("no new version has been saved; save the rules first")
    return row, parse_rules(row.rules)


_OVERLAPS = "overlaps."


def _changes(session: Session, campaign: Campaign, rules: Rules, *, now: datetime) -> list[Change]:
    """Return what is new against the version in force, the campaigns that are newly overlapped included."""
    found: list[Change] = []
    if campaign.version:
        in_force = rules_of(session, campaign.id, campaign.version)
        found = changes(in_force, rules)
        if same_reach(in_force, rules):
            return found
    others = overlapping(session, campaign, rules, now=now)
    return [*found, *[Change(f"{_OVERLAPS}{other.key}", favours_shoppers=False) for other in others]]


def _overlaps(found: Sequence[Change]) -> set[str]:
    return {item.path for item in found if item.path.startswith(_OVERLAPS)}


def _overlaps_proposed(session: Session, row: CampaignVersion) -> set[str]:
    """Return the overlaps that the proposal of a version names, as its history tells."""
    proposed = (
        select(CampaignEvent.detail)
        .where(
            CampaignEvent.campaign_id == row.campaign_id,
            CampaignEvent.version == row.version,
            CampaignEvent.action == Action.PROPOSED,
        )
        .order_by(CampaignEvent.id.desc())
        .limit(1)
    )
    detail = session.scalars(proposed).one()
    return {path for path, _ in detail["changed"]}


def _refuse_overlaps(found: Sequence[Change]) -> None:
    detail = "is held for the same codes; publish with a reason, and another operator approves it"
    faults = [Fault(path, OverlapsCampaigns.code, detail) for path in sorted(_overlaps(found))]
    if faults:
        raise OverlapsCampaigns(faults)


def require_second(actor: Actor, proposed_by: str | None) -> None:
    """Raise SecondOperatorNeeded unless an operator acts who is another one than the proposer: four eyes."""
    if actor.kind is not ActorKind.OPERATOR or actor.label[:64] == proposed_by:
        raise SecondOperatorNeeded("this is approved by another operator than its proposer")


def _require_time_left(rules: Rules, now: datetime) -> None:
    if rules.period.ends_at <= now:
        raise WrongState("the period of the campaign is over before its start")


def _require_own_payer(session: Session, payer_id: int, brand_id: int) -> None:
    """Raise InvalidCampaign unless the payer is the brand's own, or the enterprise's for all its brands."""
    if payer(session, payer_id).brand_id not in (None, brand_id):
        raise InvalidCampaign("this merchant number pays for another brand; choose one of the campaign's own")


def _require_allowed(session: Session, rules: Rules, payer_id: int | None) -> None:
    if payer_id is None:
        faults = refusals(rules, payer_limit_fen=None)
    else:
        paying = payer(session, payer_id)
        least = least_fen(paying.method, paying.scene_id)
        faults = refusals(rules, payer_limit_fen=paying.product_max_fen, payer_least_fen=least)
    if faults:
        raise RulesRefused(faults)


def _require_publishable(session: Session, campaign: Campaign, rules: Rules, *, now: datetime) -> None:
    """Raise unless rules are lawful, complete and backed; opens the accounts that they need."""
    _require_allowed(session, rules, campaign.payer_id)
    missing = missing_fields(rules) if rules.profile.disclosure_required else []
    if missing:
        raise DisclosureIncomplete(missing)
    if any(prize.kind is PrizeKind.POINTS for prize in rules.prizes):
        points.issued(session, kind=PointsKind.SPENDABLE, brand_id=campaign.brand_id, now=now)
    require_backing(session, open_accounts(session, campaign, needed(rules), now=now), rules)


def _put_in_force(
    session: Session, campaign: Campaign, row: CampaignVersion, rules: Rules, *, now: datetime
) -> None:
    VERSION_TRANSITIONS.require(row.state, VersionState.PUBLISHED)
    _require_publishable(session, campaign, rules, now=now)
    assert campaign.seed_sha256 is not None
    beside = [other.rules for other in overlapping(session, campaign, rules, now=now)]
    made = publish_text(rules, version=row.version, commitment_sha256=campaign.seed_sha256, beside=beside)
    row.text_zh, row.text_en, row.text_sha256 = made.text.zh, made.text.en, made.sha256
    row.state, row.published_at = VersionState.PUBLISHED, now
    campaign.version = row.version
    campaign.starts_at, campaign.ends_at = rules.period.starts_at, rules.period.ends_at
    if campaign.state is CampaignState.DRAFT:
        campaign.state = CampaignState.PUBLISHED
    session.flush()


def _hashes(campaign: Campaign, row: CampaignVersion) -> dict[str, Json]:
    return {"sha256": row.sha256, "text_sha256": row.text_sha256, "seed_sha256": campaign.seed_sha256}
