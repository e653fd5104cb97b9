"""What becomes of locked awards when nobody can unlock them any more, or not now (DRAW-11, DRAW-15).

While a campaign is stopped, or the platform's penalty pauses friends' help, they stand still: no deadline
passes. Once the campaign has ended, the step that nobody can take any more falls away, and they can be
collected until their deadline. Both favour shoppers, so they bind whatever an older published text says.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns.models import Campaign, CampaignState
from app.organisation.penalties import paused_brands
from app.rewards.queries import AwardView, award_of_draw
from app.rewards.standstill import Standstill


def standstill(session: Session) -> Standstill:
    """Return where awards cannot be unlocked now: stopped campaigns, and apps that the platform punished."""
    stopped = select(Campaign.id).where(Campaign.state == CampaignState.STOPPED)
    return Standstill(
        campaigns=list(session.connection().execute(stopped).scalars()), brands=paused_brands(session)
    )


def as_they_stand(session: Session, awards: Sequence[AwardView]) -> list[AwardView]:
    """Return awards without the steps that have fallen away; no statement where none is locked."""
    locked = {award.campaign_id for award in awards if award.unlock_draws or award.unlock_helpers}
    if not locked:
        return list(awards)
    ended = select(Campaign.id).where(Campaign.id.in_(locked), Campaign.state == CampaignState.ENDED)
    over = set(session.connection().execute(ended).scalars())
    return [
        award._replace(unlock_draws=0, unlock_helpers=0) if award.campaign_id in over else award
        for award in awards
    ]


def of_draw(session: Session, *, draw_id: int) -> AwardView | None:
    """Return what a draw was awarded with, as it stands; None when it brought nothing to keep."""
    found = award_of_draw(session, draw_id=draw_id)
    return None if found is None else as_they_stand(session, [found])[0]
