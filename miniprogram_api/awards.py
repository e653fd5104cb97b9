"""What was won, and collecting it."""

import json
from datetime import datetime
from typing import Any

from flask import Response, current_app
from sqlalchemy.orm import Session

from app.campaigns import claiming, help_links, helping, unlocking
from app.campaigns import queries as campaigns
from app.campaigns.errors import (
    BadHelpLink,
    HelpedAlready,
    HelpNotWanted,
    HelpPaused,
    OwnAward,
    StepWanted,
)
from app.codes import qr
from app.goods import operations as goods
from app.goods import redemption
from app.goods.errors import AddressFixed, BadAddress
from app.goods.operations import Receiver
from app.goods.queries import delivery_of, require_fetchable
from app.http import metrics
from app.http.api import Blueprint
from app.http.edge import respond, respond_json
from app.http.idempotency import Answer
from app.http.paging import BadCursor, PageQuery
from app.http.schemas import moment
from app.identity import queries as persons
from app.identity.queries import Cluster, Principal
from app.payouts import queries as bills
from app.payouts.errors import (
    AlreadyPaid,
    AmountNotPayable,
    AppNotBound,
    CorpWanted,
    NameNeeded,
    NoOpenid,
    RedPacketsOfToday,
    ServiceAccountWanted,
    ServiceDeskWanted,
)
from app.payouts.interfaces import PayMethod
from app.payouts.operations import OPEN_TOPIC
from app.payouts.queries import BillView
from app.rewards import operations as rewards
from app.rewards import queries
from app.rewards.errors import (
    AlreadyFulfilled,
    AwardHeld,
    AwardLapsed,
    AwardRefused,
    DrawsWanted,
    HelpersWanted,
    NotDelivered,
    OpenElsewhere,
    PhoneWanted,
    UnknownAward,
    VirtualPerson,
    WayWanted,
)
from app.rewards.models import AwardKind, AwardState
from app.rewards.queries import AwardView
from app.tax.errors import IdentityWanted
from app.vouchers.errors import VouchersOut
from app.vouchers.queries import voucher_of
from miniprogram_api import context, present
from miniprogram_api.deliveries import Deliveries
from miniprogram_api.schemas import (
    AddressBody,
    AwardAnswer,
    AwardsPage,
    CodeAnswer,
    CollectAnswer,
    CollectBody,
    HelpAnswer,
    HelpBody,
    HelpLinkAnswer,
)

awards = Blueprint("awards", __name__, url_prefix="/miniprogram/v1", description="What was won")


@awards.route("/awards")
@awards.operation(query=PageQuery, answers={200: AwardsPage}, refusals=[BadCursor])
def list_awards(query: dict[str, Any]) -> Response:
    """Read what was won, the newest first."""

    def work(session: Session, caller: Principal, _now: datetime) -> dict[str, Any]:
        cluster = persons.cluster(session, person_id=caller.person_id)
        scope = f"awards/{caller.person_id}"
        window = context.cursors().window(scope, query)
        found = queries.awards(
            session, person_ids=cluster.person_ids, before_id=window.before, limit=window.limit + 1
        )
        rows = unlocking.as_they_stand(session, found)
        return context.cursors().page(scope, window, rows, position=lambda row: row.id, render=present.award)

    return respond_json(200, context.edge().read(work))


@awards.route("/awards/<award_id>")
@awards.operation(answers={200: AwardAnswer}, refusals=[UnknownAward])
def read_award(award_id: str) -> Response:
    """Read one award, with a collected voucher's code, or the parcel of goods; others' are not found."""
    number = context.decode("aw", award_id)
    return respond_json(200, context.edge().read(lambda *given: _award(number, *given)))


