"""The caller: joining, consent, phone number, member code."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from app.codes import qr
from app.codes import queries as codes
from app.codes.errors import UnknownScan
from app.http.api import Blueprint
from app.http.edge import respond, respond_json
from app.http.idempotency import Answer
from app.http.schemas import moment
from app.identity import operations as identity
from app.identity import queries as persons
from app.identity.errors import VirtualPerson
from app.identity.interfaces import (
    AppCredentials,
    InvalidPhoneCode,
    PhoneQuotaExhausted,
    PlatformBusy,
    PlatformRefused,
    TooFrequent,
)
from app.identity.models import IdentitySource
from app.identity.queries import Principal
from app.identity.values import phone_claim
from app.incentives.errors import NotStoreStaff
from app.incentives.queries import workplace
from app.members import marketing, member_code
from app.members import operations as members
from app.members import queries as memberships
from app.members.errors import (
    GuardianConsentRequired,
    InvalidMemberCode,
    NotAMember,
    PolicyMissing,
    PolicyOutdated,
    UnknownPlacement,
)
from app.members.member_code import LIFETIME, Purpose
from app.members.models import AgeBand, JoinManner
from app.members.operations import Source
from app.organisation import queries as organisation
from app.points import queries as points
from miniprogram_api import context, present
from miniprogram_api.errors import PhoneUnusable
from miniprogram_api.schemas import (
    CodeAnswer,
    CodeQuery,
    JoinedAnswer,
    MeAnswer,
    MemberBody,
    PhoneAnswer,
    PhoneBody,
)

membership = Blueprint("membership", __name__, url_prefix="/miniprogram/v1", description="Who one is")


@membership.route("/phone", methods=["POST"])
@membership.operation(
    body=PhoneBody,
    answers={200: PhoneAnswer},
    refusals=[
        VirtualPerson,
        InvalidPhoneCode,
        PhoneUnusable,
        PlatformRefused,
        TooFrequent,
        PhoneQuotaExhausted,
        PlatformBusy,
    ],
    idempotency="offered",
    per_person="10/minute",
)
def give_phone(body: dict[str, Any]) -> Response:
    """Give a phone number with the code of WeChat's phone-number button.

    Every look-up is paid for and the quota can run out (`phone_quota_exhausted`). Whatever is refused
    here, the walk goes on without a phone number.
    """
    container = context.container()
    caller, stored = context.edge().ask_first(operation="give_phone")
    if stored is None:
        if caller.virtual:
            raise VirtualPerson("this visit has no WeChat identity; open the mini-program and sign in")
        with container.db.read() as session:
            app = organisation.app(session, app_id=caller.app_id)
        number = container.mini_program.phone_number(AppCredentials(app.appid, app.secret), body["code"])
        claim = phone_claim(f"+{number.country_code}{number.pure}")

        def work(session: Session, caller: Principal, now: datetime) -> Answer:
            attached = identity.attach(
                session,
                person_id=caller.person_id,
                identifiers=[claim],
                source=IdentitySource.PHONE_BUTTON,
                now=now,
                actor=context.shopper(caller),
            )
            if attached.ignored:
                raise PhoneUnusable("take another number, or go on without")
            return Answer(200, {})

        stored = context.edge().write(work, operation="give_phone")
    if stored.refused:
        return respond(stored)
    # The number is personal data and so not in the stored answer: it is read anew, masked.
    masked = context.edge().read(_phone_masked)
    return respond(Answer(200, {"phone_masked": masked}, replayed=stored.replayed))


def _phone_masked(session: Session, caller: Principal, _now: datetime) -> str | None:
    cluster = persons.cluster(session, person_id=caller.person_id)
    return persons.phone_masked(session, person_ids=cluster.person_ids)


@membership.route("/members", methods=["POST"])
@membership.operation(
    body=MemberBody,
    answers={201: JoinedAnswer},
    refusals=[
        VirtualPerson,
        PolicyMissing,
        UnknownScan,
        PolicyOutdated,
        GuardianConsentRequired,
    ],
    idempotency="offered",
    per_person="30/minute",
)
def join(body: dict[str, Any]) -> Response:
    """Join, with consent to the privacy policy that was shown.

    Whoever has joined before renews the consent and keeps membership and source.
    """

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        joined = members.join(
            session,
            person_id=caller.person_id,
            policy_version=body["policy_version"],
            age_band=AgeBand(body["age_band"]),
            guardian_consent=body["guardian_consent"],
            source=_source(session, caller, body, now),
            now=now,
            actor=context.shopper(caller),
        )
        return Answer(201, {"member": present.member(joined)})

    return respond(context.edge().write(work, operation="join"))


def _source(session: Session, caller: Principal, body: dict[str, Any], now: datetime) -> Source:
    """Return where the caller comes from. An invitation or placement that has ended keeps nobody out."""
    placement_id = None
    manner = JoinManner.ACTIVITY
    if "scan" in body:
        cluster = persons.cluster(session, person_id=caller.person_id)
        scan = codes.scan(session, scan_id=context.decode("sc", body["scan"]))
        if scan.person_id not in cluster.person_ids:
            raise UnknownScan("you have no scan with this id")
        manner = JoinManner.SCAN
    if "placement" in body:
        try:
            placement_id = memberships.resolve_placement(session, key=body["placement"]).id
            manner = JoinManner.PLACEMENT
        except UnknownPlacement:
            pass
    source = Source(manner=manner, placement_id=placement_id)
    return _invited(session, source, body["inviter_code"], now) if "inviter_code" in body else source


def _invited(session: Session, source: Source, code: str, now: datetime) -> Source:
    """Return the source with whoever gave the code; of store staff with their store, for ever (JOIN-18).

    What counts is where they work when somebody joins: who has left invites like any member.
    """
    keys = context.container().keyring.signing_keys(member_code.KEY_PURPOSE)
    for purpose in (Purpose.INVITE, Purpose.RECRUIT):
        try:
            inviter = member_code.verify(keys, text=code, now=now, purposes=(purpose,))
        except InvalidMemberCode:
            continue
        invited = replace(source, manner=JoinManner.REFERRAL, inviter_person_id=inviter)
        if purpose is Purpose.INVITE:
            return invited
        works = workplace(session, person_ids=persons.cluster(session, person_id=inviter).person_ids)
        if works is None:
            return invited
        guide = context.encode("pe", inviter)
        return replace(invited, store_ref=works.store, guide_ref=guide)
    return source


@membership.route("/consents/current", methods=["DELETE"])
@membership.operation(answers={204: None})
def withdraw_consent() -> Response:
    """Withdraw consent. What was won stays; drawing takes a new consent."""

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        members.withdraw_consent(session, person_id=caller.person_id, now=now)
        return Answer(204, None)

    return respond(context.edge().write(work, operation="withdraw_consent"))


@membership.route("/consents/marketing", methods=["DELETE"])
@membership.operation(answers={204: None})
def withdraw_marketing() -> Response:
    """Take back the consent to marketing by phone, for all brands. Nothing else changes."""

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        marketing.withdraw(session, person_id=caller.person_id, now=now)
        return Answer(204, None)

    return respond(context.edge().write(work, operation="withdraw_marketing"))


@membership.route("/me")
@membership.operation(answers={200: MeAnswer})
def read_me() -> Response:
    """Read what is known of oneself: the same from whichever app one comes."""

    def work(session: Session, caller: Principal, now: datetime) -> dict[str, Any]:
        cluster = persons.cluster(session, person_id=caller.person_id)
        joined = memberships.membership(session, person_ids=cluster.person_ids)
        return {
            "person": present.person(caller.person_id, joined, virtual=caller.virtual),
            "member": None if joined is None else present.member(joined),
            "phone_masked": persons.phone_masked(session, person_ids=cluster.person_ids),
            "points": points.balance(session, person_ids=cluster.person_ids, now=now),
            "marketing_consent": marketing.agrees(session, person_ids=cluster.person_ids),
        }

    return respond_json(200, context.edge().read(work))


@membership.route("/me/code")
@membership.operation(
    query=CodeQuery, answers={200: CodeAnswer}, refusals=[NotAMember, NotStoreStaff], per_person="60/minute"
)
def read_code(query: dict[str, Any]) -> Response:
    """Get a member code: for the till, good for a minute, to invite a friend, or to recruit for one's store.

    Whoever joins with the code of somebody who works in a store keeps the store and that person as source.
    """
    purpose = Purpose(query["purpose"])

    def work(session: Session, caller: Principal, now: datetime) -> dict[str, Any]:
        cluster = persons.cluster(session, person_id=caller.person_id)
        if memberships.membership(session, person_ids=cluster.person_ids) is None:
            raise NotAMember("join first; the code identifies a member")
        person_id = caller.person_id
        if purpose is Purpose.RECRUIT:
            works = workplace(session, person_ids=cluster.person_ids)
            if works is None:
                raise NotStoreStaff("you are not registered as staff of a store; ask your store's supplier")
            person_id = works.person_id
        keys = context.container().keyring.signing_keys(member_code.KEY_PURPOSE)
        code = member_code.sign(keys, person_id=person_id, now=now, purpose=purpose)
        return {
            "code": code,
            "expires_at": moment(now + LIFETIME[purpose]),
            "svg": qr.svg(qr.text_matrix(code)),
        }

    return respond_json(200, context.edge().read(work))
