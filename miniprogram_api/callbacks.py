"""Callbacks of WeChat Pay: checked, recorded, answered; our own loop acts on them (conventions 4).

Whatever is not genuine changes nothing: a wrong signature, an old or foreign one, the platform's own
probes. A repeat is answered like the first, since the platform repeats until it is.
"""

from contextlib import suppress

from flask import Blueprint as FlaskBlueprint
from flask import Response, request
from sqlalchemy.orm import Session

from app.factory import Container
from app.http.access import public
from app.http.intake import read_body
from app.kernel.boundaries import reach
from app.payouts import operations as payouts
from app.payouts import queries
from app.payouts.interfaces import ForgedCallback, PayerCredentials, TransferNotice, UnexpectedCallback
from app.payouts.old_keys import former_credentials
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
    notice = _read(container, payer.id, credentials, body)

    def record(session: Session) -> None:
        payouts.record_notice(session, notice=notice, now=context.now())
        reach("edge.recording")

    container.db.transact(record)
    reach("edge.recorded")
    return Response(status=204)


def _read(container: Container, payer_id: int, present: PayerCredentials, body: bytes) -> TransferNotice:
    """Read a notice with the payer's keys, or with those of lately; its present ones say why not."""
    headers = dict(request.headers)
    try:
        return container.transfers.parse_callback(present, headers, body)
    except (ForgedCallback, UnexpectedCallback):
        with container.db.read() as session:
            former = former_credentials(session, payer_id, present, now=context.now())
        for credentials in former:
            with suppress(ForgedCallback, UnexpectedCallback):
                return container.transfers.parse_callback(credentials, headers, body)
        raise
