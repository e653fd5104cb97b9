"""Reading awards. What a person may see is asked for with the person ids of their cluster."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Executable, select
from sqlalchemy.orm import Session

from app.rewards.errors import UnknownAward
from app.rewards.models import Award, AwardKind, AwardState, DeliveryWay


class AwardView(NamedTuple):
    """An award as others see it: `amount_fen` fen of money or `points` points, by `kind`.

    `withheld_fen` of the money is tax and is not paid out; `borne_fen` of tax its brand pays on top.
    """

    id: int
    brand_id: int
    campaign_id: int
    draw_id: int | None
    person_id: int
    kind: AwardKind
    amount_fen: int
    points: int
    delivery: DeliveryWay | None
    name_zh: str
    name_en: str
    state: AwardState
    reason: str | None
    unlock_draws: int
    unlock_helpers: int
    granted_at: datetime
    deadline_at: datetime
    resolved_at: datetime | None
    withheld_fen: int
    borne_fen: int


_VIEW = (
    Award.id,
    Award.brand_id,
    Award.campaign_id,
    Award.draw_id,
    Award.person_id,
    Award.kind,
    Award.amount_fen,
    Award.points,
    Award.delivery,
    Award.name_zh,
    Award.name_en,
    Award.state,
    Award.reason,
    Award.unlock_draws,
    Award.unlock_helpers,
    Award.granted_at,
    Award.deadline_at,
    Award.resolved_at,
    Award.withheld_fen,
    Award.borne_fen,
)


def award(session: Session, *, award_id: int, person_ids: Sequence[int]) -> AwardView:
    """Return an award of this cluster; raise UnknownAward, also when it is somebody else's."""
    found = _first(session, select(*_VIEW).where(Award.id == award_id, Award.person_id.in_(person_ids)))
    if found is None:
        raise UnknownAward("you have no award with this id")
    return found


def award_of_draw(session: Session, *, draw_id: int) -> AwardView | None:
    """Return what a draw was awarded with; None when it brought nothing to keep."""
    return _first(session, select(*_VIEW).where(Award.draw_id == draw_id))


def awards(
    session: Session,
    *,
    person_ids: Sequence[int],
    before_id: int | None = None,
    limit: int = 20,
    state: AwardState | None = None,
) -> list[AwardView]:
    """Return a cluster's awards, the newest first; `before_id` is the last id of the page before."""
    wanted = select(*_VIEW).where(Award.person_id.in_(person_ids)).order_by(Award.id.desc()).limit(limit)
    if before_id is not None:
        wanted = wanted.where(Award.id < before_id)
    if state is not None:
        wanted = wanted.where(Award.state == state)
    return [AwardView._make(row) for row in session.connection().execute(wanted)]


def held(session: Session, *, brand_id: int, after_id: int | None = None, limit: int = 50) -> list[AwardView]:
    """Return a brand's awards that wait for a review, the oldest first, with the reasons."""
    wanted = (
        select(*_VIEW)
        .where(Award.state == AwardState.HELD, Award.brand_id == brand_id)
        .order_by(Award.id)
        .limit(limit)
    )
    if after_id is not None:
        wanted = wanted.where(Award.id > after_id)
    return [AwardView._make(row) for row in session.connection().execute(wanted)]


def _first(session: Session, wanted: Executable) -> AwardView | None:
    row = session.connection().execute(wanted).first()
    return None if row is None else AwardView._make(row)
