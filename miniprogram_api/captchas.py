"""The ticket of a captcha that comes along with a draw: asked about before the draw's transaction."""

from dataclasses import dataclass
from functools import partial

from flask import request

from app.codes import queries as codes
from app.codes.errors import UnknownScan
from app.identity.queries import Principal
from app.risk.captchas import settle_ticket, take_ticket
from app.risk.errors import CaptchaUnavailable, TooManyCaptchas
from app.risk.interfaces import Captchas
from app.risk.models import TicketState
from miniprogram_api import context


@dataclass(frozen=True, slots=True)
class Shown:
    """What a ticket showed: a captcha was solved for this draw, it was not, or that is not known.

    `unknown` is the refusal of a draw that wants a captcha, while it is not known. A draw that wants none
    goes on: an outage of the platform is no concern of it.
    """

    passed: bool = False
    unknown: CaptchaUnavailable | TooManyCaptchas | None = None


def captcha_shown(ticket: str | None, *, scan_id: int, operation: str) -> Shown:
    """Return what a ticket shows for the caller's draw of a scan; a ticket is asked about once.

    Nothing without a ticket, and where none can be checked. Raises UnknownScan for a scan of somebody else's:
    questions to the platform cost money.
    """
    captchas = context.container().captchas
    if ticket is None or captchas is None:
        return Shown()
    caller, stored = context.edge().ask_first(operation=operation)
    if stored is not None or caller.virtual:
        return Shown()
    _require_own(caller, scan_id)
    try:
        state = _state(captchas, ticket, caller, scan_id)
    except TooManyCaptchas as refusal:
        return Shown(unknown=refusal)
    if state in {TicketState.ASKED, TicketState.OPEN}:
        again = "send the same request again in a few seconds; the code keeps its chance"
        return Shown(unknown=CaptchaUnavailable(again))
    return Shown(passed=state is TicketState.PASSED)


def _require_own(caller: Principal, scan_id: int) -> None:
    with context.container().db.read() as session:
        scan = codes.scan(session, scan_id=scan_id)
    if scan.person_id not in caller.cluster.person_ids:
        raise UnknownScan("you have no scan with this id")


def _state(captchas: Captchas, ticket: str, caller: Principal, scan_id: int) -> TicketState:
    db, now = context.container().db, context.now()
    taken = partial(take_ticket, ticket=ticket, person_id=caller.person_id, scan_id=scan_id, now=now)
    state = db.transact(taken)
    if state is None:
        check = captchas.check(ticket, address=request.remote_addr or "")
        state = db.transact(partial(settle_ticket, ticket=ticket, check=check, now=context.now()))
    return state
