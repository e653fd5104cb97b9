"""Callbacks of WeChat Pay and of the mini-program: checked, recorded, answered; our own loop acts on them.

Whatever is not genuine changes nothing: a wrong signature, an old or foreign one, the platform's own
probes. A repeat is answered like the first, since the platform repeats until it is.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from flask import Blueprint as FlaskBlueprint
from flask import Response, request
from sqlalchemy.orm import Session

from app.factory import Container
from app.http.access import public
from app.http.intake import read_body
from app.kernel.boundaries import reach
from app.organisation import penalties
from app.organisation.errors import ForgedMessage, UnexpectedMessage
from app.organisation.interfaces import MessageKeys
from app.organisation.message_keys import former_message_keys, message_keys
from app.payouts import operations as payouts
from app.payouts import queries
from app.payouts.interfaces import ForgedCallback, PayerCredentials, TransferNotice, UnexpectedCallback
from app.payouts.old_keys import former_credentials
from miniprogram_api import context

T = TypeVar("T")

callbacks = FlaskBlueprint("callbacks", __name__, url_prefix="/miniprogram/v1/callbacks")


@callbacks.post("/pay/<mchid>")
@public("WeChat Pay signs what it sends; nothing unsigned is believed", per_address="30000/minute")
def receive_pay(mchid: str) -> Response:
    """Record a merchant transfer's notice (platform contracts 4.2, 4.4, 4.8)."""
    container = context.container()
    body = read_body(request)
    with container.db.read() as session:
        payer_id, credentials = queries.callback_keys(session, mchid)
    notice = _read(container, payer_id, credentials, body)

    def record(session: Session) -> None:
        payouts.record_notice(session, notice=notice, now=context.now())
        reach("edge.recording")

    container.db.transact(record)
    reach("edge.recorded")
    return Response(status=204)


@callbacks.get("/messages/<appid>")
@public("the platform signs its check of this address with the app's token", per_address="600/minute")
def check_address(appid: str) -> Response:
    """Answer the platform's check of the address of an app's messages (platform contracts 2.1)."""
    container = context.container()
    echo = _proved(appid, lambda keys: container.messages.echo(keys, request.args))
    return Response(echo, mimetype="text/plain")


@callbacks.post("/messages/<appid>")
@public("the platform signs and encrypts what it pushes; nothing else is believed", per_address="6000/minute")
def receive_message(appid: str) -> Response:
    """Record what the platform pushes to an app (platform contracts 2.2, 2.3, 13.7)."""
    container, body = context.container(), read_body(request)
    now = context.now()
    message = _proved(appid, lambda keys: container.messages.read(keys, request.args, body, now=now))
    container.db.transact(
        lambda session: penalties.record_message(session, message=message, now=context.now())
    )
    return Response("success", mimetype="text/plain")


def _proved(appid: str, take: Callable[[MessageKeys], T]) -> T:
    """Return what `take` makes of a message by the app's keys, or by those of lately.

    The present ones say why not.
    """
    container = context.container()
    with container.db.read() as session:
        present = message_keys(session, appid=appid)
    try:
        return take(present)
    except (ForgedMessage, UnexpectedMessage):
        with container.db.read() as session:
            former = former_message_keys(session, present, now=context.now())
        for keys in former:
            with suppress(ForgedMessage, UnexpectedMessage):
                return take(keys)
        raise


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
