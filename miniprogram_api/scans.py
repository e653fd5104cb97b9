"""A scan: what the code is, and what the page shows next. It burns nothing."""

from datetime import datetime
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session

from app.campaigns import queries as campaigns
from app.campaigns import unlocking
from app.campaigns.rules import PhonePolicy
from app.campaigns.scan import Scanned, scan
from app.codes import market
from app.codes.errors import InvalidTicket, NotACode
from app.codes.format import Parsed
from app.codes.outcome import ScanOutcome
from app.http.api import Blueprint
from app.http.edge import respond
from app.http.idempotency import Answer
from app.identity import queries as persons
from app.identity.interfaces import PlatformBusy, PlatformRefused, TooFrequent
from app.identity.queries import Principal
from miniprogram_api import context, present
from miniprogram_api.schemas import ScanAnswer, ScanBody

scans = Blueprint("scans", __name__, url_prefix="/miniprogram/v1", description="Scanning a code")


@scans.route("/scans", methods=["POST"])
@scans.operation(
    body=ScanBody,
    answers={201: ScanAnswer},
    refusals=[NotACode, InvalidTicket, PlatformBusy, TooFrequent, PlatformRefused],
    idempotency="offered",
    per_person="120/minute",
    links={
        201: {
            "draw": {"operationId": "create_draw", "requestBody": {"scan": "$response.body#/scan/id"}},
        }
    },
)
def create_scan(body: dict[str, Any]) -> Response:
    """Record a scan and learn what comes next.

    Scanning burns nothing, however often and by whomever. `next` says what to show: the consent, the
    phone-number button (which may be declined), the draw, the result of an earlier draw, or nothing. Store
    staff who scan a case of their dealer's get points for it, once a case: `staff_reward` tells.

    A code that WeChat made (一物一码) comes as `code_ticket`. WeChat takes a ticket once; sent again by the
    same person it is known here for a day, so whoever lost the answer may repeat the request.
    """
    container, ticket = context.container(), body.get("code_ticket")
    text = body.get("code") or body.get("q") or body.get("scene") or _redeemed(body["code_ticket"])

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        if ticket is not None and isinstance(text, Parsed):
            market.keep_ticket(
                session,
                ticket=ticket,
                person_id=caller.person_id,
                person_ids=caller.cluster.person_ids,
                parsed=text,
                now=now,
            )
        scanned = scan(
            session,
            code_book=container.code_book,
            campaign_book=container.campaign_book,
            text=text,
            principal=caller,
            now=now,
            region_hint=context.address_region(),
            address=request.remote_addr,
            risk=container.risk_book,
        )
        return Answer(201, _answer(session, caller, scanned))

    return respond(context.edge().write(work, operation="create_scan"))


def _redeemed(ticket: str) -> str | Parsed:
    """Return the code of a ticket: asked of WeChat before the transaction, unless it is known."""
    container = context.container()
    caller, stored = context.edge().ask_first(operation="create_scan")
    if stored is not None:
        return ticket  # nobody looks at it: the stored answer is given
    with container.db.read() as session:
        known = market.recall_ticket(
            session, book=container.code_book, ticket=ticket, person_ids=caller.cluster.person_ids
        )
        if known is not None:
            return known
        account = market.account_opening(session, app_id=caller.app_id)
        openid = persons.openid(session, person_ids=[caller.person_id], app_id=caller.app_id)
    if account is None or openid is None:
        raise InvalidTicket("this mini-program takes no tickets: scan the code again")
    active = container.market_codes.redeem(account.credentials, openid=openid, ticket=ticket)
    with container.db.read() as session:
        return market.place(session, book=container.code_book, account_id=account.id, active=active)


def _answer(session: Session, caller: Principal, scanned: Scanned) -> dict[str, Any]:
    result, product, offer = scanned.result, scanned.product, scanned.offer
    drawn = award = None
    if result.outcome is ScanOutcome.DRAWN_BY_ME and result.drawn_draw_id is not None:
        book, person_ids = context.container().campaign_book, caller.cluster.person_ids
        drawn = campaigns.draw(session, book=book, draw_id=result.drawn_draw_id, person_ids=person_ids)
        award = unlocking.of_draw(session, draw_id=drawn.id)
    return {
        "scan": present.scan(result),
        "product": None if product is None or result.code is None else present.product(product, result.code),
        "campaign": None if offer is None else present.campaign(offer),
        "next": _next(session, caller, scanned),
        "draw": None if drawn is None else present.draw(drawn),
        "award": None if award is None else present.award(award),
        "staff_reward": None if scanned.staff_reward is None else present.staff_reward(scanned.staff_reward),
    }


def _next(session: Session, caller: Principal, scanned: Scanned) -> str:
    if scanned.result.outcome is ScanOutcome.DRAWN_BY_ME:
        return "result"
    if scanned.offer is None or caller.virtual:
        return "none"
    if not scanned.may_draw:
        return "consent"
    asks = scanned.offer.phone_policy is PhonePolicy.BEFORE_DRAW
    if asks and not persons.has_phone(session, person_ids=caller.cluster.person_ids):
        return "phone"
    return "draw"
