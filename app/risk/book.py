"""The risk rules in force, at hand: read again every few seconds, so that a switch holds everywhere soon."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.risk.models import Mode, RiskPolicy, RiskSwitch
from app.risk.policy import Policy, parse_policy

STALE = timedelta(seconds=10)
"""For so long a process may follow rules that have just been switched."""

_NOTHING = Policy(())
_IN_FORCE = (
    select(RiskSwitch.campaign_id, RiskSwitch.mode, RiskPolicy.id, RiskPolicy.document)
    .outerjoin_from(RiskSwitch, RiskPolicy, RiskPolicy.id == RiskSwitch.policy_id)
    .where(RiskSwitch.brand_id == bindparam("brand"))
    .order_by(RiskSwitch.id)
)


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules that hold for a campaign. `policy_id` is 0 while a brand only observes."""

    mode: Mode
    policy_id: int
    policy: Policy = field(default=_NOTHING)


@dataclass(frozen=True, slots=True)
class _Brand:
    read_at: datetime
    scopes: Mapping[int, InForce]


class RiskBook:
    """Keeps the rules in force for one process; shared by all its threads.

    captchas: whether this process can have captchas checked. Where it cannot, rules that ask for one ask for
    a phone: a step that nobody can take would be a refusal that nobody has published.
    """

    def __init__(self, *, captchas: bool = False) -> None:
        self._captchas = captchas
        self._lock = threading.Lock()
        self._brands: dict[int, _Brand] = {}

    def in_force(self, session: Session, *, brand_id: int, campaign_id: int, now: datetime) -> InForce | None:
        """Return the campaign's own rules, else its brand's; None when they are switched off.

        No statement while what was read is less than STALE old, then one.
        """
        scopes = self._scopes(session, brand_id, now)
        found = scopes.get(campaign_id) or scopes.get(0)
        return None if found is None or found.mode is Mode.OFF else found

    def watches(self, session: Session, *, brand_id: int, now: datetime) -> bool:
        """Tell whether the brand's scans are to be counted: any of its scopes is on."""
        return any(scope.mode is not Mode.OFF for scope in self._scopes(session, brand_id, now).values())

    def forget(self) -> None:
        """Read everything again."""
        with self._lock:
            self._brands.clear()

    def _scopes(self, session: Session, brand_id: int, now: datetime) -> Mapping[int, InForce]:
        with self._lock:
            known = self._brands.get(brand_id)
        if known is not None and abs(now - known.read_at) < STALE:
            return known.scopes
        rows: Any = session.connection().execute(_IN_FORCE, {"brand": brand_id})
        scopes = {
            campaign: InForce(mode, policy or 0, _NOTHING if document is None else self._parse(document))
            for campaign, mode, policy, document in rows
        }
        with self._lock:
            self._brands[brand_id] = _Brand(now, scopes)
        return scopes

    def _parse(self, document: Any) -> Policy:
        policy = parse_policy(document)
        return policy if self._captchas else policy.without_captcha
