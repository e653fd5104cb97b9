"""Joining, agreeing, withdrawing; tiers and placements."""

import base64
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from app.db import secrets
from app.db.once import insert_once
from app.identity import clusters
from app.identity import operations as identity
from app.identity.models import IdentitySource
from app.identity.queries import Cluster
from app.identity.values import Claimed, IdentifierKind
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.kernel.json import canonical
from app.members import marketing, member_no, queries
from app.members.errors import (
    GuardianConsentRequired,
    InvalidTier,
    NotAMember,
    NumbersExhausted,
    PolicyExists,
    PolicyOutdated,
    UnknownPlacement,
)
from app.members.models import (
    AgeBand,
    Consent,
    JoinChannel,
    JoinManner,
    Member,
    Placement,
    PlacementKind,
    Policy,
)
from app.members.queries import Membership, PlacementView

_TIER = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_TRIES = 20
_KEY_LENGTH = 8

CARD_SCOPE = "member_no"
"""The scope of our own member numbers among card numbers; cards of others carry their issuer's."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a member comes from; kept for ever (JOIN-04)."""

    channel: JoinChannel = JoinChannel.MINI_PROGRAM
    manner: JoinManner = JoinManner.SCAN
    placement_id: int | None = None
    inviter_person_id: int | None = None
    store_ref: str | None = None
    guide_ref: str | None = None


def join(
    session: Session,
    *,
    person_id: int,
    policy_version: str,
    age_band: AgeBand,
    guardian_consent: bool,
    source: Source,
    now: datetime,
    actor: Actor,
) -> Membership:
    """Make a person a member, with their consent to the current policy (JOIN-01, SEC-04).

    Whoever is a member already gets the same membership back, with the consent renewed where it had been
    withdrawn or the policy has changed; where they come from stays as it was first written. Raises
    VirtualPerson, PolicyMissing, PolicyOutdated, GuardianConsentRequired, UnknownPlacement.
    """
    identity.require_real(session, person_id=person_id)
    current = queries.current_policy(session)
    if policy_version != current.version:
        raise PolicyOutdated("show the current privacy policy and ask again", current=current.version)
    if age_band is AgeBand.UNDER_14 and not guardian_consent:
        raise GuardianConsentRequired("somebody under 14 joins with a guardian's consent only")
    # One human being joins once, through whichever of their accounts: the lock is on the cluster.
    cluster = clusters.lock_cluster(session, person_id=person_id)
    member = queries.membership(session, person_ids=cluster.person_ids)
    if member is None:
        _insert_member(session, cluster, person_id, age_band, source, now=now, actor=actor)
    if member is None or not member.consent_is_current:
        consent = {
            "id": new_id(),
            "person_id": person_id,
            "policy_version": current.version,
            "age_band": age_band,
            "guardian": age_band is AgeBand.UNDER_14,
            "given_at": now,
        }
        session.connection().execute(insert(Consent), consent)
    if member is not None and not member.consent_is_current and member.age_band is not age_band:
        # Children grow up: what is stated with the newest consent holds.
        older = update(Member).where(Member.id == member.member_id).values(age_band=age_band)
        session.connection().execute(older)
    joined = queries.membership(session, person_ids=cluster.person_ids)
    assert joined is not None
    return joined


