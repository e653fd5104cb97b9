"""Callbacks of WeChat Pay: checked, recorded, answered; our own loop acts on them (conventions 4).

Whatever is not genuine changes nothing: a wrong signature, an old or foreign one, the platform's own
probes. A repeat is answered like the first, since the platform repeats until it is.
"""

from flask import Blueprint as FlaskBlueprint
from flask import Response, request
from sqlalchemy.orm import Session

from app.http.access import public
from app.http.intake import read_body
from app.kernel.boundaries import reach
from app.payouts import operations as payouts
from app.payouts import queries
from miniprogram_api import context

callbacks = FlaskBlueprint("callbacks", __name__, url_prefix="/miniprogram/v1/callbacks")


@callbacks.post("/pay/<mchid>")
@public("WeChat Pay signs what it sends; nothing unsigned is believed", per_address="30000/minute")
def receive_pay(mchid: str) -> Response:
    """Record a merchant transfer's notice (platform contracts 4.2, 4.4, 4.8)."""
    container = context.container()
    body = read_body(request)
    with container.db.read() as session:
        payer = queries.payer_of(session, mchid)
        credentials = queries.credentials(payer)
    notice = container.transfers.parse_callback(credentials, dict(request.headers), body)

    def record(session: Session) -> None:
        payouts.record_notice(session, notice=notice, now=context.now())
        reach("edge.recording")

    container.db.transact(record)
    reach("edge.recorded")
    return Response(status=204)
