"""What the tests of draws share: the plainest rules, and how many draws there were."""

from sqlalchemy import func, select

from app.campaigns.models import Draw
from tests.factories.campaign_world import CampaignWorld
from tests.factories.campaigns import money, pool

ONE_YUAN = {"prizes": [money("yuan", 100)], "pools": [pool("everybody", 0, {"yuan": 1})]}
SURE = {
    "prizes": [money("yuan", 100)],
    "pools": [pool("everybody", 0, {"yuan": 1}, hundred_percent_win=True)],
}


def draws(world: CampaignWorld) -> int:
    """Return how many draws have been made."""
    return world.read(lambda session: session.scalar(select(func.count()).select_from(Draw)) or 0)