def withdraw_consent(session: Session, *, person_id: int, now: datetime) -> int:
    """Withdraw every consent of a person, whichever account gave it; return how many were open (PIPL 15).

    Consent to marketing goes with it, uncounted. The membership stays: what was won and spent is the
    member's. Joining again renews the consent, not that to marketing.
    """
    cluster = clusters.lock_cluster(session, person_id=person_id)
    withdrawn = (
        update(Consent)
        .where(Consent.person_id.in_(cluster.person_ids), Consent.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
    )
    marketing.withdraw(session, person_id=person_id, now=now)
    return session.connection().execute(withdrawn).rowcount


def set_tier(
    session: Session, *, person_id: int, tier: str | None, now: datetime, actor: Actor
) -> Membership:
    """Set or clear the tier of a member; raise NotAMember or InvalidTier."""
    if tier is not None and not _TIER.fullmatch(tier):
        raise InvalidTier("a tier is a word of up to 32 lower-case letters, digits, - and _, such as diamond")
    cluster = clusters.lock_cluster(session, person_id=person_id)
    member = queries.membership(session, person_ids=cluster.person_ids)
    if member is None:
        raise NotAMember("this person has not joined")
    values = {"tier": tier, "tier_set_at": now, "tier_set_by": actor.label}
    session.connection().execute(update(Member).where(Member.id == member.member_id).values(values))
    changed = queries.membership(session, person_ids=cluster.person_ids)
    assert changed is not None
    return changed


def publish_policy(
    session: Session, *, version: str, text_zh: str, text_en: str, now: datetime
) -> queries.PolicyView:
    """Publish a version of the privacy policy, which is the current one from now on; raise PolicyExists.

    Everybody who agreed to an earlier version is asked again (PIPL 14).
    """
    digest = hashlib.sha256(canonical({"version": version, "text_zh": text_zh, "text_en": text_en}))
    row = {
        "id": new_id(),
        "version": version,
        "text_zh": text_zh,
        "text_en": text_en,
        "sha256": digest.hexdigest(),
        "published_at": now,
    }
    if not insert_once(session, insert(Policy), row):
        raise PolicyExists("this version is published and cannot change; give the new text a new version")
    return queries.PolicyView(version, text_zh, text_en, digest.hexdigest(), now)


def create_placement(
    session: Session,
    *,
    kind: PlacementKind,
    label: str,
    now: datetime,
    brand_id: int | None = None,
    store_ref: str | None = None,
    guide_ref: str | None = None,
) -> PlacementView:
    """Make a join code for a touchpoint (JOIN-14); its QR code holds the link with `key`."""
    placement_id = new_id()
    row = {
        "id": placement_id,
        "kind": kind,
        "brand_id": brand_id,
        "label": label,
        "store_ref": store_ref,
        "guide_ref": guide_ref,
        "created_at": now,
    }
    for attempt in range(_TRIES):
        digest = secrets.ring().blind("placements.key", f"{placement_id}/{attempt}")
        key = base64.b32encode(digest).decode()[:_KEY_LENGTH].lower()
        if insert_once(session, insert(Placement), {**row, "key": key}):
            return PlacementView(placement_id, key, kind, brand_id, label, store_ref, guide_ref)
    raise NumbersExhausted("no free placement key was found; try again")


def close_placement(session: Session, *, placement_id: int, now: datetime) -> None:
    """Close a placement: its code leads to the general start page; raise UnknownPlacement."""
    closed = (
        update(Placement)
        .where(Placement.id == placement_id, Placement.closed_at.is_(None))
        .values(closed_at=now)
    )
    if session.connection().execute(closed).rowcount == 0:
        raise UnknownPlacement("there is no such placement, or it is closed")


def _insert_member(
    session: Session,
    cluster: Cluster,
    person_id: int,
    age_band: AgeBand,
    source: Source,
    *,
    now: datetime,
    actor: Actor,
) -> None:
    if source.inviter_person_id in cluster.person_ids:
        # Nobody invites themselves, through another account neither.
        source = replace(source, inviter_person_id=None, store_ref=None, guide_ref=None)
    row = {
        "id": new_id(),
        "person_id": person_id,
        "age_band": age_band,
        "joined_at": now,
        "channel": source.channel,
        "manner": source.manner,
        "placement_id": source.placement_id,
        "inviter_person_id": source.inviter_person_id,
        "store_ref": source.store_ref,
        "guide_ref": source.guide_ref,
    }
    if source.placement_id is not None:
        hanging = queries.placement(session, placement_id=source.placement_id)
        row["store_ref"] = source.store_ref or hanging.store_ref
        row["guide_ref"] = source.guide_ref or hanging.guide_ref
    for attempt in range(_TRIES):
        number = member_no.from_digest(secrets.ring().blind("members.member_no", f"{person_id}/{attempt}"))
        if insert_once(session, insert(Member), {**row, "member_no": number}):
            break
        if queries.membership(session, person_ids=[person_id]) is not None:
            return  # Not the number: the person has joined, and joins once.
    else:
        raise NumbersExhausted("no free member number was found; try again")
    # The card number is a name like any other: an order that shows it is this person's (ID-01, ID-05).
    identity.attach(
        session,
        person_id=person_id,
        identifiers=[Claimed(IdentifierKind.MEMBER_CARD, CARD_SCOPE, number)],
        source=IdentitySource.JOIN,
        now=now,
        actor=actor,
    )
