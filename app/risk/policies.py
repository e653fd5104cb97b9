"""Saving versions of risk rules, and switching them on and off."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app.db.engine import Replay
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.organisation.models import Brand
from app.risk.errors import InvalidPolicy, UnknownPolicy
from app.risk.models import Mode, RiskPolicy, RiskSwitch
from app.risk.policy import parse_policy

_MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A version of risk rules; `campaign_id` 0 is the brand's default. `document` is the normal form."""

    id: int
    campaign_id: int
    version: int
    sha256: str
    saved_at: datetime
    saved_by: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SwitchView:
    """One act of switching; `version` None when no rules were named."""

    campaign_id: int
    mode: Mode
    version: int | None
    reason: str
    at: datetime
    by: str


def save_policy(
    session: Session, *, brand_id: int, document: object, now: datetime, actor: Actor, campaign_id: int = 0
) -> int:
    """Save the next version of a brand's or a campaign's risk rules and return its number.

    Nothing changes for shoppers until it is switched on. Raises InvalidPolicy with every fault.
    """
    policy = parse_policy(document)
    scope = (RiskPolicy.brand_id == brand_id, RiskPolicy.campaign_id == campaign_id)
    last = session.connection().execute(select(func.max(RiskPolicy.version)).where(*scope)).scalar()
    row = {
        "id": new_id(),
        "brand_id": brand_id,
        "campaign_id": campaign_id,
        "version": (last or 0) + 1,
        "document": policy.to_json(),
        "sha256": policy.sha256,
        "saved_at": now,
        "saved_by": actor.label[:64],
    }
    if not insert_once(session, insert(RiskPolicy), row):
        raise Replay  # somebody else saved one at the same moment
    return (last or 0) + 1


def switch(
    session: Session,
    *,
    brand_id: int,
    mode: Mode,
    reason: str,
    now: datetime,
    actor: Actor,
    campaign_id: int = 0,
    version: int | None = None,
) -> None:
    """Switch risk rules off, to observing, or on; what was switched before stays on record.

    Enforcing needs a version of this scope. Raises InvalidPolicy, UnknownPolicy.
    """
    if not 1 <= len(reason.strip()) <= _MAX_REASON:
        raise InvalidPolicy([f"a reason has 1 to {_MAX_REASON} characters"])
    if mode is Mode.ENFORCE and version is None:
        raise InvalidPolicy(["say which version is to be enforced"])
    policy_id = None
    if version is not None and mode is not Mode.OFF:
        policy_id = policy_of(session, brand_id=brand_id, campaign_id=campaign_id, version=version).id
    row = {
        "id": new_id(),
        "brand_id": brand_id,
        "campaign_id": campaign_id,
        "policy_id": policy_id,
        "mode": mode,
        "reason": reason.strip(),
        "at": now,
        "by": actor.label[:64],
    }
    session.connection().execute(insert(RiskSwitch), row)


_VIEW = (
    RiskPolicy.id,
    RiskPolicy.campaign_id,
    RiskPolicy.version,
    RiskPolicy.sha256,
    RiskPolicy.saved_at,
    RiskPolicy.saved_by,
    RiskPolicy.document,
)


def policy_of(session: Session, *, brand_id: int, version: int, campaign_id: int = 0) -> PolicyView:
    """Return a version of risk rules; raise UnknownPolicy."""
    wanted = select(*_VIEW).where(
        RiskPolicy.brand_id == brand_id, RiskPolicy.campaign_id == campaign_id, RiskPolicy.version == version
    )
    row = session.connection().execute(wanted).first()
    if row is None:
        raise UnknownPolicy("there is no such version; `saoma risk show` lists them")
    return PolicyView(*row)


def policies(session: Session, *, brand_id: int) -> Sequence[PolicyView]:
    """Return a brand's risk rules, the newest first."""
    wanted = select(*_VIEW).where(RiskPolicy.brand_id == brand_id).order_by(RiskPolicy.id.desc())
    return [PolicyView(*row) for row in session.connection().execute(wanted)]


def brands_asking_for_captcha(session: Session) -> list[str]:
    """Return the short names of the brands of which enforced rules may ask for a captcha, ascending."""
    latest = select(func.max(RiskSwitch.id)).group_by(RiskSwitch.brand_id, RiskSwitch.campaign_id)
    wanted = (
        select(Brand.slug, RiskPolicy.document)
        .join_from(RiskSwitch, RiskPolicy, RiskPolicy.id == RiskSwitch.policy_id)
        .join(Brand, Brand.id == RiskSwitch.brand_id)
        .where(RiskSwitch.id.in_(latest), RiskSwitch.mode == Mode.ENFORCE)
    )
    found = session.connection().execute(wanted)
    return sorted({slug for slug, document in found if parse_policy(document).asks_for_captcha})


def switches(session: Session, *, brand_id: int, limit: int = 50) -> Sequence[SwitchView]:
    """Return what was switched, the newest first."""
    wanted = (
        select(
            RiskSwitch.campaign_id,
            RiskSwitch.mode,
            RiskPolicy.version,
            RiskSwitch.reason,
            RiskSwitch.at,
            RiskSwitch.by,
        )
        .outerjoin_from(RiskSwitch, RiskPolicy, RiskPolicy.id == RiskSwitch.policy_id)
        .where(RiskSwitch.brand_id == brand_id)
        .order_by(RiskSwitch.id.desc())
        .limit(limit)
    )
    return [SwitchView(*row) for row in session.connection().execute(wanted)]
