"""Logging in and out, and the privacy policy that is shown before anything else."""

from datetime import datetime, timedelta
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from app.http.api import Blueprint
from app.http.edge import respond, respond_json
from app.http.idempotency import Answer
from app.http.schemas import moment
from app.identity import operations as identity
from app.identity import queries as persons
from app.identity import session_token
from app.identity.interfaces import (
    AppCredentials,
    HighRiskUser,
    InvalidLoginCode,
    PlatformBusy,
    PlatformRefused,
    PlatformSession,
    TooFrequent,
)
from app.identity.operations import LoginResult
from app.identity.queries import Principal
from app.members import queries as members
from app.members.errors import PolicyMissing
from app.members.queries import Membership
from app.organisation import queries as organisation
from app.organisation.errors import UnknownApp
from app.organisation.models import AppKind
from miniprogram_api import context, present
from miniprogram_api.schemas import PolicyAnswer, SessionAnswer, SessionBody

sessions = Blueprint("sessions", __name__, url_prefix="/miniprogram/v1", description="Logging in and out")


@sessions.route("/sessions", methods=["POST"])
@sessions.operation(
    body=SessionBody,
    answers={201: SessionAnswer},
    refusals=[
        UnknownApp,
        InvalidLoginCode,
        HighRiskUser,
        PlatformRefused,
        TooFrequent,
        PlatformBusy,
    ],
    public="whoever has no session yet gets one here; WeChat's code proves who it is",
    per_address="3000/minute",
)
def create_session(body: dict[str, Any]) -> Response:
    """Log in with the code of wx.login.

    The same WeChat user always gets the same person. Nothing is stored about them but what WeChat names.
    """
    container = context.container()
    with container.db.read() as session:
        app = organisation.app_by_appid(session, appid=body["app_id"], kinds=[AppKind.MINIPROGRAM])
    platform = container.mini_program.code_to_session(AppCredentials(app.appid, app.secret), body["js_code"])
    login, membership = container.db.transact(lambda session: _log_in(session, app.id, platform))
    token = session_token.sign(
        container.keyring.signing_keys(session_token.PURPOSE),
        session_id=login.session_id,
        expires_at=login.expires_at,
    )
    return respond_json(
        201,
        {
            "token": token,
            "expires_at": moment(login.expires_at),
            "person": present.person(login.person_id, membership, virtual=login.virtual),
        },
    )


def _log_in(
    session: Session, app_id: int, platform: PlatformSession
) -> tuple[LoginResult, Membership | None]:
    login = identity.login(
        session,
        app_id=app_id,
        openid=platform.openid,
        unionid=platform.unionid,
        virtual=platform.virtual,
        session_key=platform.session_key,
        now=context.now(),
        lifetime=timedelta(hours=context.container().settings.session_hours),
    )
    cluster = persons.cluster(session, person_id=login.person_id)
    return login, members.membership(session, person_ids=cluster.person_ids)


@sessions.route("/sessions/current", methods=["DELETE"])
@sessions.operation(answers={204: None})
def end_session() -> Response:
    """Log out: the token is worthless from now on, wherever it is."""

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        identity.revoke_session(session, session_id=caller.session_id, now=now)
        return Answer(204, None)

    return respond(context.edge().write(work, operation="end_session"))


@sessions.route("/policies/current")
@sessions.operation(
    answers={200: PolicyAnswer},
    refusals=[PolicyMissing],
    public="what one is asked to agree to can be read before",
)
def read_policy() -> Response:
    """Read the privacy policy that holds now."""
    with context.container().db.read() as session:
        policy = members.current_policy(session)
    return respond_json(
        200,
        {
            "version": policy.version,
            "text_zh": policy.text_zh,
            "text_en": policy.text_en,
            "sha256": policy.sha256,
        },
    )