@awards.route("/awards/<award_id>/collect", methods=["POST"])
@awards.operation(
    body=CollectBody,
    answers={200: CollectAnswer, 202: CollectAnswer},
    refusals=[
        VirtualPerson,
        UnknownAward,
        AwardHeld,
        AwardRefused,
        AwardLapsed,
        AlreadyFulfilled,
        DrawsWanted,
        HelpersWanted,
        AlreadyPaid,
        OpenElsewhere,
        PhoneWanted,
        IdentityWanted,
        AppNotBound,
        NoOpenid,
        ServiceDeskWanted,
        ServiceAccountWanted,
        CorpWanted,
        AmountNotPayable,
        NameNeeded,
        VouchersOut,
        WayWanted,
        RedPacketsOfToday,
    ],
    idempotency="needed",
    per_person="60/minute",
)
def collect(body: dict[str, Any], award_id: str) -> Response:
    """Collect money or a voucher: opens one transfer, or allots one code, however often this is called.

    200 carries the voucher's code, or what wx.requestMerchantTransfer takes, or for a payer of red packets
    what wx.sendBizRedPacket takes, or which service account or company has sent one. 202 means that WeChat
    Pay has not prepared it yet: call again with a new key in a few seconds. Until the shopper has confirmed,
    or the transfer has ended after 24 hours, each call gives the same transfer.
    """
    number = context.decode("aw", award_id)

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        cluster = persons.cluster(session, person_id=caller.person_id)
        award = _one(session, number, cluster)
        if award.kind is AwardKind.GOODS:
            raise WayWanted("give an address, or show a redemption code in a store")
        if award.kind is AwardKind.VOUCHER:
            claiming.claim_voucher(
                session,
                award=award,
                person_id=caller.person_id,
                cluster=cluster,
                supplier=context.container().vouchers,
                now=now,
                phone_declined=body["phone_declined"],
                marketing_consent=body["marketing_consent"],
            )
        else:
            asked = campaigns.phone_at_collection(session, campaign_id=award.campaign_id)
            wanted = asked and not body["phone_declined"]
            phone_wanted = wanted and not persons.has_phone(session, person_ids=cluster.person_ids)
            rewards.collect(
                session,
                award_id=number,
                person_id=caller.person_id,
                cluster=cluster,
                app_id=caller.app_id,
                now=now,
                actor=context.shopper(caller),
                phone_wanted=phone_wanted,
                draws_made=_draws_made(session, award, cluster),
                helpers=_helpers(session, award, cluster),
                released=not (award.unlock_draws or award.unlock_helpers),
                user_name=body.get("user_name"),
            )
        # What is shown for it is worth money: the answer is read anew each time.
        return Answer(200, {})

    answer = context.edge().write(work, operation="collect", permanent=True)
    if answer.refused:
        return respond(answer)
    award, bill, voucher = context.edge().read(lambda *given: _state(number, *given))
    if award["state"] == AwardState.LOCKED and bill is not None and not bill.offered:
        _deliver(bill.message_id)
        award, bill, voucher = context.edge().read(lambda *given: _state(number, *given))
    return respond(_collected(award, bill, voucher, replayed=answer.replayed))


@awards.route("/awards/<award_id>/address", methods=["POST"])
@awards.operation(
    body=AddressBody,
    answers={200: AwardAnswer},
    refusals=[
        VirtualPerson,
        UnknownAward,
        NotDelivered,
        AwardHeld,
        AwardRefused,
        AwardLapsed,
        AlreadyFulfilled,
        IdentityWanted,
        BadAddress,
        AddressFixed,
    ],
    idempotency="needed",
    per_person="20/minute",
)
def give_address(body: dict[str, Any], award_id: str) -> Response:
    """Say where goods are to be sent; it may be said anew until they are packed."""
    number = context.decode("aw", award_id)

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        goods.give_address(
            session,
            award_id=number,
            person_id=caller.person_id,
            cluster=persons.cluster(session, person_id=caller.person_id),
            to=Receiver(**body),
            now=now,
        )
        return Answer(200, {})

    answer = context.edge().write(work, operation="give_address")
    if answer.refused:
        return respond(answer)
    body = context.edge().read(lambda *given: _award(number, *given))
    return respond(Answer(200, body, replayed=answer.replayed))


@awards.route("/awards/<award_id>/redemption-code")
@awards.operation(answers={200: CodeAnswer}, refusals=[UnknownAward, NotDelivered], per_person="60/minute")
def redemption_code(award_id: str) -> Response:
    """Get the code with which goods are fetched in a store; it is good for five minutes, once."""
    number = context.decode("aw", award_id)

    def work(session: Session, caller: Principal, now: datetime) -> dict[str, Any]:
        cluster = persons.cluster(session, person_id=caller.person_id)
        found = queries.award(session, award_id=number, person_ids=cluster.person_ids)
        require_fetchable(found, now=now)
        keys = context.container().keyring.signing_keys(redemption.KEY_PURPOSE)
        code = redemption.sign(keys, award_id=number, now=now)
        expires_at = moment(now + redemption.LIFETIME)
        return {"code": code, "expires_at": expires_at, "svg": qr.svg(qr.text_matrix(code))}

    return respond_json(200, context.edge().read(work))


def _one(session: Session, number: int, cluster: Cluster) -> AwardView:
    """Return an award of the caller as it stands: once its campaign has ended, it needs no unlocking."""
    found = queries.award(session, award_id=number, person_ids=cluster.person_ids)
    return unlocking.as_they_stand(session, [found])[0]


def _draws_made(session: Session, award: AwardView, cluster: Cluster) -> int:
    """Return how often the caller has drawn since an award that draws unlock; for others nobody counts."""
    if not award.unlock_draws:
        return 0
    return campaigns.draws_since(
        session, campaign_id=award.campaign_id, person_ids=cluster.person_ids, moment=award.granted_at
    )


