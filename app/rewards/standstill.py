"""Awards that nobody can unlock at the moment: they do not lapse, and their deadline moves before it is near.

An award that waits for draws or for friends must not be lost because its organiser stopped the campaign, or
because the platform forbids friends to help. Whoever wins by that is the shopper, which published rules
always allow (contract 14.1).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, false, or_, select, update
from sqlalchemy.orm import Session

from app.rewards.models import Award, AwardState

KEEPS = timedelta(days=3)
"""What is left at least of the time to unlock an award when unlocking goes on."""
KEPT = timedelta(days=7)
"""How far away a deadline is moved that would come nearer than that."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Where awards cannot be unlocked now.

    campaigns: neither by draws nor by friends. brands: not by friends; None stands for all brands.
    """

    campaigns: Collection[int] = ()
    brands: Collection[int | None] = ()

    def holds(self) -> ColumnElement[bool]:
        """Return the condition on an award that it cannot be unlocked now."""
        by_friends = Award.unlock_helpers > 0
        brands = by_friends if None in self.brands else by_friends & Award.brand_id.in_(self.brands)
        stopped = or_(Award.unlock_draws > 0, by_friends) & Award.campaign_id.in_(self.campaigns)
        return or_(stopped if self.campaigns else false(), brands if self.brands else false())


NOWHERE = Standstill()


def keep(session: Session, standstill: Standstill, *, now: datetime, limit: int) -> int:
    """Move at most `limit` deadlines that are near, or have just passed; return how many were moved."""
    near = (
        select(Award.id)
        .where(
            Award.state == AwardState.COLLECTIBLE,
            Award.deadline_at <= now + KEEPS,
            standstill.holds(),
        )
        .order_by(Award.deadline_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(session.connection().execute(near).scalars())
    if ids:
        moved = update(Award).where(Award.id.in_(ids), Award.state == AwardState.COLLECTIBLE)
        session.connection().execute(moved.values(deadline_at=now + KEPT))
    return len(ids)
