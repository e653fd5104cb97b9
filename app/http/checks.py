"""For those who run it: is the process alive, can it serve, and what are its figures."""

import logging

from flask import Blueprint, Response, current_app, request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import NotFound

from app.db import migrate
from app.db.engine import Database
from app.http import metrics
from app.http.access import public
from app.http.edge import respond_json
from app.kernel.clock import Clock
from app.kernel.errors import Unavailable
from app.outbox import queries

log = logging.getLogger("saoma.http")

checks = Blueprint("checks", __name__)


class NotReady(Unavailable):
    """The process cannot serve yet, or not at the moment."""

    code = "not_ready"
    title = "Not ready"


@checks.get("/healthz")
@public("a supervisor asks whether the process lives; the answer says nothing else")
def healthz() -> Response:
    """Say that this process answers."""
    return respond_json(200, {"status": "ok"})


@checks.get("/readyz")
@public("a load balancer asks whether requests may come; the answer says nothing else")
def readyz() -> Response:
    """Say that the database answers and has at least the schema that this release needs."""
    db: Database = current_app.extensions["saoma"].db
    try:
        with db.read() as session:
            session.execute(text("SELECT 1"))
        revision = migrate.current(db)
    except SQLAlchemyError:
        log.warning("http.database_unavailable", exc_info=True)
        raise NotReady("the database does not answer") from None
    # A newer schema is fine: the next release migrates before this one leaves.
    if revision is None or int(revision) < int(migrate.head()):
        raise NotReady("the database lacks migrations; run `saoma db upgrade`")
    return respond_json(200, {"status": "ready", "schema": revision})


@checks.get("/metrics")
@public("Prometheus asks from inside; what came through a proxy is turned away")
def figures() -> Response:
    """Return the figures, to those who did not come through a proxy: how much a brand sells is its own."""
    if any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "Via")):
        raise NotFound
    clock: Clock = current_app.extensions["saoma"].clock
    db: Database = current_app.extensions["saoma"].db
    depths = None
    try:
        with db.read() as session:
            depths = queries.depths(session)
    except SQLAlchemyError:
        log.warning("http.database_unavailable", exc_info=True)
    return Response(metrics.exposition(depths, clock.now()), content_type=metrics.CONTENT_TYPE)
