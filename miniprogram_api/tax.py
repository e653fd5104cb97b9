"""The caller to the tax office: what they collected this year, and who they are."""

from datetime import datetime
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from app.http.api import Blueprint
from app.http.edge import respond, respond_json
from app.http.idempotency import Answer
from app.identity import queries as persons
from app.identity.errors import VirtualPerson
from app.identity.queries import Principal
from app.tax import operations, queries
from app.tax.documents import Document, Identity
from app.tax.errors import BadIdentity, GuardianWanted, IdentityKept, NoticeOutdated
from miniprogram_api import context, present
from miniprogram_api.schemas import TaxAnswer, TaxIdentityBody

tax = Blueprint("tax", __name__, url_prefix="/miniprogram/v1", description="Tax on what was won")


@tax.route("/tax")
@tax.operation(answers={200: TaxAnswer})
def read_tax() -> Response:
    """Read what was collected this year that is taxed, who one is for it, masked, and the notice."""
    return respond_json(200, context.edge().read(_standing))


@tax.route("/tax/identity", methods=["POST"])
@tax.operation(
    body=TaxIdentityBody,
    answers={200: TaxAnswer},
    refusals=[VirtualPerson, NoticeOutdated, BadIdentity, GuardianWanted],
    idempotency="offered",
    per_person="10/minute",
)
def give_tax_identity(body: dict[str, Any]) -> Response:
    """Give name and document number for tax returns, after `identity_wanted`; given again, it is corrected.

    It takes a consent of its own: show the notice of `GET /tax`, and send its version when the shopper has
    agreed.
    """

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        operations.give_identity(
            session,
            person_id=caller.person_id,
            identity=Identity(body["name"], Document(body["document"]), body["number"]),
            notice_version=body["notice_version"],
            now=now,
        )
        return Answer(200, {})

    answer = context.edge().write(work, operation="give_tax_identity")
    if answer.refused:
        return respond(answer)
    # Who it is must not be in the stored answer: it is read anew, masked.
    return respond(Answer(200, context.edge().read(_standing), replayed=answer.replayed))


@tax.route("/tax/identity", methods=["DELETE"])
@tax.operation(answers={204: None}, refusals=[IdentityKept])
def withdraw_tax_identity() -> Response:
    """Withdraw name and document number; they are deleted unless a taxed award was collected with them."""

    def work(session: Session, caller: Principal, _now: datetime) -> Answer:
        operations.withdraw_identity(session, person_id=caller.person_id)
        return Answer(204, None)

    return respond(context.edge().write(work, operation="withdraw_tax_identity"))


def _standing(session: Session, caller: Principal, now: datetime) -> dict[str, Any]:
    ids = persons.cluster(session, person_id=caller.person_id).person_ids
    return present.tax(
        queries.year_of(session, person_ids=ids, now=now), queries.identity_of(session, person_ids=ids)
    )
