"""Rules that a brand draws by."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.campaigns.risk_rules import switch_rules
from app.kernel.actor import Actor, ActorKind
from app.risk.models import Mode
from app.risk.policies import save_policy
from app.risk.policy import Policy

_OPERATOR = Actor(ActorKind.OPERATOR, "olga")


def switch_on(
    session: Session,
    *,
    brand_id: int,
    rules: Policy,
    now: datetime,
    mode: Mode = Mode.ENFORCE,
    captchas: bool = False,
    **more: Any,
) -> int:
    """Save rules and switch them on; return their version. `captchas`: an account for them is connected."""
    version = save_policy(
        session, brand_id=brand_id, document=rules.to_json(), now=now, actor=_OPERATOR, **more
    )
    switch_rules(
        session,
        brand_id=brand_id,
        mode=mode,
        version=version,
        reason="tried",
        now=now,
        actor=_OPERATOR,
        captchas=captchas,
        **more,
    )
    return version
