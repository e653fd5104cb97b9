"""The other campaigns of a brand that a campaign would be held beside."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns.models import Campaign, CampaignState, CampaignVersion
from app.campaigns.overlap import may_overlap
from app.campaigns.parser import parse_rules
from app.campaigns.rules import Rules
from app.organisation.models import Brand

# A stopped campaign may go on at any moment.
_LIVING = (CampaignState.PUBLISHED, CampaignState.STOPPED)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A campaign that runs, is scheduled or is stopped, and the rules it has in force."""

    campaign_id: int
    key: str
    rules: Rules


def close_ranks(session: Session, brand_id: int) -> None:
    """Let nobody else put rules of this brand in force until the transaction ends.

    Two campaigns published at the same moment would otherwise not see each other.
    """
    session.execute(select(Brand.id).where(Brand.id == brand_id).with_for_update())


def overlapping(session: Session, campaign: Campaign, rules: Rules, *, now: datetime) -> list[Neighbour]:
    """Return the brand's living campaigns that `rules` of this campaign may overlap, the oldest first."""
    wanted = (
        select(Campaign.id, Campaign.key, CampaignVersion.rules)
        .join(
            CampaignVersion,
            (CampaignVersion.campaign_id == Campaign.id) & (CampaignVersion.version == Campaign.version),
        )
        .where(
            Campaign.brand_id == campaign.brand_id,
            Campaign.id != campaign.id,
            Campaign.state.in_(_LIVING),
            Campaign.ends_at > now,
        )
        .order_by(Campaign.id)
    )
    others = [Neighbour(row.id, row.key, parse_rules(row.rules)) for row in session.execute(wanted)]
    return [other for other in others if may_overlap(rules, other.rules)]
