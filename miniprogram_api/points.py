"""What a member sees of their points."""

from datetime import datetime
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from app.http.api import Blueprint
from app.http.edge import respond_json
from app.http.paging import BadCursor, PageQuery
from app.identity import queries as persons
from app.identity.queries import Principal
from app.points import queries
from miniprogram_api import context, present
from miniprogram_api.schemas import EntriesPage, PointsAnswer

points = Blueprint("points", __name__, url_prefix="/miniprogram/v1", description="Points")


@points.route("/points")
@points.operation(answers={200: PointsAnswer})
def read_points() -> Response:
    """Read the points that can be spent, whichever brand they came from."""

    def work(session: Session, caller: Principal, now: datetime) -> int:
        cluster = persons.cluster(session, person_id=caller.person_id)
        return queries.balance(session, person_ids=cluster.person_ids, now=now)

    return respond_json(200, {"points": context.edge().read(work)})


@points.route("/points/entries")
@points.operation(query=PageQuery, answers={200: EntriesPage}, refusals=[BadCursor])
def list_entries(query: dict[str, Any]) -> Response:
    """Read the points line by line, the newest first."""

    def work(session: Session, caller: Principal, _now: datetime) -> dict[str, Any]:
        cluster = persons.cluster(session, person_id=caller.person_id)
        scope = f"points/{caller.person_id}"
        window = context.cursors().window(scope, query)
        rows = queries.entries(
            session, person_ids=cluster.person_ids, before_id=window.before, limit=window.limit + 1
        )
        return context.cursors().page(scope, window, rows, position=lambda row: row.id, render=present.entry)

    return respond_json(200, context.edge().read(work))
