"""Friends who help to unlock a red packet, each by a real step of their own (DRAW-15, contract 13.7).

The benefit is the fixed amount that was won and published; the friend gets nothing for helping, and the
link alone does nothing: whoever helps has scanned a code and drawn in the campaign since the award was won.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app.campaigns.errors import HelpedAlready, HelpNotWanted, HelpPaused, OwnAward, StepWanted
from app.campaigns.models import AwardHelp, Draw
from app.db.engine import Replay
from app.db.once import insert_once
from app.identity.clusters import lock_cluster
from app.identity.errors import VirtualPerson
from app.identity.models import Person
from app.identity.queries import Principal
from app.organisation.penalties import is_paused
from app.rewards.models import AwardState
from app.rewards.terms import lock


def help_award(session: Session, *, award_id: int, principal: Principal, now: datetime) -> None:
    """Help with an award, once in its campaign for all accounts of a person; again is no second help.

    The cluster is locked first, so that no merge passes by, then the award, so that it does not lapse.
    Raises VirtualPerson, HelpPaused, UnknownAward, HelpNotWanted, OwnAward, HelpedAlready, StepWanted.
    """
    if principal.virtual:
        raise VirtualPerson("this visit has no WeChat identity; open the mini-program and sign in")
    require_help_allowed(session, app_id=principal.app_id)
    cluster = lock_cluster(session, person_id=principal.person_id)
    terms = lock(session, award_id)
    if terms.person_id in cluster.person_ids:
        raise OwnAward("send the link to friends")
    if not terms.unlock_helpers or terms.state is not AwardState.COLLECTIBLE or terms.deadline_at <= now:
        raise HelpNotWanted("it needs no help, or not any more")
    helped = select(AwardHelp.award_id).where(
        AwardHelp.campaign_id == terms.campaign_id, AwardHelp.person_id.in_(cluster.person_ids)
    )
    before = set(session.connection().execute(helped).scalars())
    if award_id in before:
        return
    if before:
        raise HelpedAlready("everybody helps once in a campaign")
    step = (
        select(Draw.id)
        .where(
            Draw.person_id.in_(cluster.person_ids),
            Draw.campaign_id == terms.campaign_id,
            Draw.at > terms.granted_at,
        )
        .order_by(Draw.at)
        .limit(1)
    )
    draw_id = session.connection().execute(step).scalar()
    if draw_id is None:
        raise StepWanted("scan a code of your own and draw in this campaign, then help")
    row = {
        "award_id": award_id,
        "person_id": principal.person_id,
        "campaign_id": terms.campaign_id,
        "draw_id": draw_id,
        "helped_at": now,
    }
    if not insert_once(session, insert(AwardHelp), row):
        raise Replay


def require_help_allowed(session: Session, *, app_id: int) -> None:
    """Raise HelpPaused while the platform's penalty against an app is open (`app.organisation.penalties`)."""
    if is_paused(session, app_id=app_id):
        raise HelpPaused("friends cannot help at the moment; what waits for them does not lapse meanwhile")


def helpers(session: Session, *, award_id: int, person_ids: Sequence[int]) -> int:
    """Return how many different persons have helped with an award, none of them its winner's.

    `person_ids` is the winner's cluster: helpers that were merged since count once, or not at all.
    """
    wanted = (
        select(func.count(func.distinct(Person.one_id)))
        .join(AwardHelp, AwardHelp.person_id == Person.id)
        .where(AwardHelp.award_id == award_id, AwardHelp.person_id.not_in(person_ids))
    )
    return session.connection().execute(wanted).scalar_one()