def _helpers(session: Session, award: AwardView, cluster: Cluster) -> int:
    """Return how many friends have helped with an award that they unlock."""
    if not award.unlock_helpers:
        return 0
    return helping.helpers(session, award_id=award.id, person_ids=cluster.person_ids)


@awards.route("/awards/<award_id>/help-link")
@awards.operation(answers={200: HelpLinkAnswer}, refusals=[UnknownAward, HelpPaused, HelpNotWanted])
def help_link(award_id: str) -> Response:
    """Get what is sent to friends: good until the award's deadline; and how many have helped."""
    number = context.decode("aw", award_id)

    def work(session: Session, caller: Principal, now: datetime) -> dict[str, Any]:
        cluster = persons.cluster(session, person_id=caller.person_id)
        found = _one(session, number, cluster)
        if not found.unlock_helpers or found.deadline_at <= now:
            raise HelpNotWanted("it needs no help, or not any more")
        helping.require_help_allowed(session, app_id=caller.app_id)
        keys = context.container().keyring.signing_keys(help_links.KEY_PURPOSE)
        return {
            "token": help_links.sign(keys, award_id=number, deadline_at=found.deadline_at),
            "expires_at": moment(found.deadline_at),
            "helpers": _helpers(session, found, cluster),
            "wanted": found.unlock_helpers,
        }

    return respond_json(200, context.edge().read(work))


@awards.route("/helps", methods=["POST"])
@awards.operation(
    body=HelpBody,
    answers={200: HelpAnswer},
    refusals=[
        BadHelpLink,
        VirtualPerson,
        HelpPaused,
        UnknownAward,
        HelpNotWanted,
        OwnAward,
        HelpedAlready,
        StepWanted,
    ],
    idempotency="offered",
    per_person="20/minute",
)
def give_help(body: dict[str, Any]) -> Response:
    """Help a friend, once in a campaign, after a draw of one's own in it. Whose award it is, is not told."""
    keys = context.container().keyring.signing_keys(help_links.KEY_PURPOSE)

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        award_id = help_links.verify(keys, text=body["token"], now=now)
        helping.help_award(session, award_id=award_id, principal=caller, now=now)
        return Answer(200, {"helped": True})

    return respond(context.edge().write(work, operation="give_help"))


def _award(number: int, session: Session, caller: Principal, now: datetime) -> dict[str, Any]:
    """Return an award of the caller with what came of it."""
    found, _, voucher = _state(number, session, caller, now)
    delivery = delivery_of(session, award_id=number) if found["kind"] == AwardKind.GOODS else None
    parcel = None if delivery is None else present.parcel(delivery)
    return {"award": found, "voucher": voucher, "parcel": parcel}


def _state(
    number: int, session: Session, caller: Principal, _now: datetime
) -> tuple[dict[str, Any], BillView | None, dict[str, Any] | None]:
    """Return an award of the caller, its latest bill and its code, whichever there are."""
    cluster = persons.cluster(session, person_id=caller.person_id)
    found = _one(session, number, cluster)
    shown = present.award(found)
    if found.kind is not AwardKind.VOUCHER:
        return shown, bills.latest_bill(session, award_id=number), None
    voucher = voucher_of(session, award_id=number)
    return shown, None, None if voucher is None else present.voucher(voucher)


def _collected(
    award: dict[str, Any], bill: BillView | None, voucher: dict[str, Any] | None, *, replayed: bool
) -> Answer:
    transfer, red_packet = None, None
    if award["state"] == AwardState.LOCKED and bill is not None and bill.package_info is not None:
        if bill.method is PayMethod.RED_PACKET:
            red_packet = json.loads(bill.package_info)
        else:
            transfer = {"mch_id": bill.mchid, "app_id": bill.appid, "package_info": bill.package_info}
    sent = award["state"] == AwardState.LOCKED and bill is not None and bill.sent_in_chat
    waiting = transfer is None and red_packet is None and not sent and award["state"] != AwardState.FULFILLED
    body = {
        "award": award,
        "transfer": transfer,
        "red_packet": red_packet,
        "service_red_packet": _sender(bill, PayMethod.SERVICE_RED_PACKET) if sent else None,
        "wecom_red_packet": _sender(bill, PayMethod.WECOM_RED_PACKET) if sent else None,
        "voucher": voucher,
    }
    return Answer(202 if waiting else 200, body, replayed=replayed)


def _sender(bill: BillView | None, method: PayMethod) -> dict[str, str] | None:
    return {"app_id": bill.appid} if bill is not None and bill.method is method else None


def _deliver(message_id: int) -> None:
    """Send the bill now instead of at the next knock; whoever waits longer is answered 202."""
    drainer = context.container().drainer
    deliveries: Deliveries = current_app.extensions["saoma.deliveries"]
    deliveries.try_now(lambda: metrics.count_outcomes(drainer.deliver(OPEN_TOPIC, message_id)))
