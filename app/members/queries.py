"""Reading memberships, policies and placements. What a request needs each time is one prebuilt statement."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BindParameter, bindparam, func, select
from sqlalchemy.orm import Session

from app.db.prepared import Prepared
from app.identity.interfaces import Evidence
from app.members.errors import PolicyMissing, UnknownPlacement
from app.members.models import AgeBand, Consent, Member, Placement, PlacementKind, Policy

TWO_MEMBERS = "two_members"


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A version of the privacy policy."""

    version: str
    text_zh: str
    text_en: str
    sha256: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """A cluster's membership: the one that was joined first.

    `consent_is_current` says that the current version of the policy was agreed to by anyone of the cluster
    and not withdrawn.
    """

    member_id: int
    person_id: int
    member_no: str
    tier: str | None
    age_band: AgeBand
    joined_at: datetime
    consent_is_current: bool


@dataclass(frozen=True, slots=True)
class PlacementView:
    """A join code that hangs somewhere."""

    id: int
    key: str
    kind: PlacementKind
    brand_id: int | None
    label: str
    store_ref: str | None
    guide_ref: str | None


_CURRENT = select(Policy.version).order_by(Policy.published_at.desc(), Policy.id.desc()).limit(1)
_PERSONS: BindParameter[Sequence[int]] = bindparam("persons", expanding=True)
AGREED = (
    select(Consent.id)
    .where(
        Consent.person_id.in_(_PERSONS),
        Consent.policy_version == _CURRENT.scalar_subquery(),
        Consent.withdrawn_at.is_(None),
    )
    .exists()
)
"""Whether anyone of a cluster agrees to the current policy; parameter `persons`."""

_MEMBERSHIPS = (
    select(
        Member.id,
        Member.person_id,
        Member.member_no,
        Member.tier,
        Member.age_band,
        Member.joined_at,
        AGREED,
    )
    .where(Member.person_id.in_(_PERSONS))
    .order_by(Member.joined_at, Member.id)
)
_MEMBERSHIP = Prepared(_MEMBERSHIPS.limit(1))

JOINED_AND_AGREES = (select(Member.id).where(Member.person_id.in_(_PERSONS)).exists()) & AGREED
"""Whether a cluster has joined and agrees to the current policy; parameter `persons`."""

_POLICY = (
    select(Policy.version, Policy.text_zh, Policy.text_en, Policy.sha256, Policy.published_at)
    .order_by(Policy.published_at.desc(), Policy.id.desc())
    .limit(1)
)
_PLACEMENT = select(
    Placement.id,
    Placement.key,
    Placement.kind,
    Placement.brand_id,
    Placement.label,
    Placement.store_ref,
    Placement.guide_ref,
).where(Placement.closed_at.is_(None))


def membership(session: Session, *, person_ids: Collection[int]) -> Membership | None:
    """Return the membership of a cluster, or None for a potential customer (ID-22); one statement."""
    row = _MEMBERSHIP.first(session, {"persons": list(person_ids)})
    return None if row is None else Membership(*row)


def memberships(session: Session, *, person_ids: Collection[int]) -> Sequence[Membership]:
    """Return all memberships of a cluster, the one that counts first: members who were merged keep theirs."""
    rows = session.connection().execute(_MEMBERSHIPS, {"persons": list(person_ids)})
    return [Membership(*row) for row in rows]


def two_members(session: Session, *, left: Collection[int], right: Collection[int]) -> Evidence:
    """Say so when each of two clusters has a membership of its own: identity's Witness of a merge."""
    sides = [memberships(session, person_ids=persons) for persons in (left, right)]
    shown = [member.member_id for side in sides for member in side]
    return Evidence([TWO_MEMBERS] if all(sides) else [], shown)


def current_policy(session: Session) -> PolicyView:
    """Return the policy that holds now; raise PolicyMissing before the first one is published."""
    row = session.connection().execute(_POLICY).first()
    if row is None:
        raise PolicyMissing("no privacy policy is published; publish one with `saoma policies publish`")
    return PolicyView(*row)


def has_consented(session: Session, *, person_ids: Collection[int]) -> bool:
    """Tell whether anyone of a cluster agreed to the current policy and did not withdraw."""
    return bool(session.connection().execute(select(AGREED), {"persons": list(person_ids)}).scalar())


def person_by_member_no(session: Session, *, member_no: str) -> int | None:
    """Return the person who has a member number, or None."""
    wanted = select(Member.person_id).where(Member.member_no == member_no)
    found = session.connection().execute(wanted).scalar()
    return None if found is None else int(found)


def placement(session: Session, *, placement_id: int) -> PlacementView:
    """Return a placement that is not closed; raise UnknownPlacement."""
    row = session.connection().execute(_PLACEMENT.where(Placement.id == placement_id)).first()
    if row is None:
        raise UnknownPlacement("there is no such placement")
    return PlacementView(*row)


def resolve_placement(session: Session, *, key: str) -> PlacementView:
    """Return the placement that a QR code's key names, unless it is closed; raise UnknownPlacement."""
    row = session.connection().execute(_PLACEMENT.where(Placement.key == key)).first()
    if row is None:
        raise UnknownPlacement("this code does not hang anywhere (any more)")
    return PlacementView(*row)


def joined_by_placement(session: Session, *, placement_id: int) -> int:
    """Return how many members joined through a placement (JOIN-14)."""
    wanted = select(func.count()).where(Member.placement_id == placement_id)
    return int(session.connection().execute(wanted).scalar_one())
