"""What a campaign publishes: its rules, its larger winners. The law wants both to be open (contract 14.1)."""

from typing import Any

from flask import Response

from app.campaigns import queries
from app.campaigns.errors import NothingPublished, UnknownCampaign
from app.http.api import Blueprint
from app.http.edge import respond_json
from app.http.paging import BadCursor, PageQuery
from miniprogram_api import context, present
from miniprogram_api.schemas import RulesAnswer, WinnersPage

campaigns = Blueprint("campaigns", __name__, url_prefix="/miniprogram/v1", description="What is published")


@campaigns.route("/campaigns/<campaign_id>/rules")
@campaigns.operation(
    answers={200: RulesAnswer},
    refusals=[UnknownCampaign, NothingPublished],
    public="published rules are for everybody",
)
def read_rules(campaign_id: str) -> Response:
    """Read the published rules: odds, quantities, regions, times, organiser, and what verifies a draw.

    The seed is committed to from the start (`seed_sha256`) and revealed once the campaign has ended.
    """
    number = context.decode("ca", campaign_id)
    with context.container().db.read() as session:
        found = queries.published(session, campaign_id=number)
    return respond_json(200, present.rules(found))


@campaigns.route("/campaigns/<campaign_id>/winners")
@campaigns.operation(
    query=PageQuery,
    answers={200: WinnersPage},
    refusals=[UnknownCampaign, NothingPublished, BadCursor],
    public="winners above 500 yuan are published, masked",
)
def list_winners(query: dict[str, Any], campaign_id: str) -> Response:
    """Read who won more than 500 yuan, masked, the newest first."""
    number = context.decode("ca", campaign_id)
    scope = f"winners/{number}"
    window = context.cursors().window(scope, query)
    with context.container().db.read() as session:
        rows = queries.winners(session, campaign_id=number, before=window.before, limit=window.limit + 1)
    page = context.cursors().page(
        scope, window, rows, position=lambda row: row.draw_id, render=present.winner
    )
    return respond_json(200, page)
