"""The draw: one transaction from a scan to an award."""

from datetime import datetime
from functools import partial
from typing import Any

from flask import Response, current_app, g, request
from sqlalchemy.orm import Session

from app.campaigns import queries, unlocking
from app.campaigns.errors import (
    CaptchaNeeded,
    CodeNotDrawable,
    DrawCapReached,
    DrawRefused,
    NoCampaign,
    NotEligible,
    SoldOut,
    UnknownDraw,
    VerificationNeeded,
)
from app.campaigns.play import Visit, play
from app.codes.errors import CodeAlreadyDrawn, UnknownScan
from app.http.api import Blueprint
from app.http.edge import respond, respond_json
from app.http.idempotency import Answer
from app.identity import queries as persons
from app.identity.errors import VirtualPerson
from app.identity.interfaces import AppCredentials
from app.identity.queries import Principal
from app.members.errors import NotAMember, PolicyOutdated
from app.organisation import queries as organisation
from app.rewards.errors import PhoneWanted
from app.risk.errors import CaptchaUnavailable, TooManyCaptchas
from app.risk.watch import Hit, note_hit
from miniprogram_api import context, present
from miniprogram_api.captchas import captcha_shown
from miniprogram_api.positions import PositionRegions
from miniprogram_api.schemas import DrawAnswer, DrawBody

draws = Blueprint("draws", __name__, url_prefix="/miniprogram/v1", description="Drawing")


@draws.route("/draws", methods=["POST"])
@draws.operation(
    body=DrawBody,
    answers={201: DrawAnswer},
    refusals=[
        VirtualPerson,
        UnknownScan,
        CodeNotDrawable,
        CodeAlreadyDrawn,
        NoCampaign,
        NotAMember,
        PolicyOutdated,
        NotEligible,
        PhoneWanted,
        DrawCapReached,
        DrawRefused,
        VerificationNeeded,
        CaptchaNeeded,
        CaptchaUnavailable,
        TooManyCaptchas,
        SoldOut,
    ],
    idempotency="needed",
    per_person="60/minute",
    links={
        201: {
            "read": {"operationId": "read_draw", "parameters": {"draw_id": "$response.body#/draw/id"}},
            "collect": {"operationId": "collect", "parameters": {"award_id": "$response.body#/award/id"}},
        }
    },
)
def create_draw(body: dict[str, Any]) -> Response:
    """Draw for a scanned code.

    A code is drawn once, by one person, for ever. The person who has drawn it gets the same draw again. A
    campaign may ask for the phone number first: give it, or say that it was declined, with a new key.

    What looks like abuse may have to show a phone number (`verification_needed`) or solve a captcha, may win
    an award that is held for a review, or is refused with `reasons`; the odds are the same for everybody.

    `captcha_needed` names the captcha app to open. Draw again with its ticket as `captcha_ticket` and a new
    key: a ticket is good for this scan alone. After `captcha_unavailable` send the very same request again.
    """
    container = context.container()
    scan_id = context.decode("sc", body["scan"])
    ticket = body.get("captcha_ticket")
    captcha = captcha_shown(ticket, scan_id=scan_id, operation="create_draw")
    rank, asked = _risk_rank()
    visit = Visit(
        address=request.remote_addr,
        address_region=context.address_region(),
        location_region=_position_region(body.get("location")),
        phone_declined=body["phone_declined"],
        rank=rank,
        rank_asked=asked,
        captcha_passed=captcha.passed,
    )

    hits: list[Hit] = []

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        hits.clear()
        try:
            played = play(
                session,
                book=container.campaign_book,
                scan_id=scan_id,
                principal=caller,
                now=now,
                visit=visit,
                risk=container.risk_book,
            )
        except (DrawRefused, VerificationNeeded, CaptchaNeeded) as refused:
            if isinstance(refused, CaptchaNeeded) and captcha.unknown is not None:
                # It may have been solved: no hit, and no answer that would be kept under the key.
                raise captcha.unknown from None
            hits.extend([refused.hit] if refused.hit is not None else [])
            if isinstance(refused, CaptchaNeeded) and container.captchas is not None:
                app = {"captcha_app_id": str(container.captchas.app_id)}
                refused.extra |= {**app, "captcha_refused": ticket is not None}
            raise
        award = None if played.award is None else present.award(played.award)
        return Answer(201, {"draw": present.draw(played.draw), "award": award})

    try:
        return respond(context.edge().write(work, operation="create_draw", permanent=True))
    finally:
        # A refusal has rolled its draw back; what led to it is kept all the same.
        for hit in hits:
            container.db.transact(partial(note_hit, hit=hit))


def _risk_rank() -> tuple[int | None, bool]:
    """Return WeChat's rank of the caller, and whether it was to be asked for: before the transaction."""
    container, now = context.container(), context.now()
    desk, session_id = container.risk_ranks, g.get("session_id")
    if desk is None or session_id is None:
        return None, False
    if desk.knows(session_id, now):
        return desk.recall(session_id, now), True
    caller, stored = context.edge().ask_first(operation="create_draw")
    if stored is not None or caller.virtual:
        return None, False
    with container.db.read() as session:
        app = organisation.app(session, app_id=caller.app_id)
        openid = persons.openid(session, person_ids=[caller.person_id], app_id=caller.app_id)
    if openid is None:
        return None, True
    credentials = AppCredentials(app.appid, app.secret)
    address = request.remote_addr or ""
    return desk.ask(session_id, app=credentials, openid=openid, address=address, now=now), True


def _position_region(location: dict[str, float] | None) -> str | None:
    if location is None:
        return None
    positions: PositionRegions = current_app.extensions["saoma.positions"]
    return positions.region(location["latitude"], location["longitude"])


@draws.route("/draws/<draw_id>")
@draws.operation(answers={200: DrawAnswer}, refusals=[UnknownDraw])
def read_draw(draw_id: str) -> Response:
    """Read one draw; somebody else's is not found."""
    number = context.decode("dr", draw_id)
    book = context.container().campaign_book

    def work(session: Session, caller: Principal, _now: datetime) -> dict[str, Any]:
        cluster = persons.cluster(session, person_id=caller.person_id)
        found = queries.draw(session, book=book, draw_id=number, person_ids=cluster.person_ids)
        award = unlocking.of_draw(session, draw_id=number)
        return {"draw": present.draw(found), "award": None if award is None else present.award(award)}

    return respond_json(200, context.edge().read(work))
