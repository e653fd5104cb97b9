"""The ticket of a captcha that comes along with a draw: asked about before the draw's transaction."""

from functools import partial

from flask import request

from app.risk.captchas import settle_ticket, take_ticket
from app.risk.errors import CaptchaUnavailable
from app.risk.models import TicketState
from miniprogram_api import context


def captcha_passed(ticket: str | None, *, scan_id: int, operation: str) -> bool:
    """Tell whether the caller has solved a captcha for this scan; a ticket is asked about once.

    False without a ticket, and where none can be checked. Raises CaptchaUnavailable while that is not known,
    TooManyCaptchas.
    """
    container = context.container()
    captchas = container.captchas
    if ticket is None or captchas is None:
        return False
    caller, stored = context.edge().ask_first(operation=operation)
    if stored is not None or caller.virtual:
        return False
    now = context.now()
    taken = partial(take_ticket, ticket=ticket, person_id=caller.person_id, scan_id=scan_id, now=now)
    state = container.db.transact(taken)
    if state is None:
        check = captchas.check(ticket, address=request.remote_addr or "")
        settled = partial(settle_ticket, ticket=ticket, check=check, now=context.now())
        state = container.db.transact(settled)
    if state in {TicketState.ASKED, TicketState.OPEN}:
        raise CaptchaUnavailable("send the same request again in a few seconds; the code keeps its chance")
    return state is TicketState.PASSED
