"""Opening bills and minding payers.

The one mistake that costs money is a second number for the same award while the first may still pay. So
an award has one payout row, the payout has one latest bill, and a new number is given only by the guarded
step from `failed`, which only the platform's own word can bring about. Our clock never ends a bill.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Row, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from app.alerts.operations import resolve_alert
from app.db.engine import Replay
from app.db.once import insert_once
from app.identity import queries as identity
from app.kernel.actor import Actor
from app.kernel.boundaries import reach
from app.kernel.ids import new_id
from app.organisation.models import App, AppKind
from app.outbox.operations import enqueue, hasten_group, receive
from app.payouts import limits, notices, queries
from app.payouts.errors import (
    AlreadyPaid,
    AmountNotPayable,
    AppNotBound,
    BadPayer,
    CorpWanted,
    NameNeeded,
    NoOpenid,
    RedPacketsOfToday,
    ServiceAccountWanted,
    ServiceDeskWanted,
)
from app.payouts.interfaces import PayMethod, ReportInfo, TransferNotice
from app.payouts.models import Bill, Payer, PayerApp, Payout
from app.payouts.numbers import bill_number
from app.payouts.old_keys import keep_old_keys
from app.payouts.queries import BillView
from app.payouts.states import (
    PAYER_TRANSITIONS,
    PAYOUT_TRANSITIONS,
    BillState,
    PayerState,
    PayoutState,
)

OPEN_TOPIC = "payouts.open"
QUERY_TOPIC = "payouts.query"
CALLBACK_SOURCE = "pay"
BALANCE_ALERT = "payer.balance"
SLOW_ALERT = "payer.slow"
PROBE_EVERY = timedelta(minutes=10)
FIRST_POLL = timedelta(minutes=2)
LONGEST_POLL = timedelta(hours=3)
# Nobody tells how these end; asking is all there is.
LONGEST_SILENT_POLL = timedelta(minutes=10)
BEIJING = ZoneInfo("Asia/Shanghai")


def open_bill(
    session: Session,
    *,
    award_id: int,
    brand_id: int,
    person_id: int,
    person_ids: Sequence[int],
    app_id: int,
    payer_id: int,
    amount_fen: int,
    remark: str,
    now: datetime,
    actor: Actor,
    user_name: str | None = None,
) -> BillView:
    """Return the open bill of an award, opening one when there is none; never a second one.

    `person_id` is the award's, `person_ids` its cluster, `app_id` the app in use: it, or the service account
    or corp that sends, and the cluster's openid there are frozen with all that the request says. `remark` has
    at most 32 characters; `user_name` is needed from 2,000 yuan (contract 4.8). A bill after the first is
    opened only when the platform has said that the last one failed or was cancelled.

    Raises AlreadyPaid, AppNotBound, NoOpenid, ServiceDeskWanted, ServiceAccountWanted, CorpWanted,
    AmountNotPayable, NameNeeded, RedPacketsOfToday, UnknownPayer.
    """
    payout = _lookup(session, award_id)
    if payout is not None and payout.state is not PayoutState.FAILED:
        return _present(session, award_id, payout.state)
    payer = queries.payer(session, payer_id)
    _require_payable(payer, amount_fen, user_name)
    _require_room_today(session, payer, person_ids, amount_fen, now)
    app_id, appid, openid = _receiver(session, payer, person_ids, app_id)
    generation = 1 if payout is None else payout.generation + 1
    payout_id = new_id() if payout is None else payout.id
    if payout is None:
        won = insert_once(
            session,
            insert(Payout),
            {
                "id": payout_id,
                "award_id": award_id,
                "brand_id": brand_id,
                "payer_id": payer.id,
                "person_id": person_id,
                "amount_fen": amount_fen,
                "state": PayoutState.OPEN,
                "generation": generation,
                "created_at": now,
            },
        )
    else:
        won = _next_generation(session, payout_id, generation)
    if not won:
        # Another tap was faster and has committed: its bill is the bill.
        rival = _lookup(session, award_id)
        assert rival is not None
        return _present(session, award_id, rival.state)
    frozen = {
        "bill_no": bill_number(award_id, generation),
        "app_id": app_id,
        "appid": appid,
        "openid": openid,
        "user_name": user_name if amount_fen >= limits.NAME_FROM_FEN else None,
        "amount_fen": amount_fen,
        "remark": remark,
        "opened_by": actor.label[:64],
    }
    _insert_bill(session, payer, payout_id, generation, frozen, now=now)
    reach("payouts.opening" if payout is None else "payouts.reopening")
    return _present(session, award_id, PayoutState.OPEN)


def _insert_bill(
    session: Session,
    payer: Payer,
    payout_id: int,
    generation: int,
    frozen: Mapping[str, object],
    *,
    now: datetime,
) -> None:
    """Write a bill and the message that opens it.

    Everything that the request will say is frozen in the row, so that each repeat says the same.
    """
    bill_id = new_id()
    bill_no, amount_fen = frozen["bill_no"], frozen["amount_fen"]
    assert isinstance(bill_no, str)
    assert isinstance(amount_fen, int)
    message_id = enqueue(
        session, topic=OPEN_TOPIC, key=bill_no, payload={"bill": bill_id}, now=now, group=str(payer.id)
    )
    session.connection().execute(
        insert(Bill),
        {
            "id": bill_id,
            "payout_id": payout_id,
            "payer_id": payer.id,
            "generation": generation,
            "state": BillState.NEW,
            **frozen,
            "scene_id": payer.scene_id,
            "report_infos": payer.report_infos,
            "recv_style": limits.recv_style(payer.recv_style, amount_fen),
            "notify_url": payer.notify_url,
            "message_id": message_id,
            "polls": 0,
            "poll_at": now + FIRST_POLL,
            "opened_at": now,
        },
    )


def _present(session: Session, award_id: int, state: PayoutState) -> BillView:
    if state is PayoutState.SETTLED:
        raise AlreadyPaid("the money has arrived in WeChat")
    bill = queries.latest_bill(session, award_id=award_id)
    assert bill is not None
    return bill


def _lookup(session: Session, award_id: int) -> Row[int, PayoutState, int] | None:
    found = select(Payout.id, Payout.state, Payout.generation).where(Payout.award_id == award_id)
    return session.connection().execute(found).first()


def _next_generation(session: Session, payout_id: int, generation: int) -> bool:
    reopened = (
        update(Payout)
        .where(
            Payout.id == payout_id,
            Payout.state.in_(PAYOUT_TRANSITIONS.sources(PayoutState.OPEN)),
            Payout.generation == generation - 1,
        )
        .values(state=PayoutState.OPEN, generation=generation)
    )
    return session.connection().execute(reopened).rowcount == 1


def _receiver(session: Session, payer: Payer, person_ids: Sequence[int], app_id: int) -> tuple[int, str, str]:
    """Return the app in which a bill pays, its appid, and who this is there."""
    if not payer.method.taken_in_app:
        return _known_there(session, payer, person_ids)
    bound = (
        select(App.appid)
        .join(PayerApp, PayerApp.app_id == App.id)
        .where(PayerApp.payer_id == payer.id, App.id == app_id)
    )
    appid = session.connection().execute(bound).scalar()
    if appid is None:
        raise AppNotBound("this prize is paid in another mini-program of the brand; collect it there")
    openid = identity.openid(session, person_ids=person_ids, app_id=app_id)
    if openid is None:
        _require_undoubted(session, person_ids, app_id, appid)
        raise NoOpenid("sign in to this mini-program again, then collect")
    return app_id, appid, openid


def _known_there(session: Session, payer: Payer, person_ids: Sequence[int]) -> tuple[int, str, str]:
    bound = select(App.id, App.appid).join(PayerApp, PayerApp.app_id == App.id)
    app_id, appid = session.connection().execute(bound.where(PayerApp.payer_id == payer.id)).one()
    openid = identity.openid(session, person_ids=person_ids, app_id=app_id)
    if openid is not None:
        return app_id, appid, openid
    _require_undoubted(session, person_ids, app_id, appid)
    if payer.method is PayMethod.WECOM_RED_PACKET:
        raise CorpWanted(
            "the company's WeCom sends this prize and does not know you yet: get a link from POST"
            " /openid-links with its appid, open it in WeChat, then collect",
            appid=appid,
        )
    raise ServiceAccountWanted(
        "the service account sends this prize and does not know you yet: get a link from POST"
        " /openid-links with its appid, open it in WeChat, then collect",
        appid=appid,
    )


def _require_undoubted(session: Session, person_ids: Sequence[int], app_id: int, appid: str) -> None:
    """Point to the service desk who is known in an app by a demoted openid alone: no sign-in changes that."""
    if identity.openid_demoted(session, person_ids=person_ids, app_id=app_id):
        raise ServiceDeskWanted(
            "您在此应用中的微信身份有待核实，请联系品牌客服，奖品仍为您保留。"
            " It is in doubt whether the WeChat account that is known here is yours: ask the brand's service"
            " desk; the prize stays collectible.",
            appid=appid,
        )


def _require_payable(payer: Payer, amount_fen: int, user_name: str | None) -> None:
    if amount_fen > payer.product_max_fen or not limits.payable(payer.method, payer.scene_id, amount_fen):
        raise AmountNotPayable(
            "the amount is outside what can be transferred at once; the organiser has to raise the limit"
        )
    if payer.method is PayMethod.TRANSFER and amount_fen >= limits.NAME_FROM_FEN and not user_name:
        raise NameNeeded("WeChat Pay asks for the receiver's verified name from 2,000 yuan")


def _require_room_today(
    session: Session, payer: Payer, person_ids: Sequence[int], amount_fen: int, now: datetime
) -> None:
    """Refuse a packet that the platform would refuse today, so that the award is not locked till tomorrow.

    Two taps at once may both pass: the platform counts too, and its word waits for the next day.
    """
    if not payer.method.is_packet:
        return
    midnight = now.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
    count, fen = queries.opened_since(
        session, payer_id=payer.id, person_ids=person_ids, since=midnight.astimezone(UTC)
    )
    if count >= limits.PACKETS_A_DAY or fen + amount_fen > limits.PACKET_FEN_A_DAY:
        raise RedPacketsOfToday("WeChat gives one person 10 red packets a day, of 1,000 yuan; try tomorrow")


def pause(session: Session, *, payer_id: int, reason: str, now: datetime, actor: Actor) -> None:
    """Stop a payer's bills until `resume`; bills that wait keep waiting, those sent go on.

    Raises UnknownPayer, or TransitionRefused when somebody has paused it already.
    """
    _decide(session, payer_id, PayerState.PAUSED_OPERATOR, reason=reason, now=now, actor=actor)


def resume(session: Session, *, payer_id: int, now: datetime, actor: Actor) -> int:
    """Let a paused payer's bills go out again, all that wait at once (after a top-up, say).

    Returns how many wait. Raises UnknownPayer, or TransitionRefused when it is not paused.
    """
    _decide(session, payer_id, PayerState.ACTIVE, reason=None, now=now, actor=actor)
    return _wake(session, payer_id, now=now, actor=actor)


def _decide(
    session: Session, payer_id: int, new: PayerState, *, reason: str | None, now: datetime, actor: Actor
) -> None:
    payer = queries.payer(session, payer_id)
    PAYER_TRANSITIONS.require(payer.state, new)
    if not change_payer(session, payer_id, payer.state, new, reason=reason, now=now, actor=actor):
        raise Replay
    session.expire(payer)


def change_payer(
    session: Session,
    payer_id: int,
    old: PayerState,
    new: PayerState,
    *,
    reason: str | None,
    now: datetime,
    actor: Actor,
) -> bool:
    """Bring a payer from state `old` to `new`, unless it has left `old`; return whether it did."""
    PAYER_TRANSITIONS.require(old, new)
    changed = (
        update(Payer)
        .where(Payer.id == payer_id, Payer.state == old)
        .values(
            state=new,
            state_reason=reason[:200] if reason else None,
            state_by=actor.label[:64],
            state_at=now,
            probe_at=now + PROBE_EVERY if new is PayerState.PAUSED_BALANCE else None,
        )
    )
    return session.connection().execute(changed).rowcount == 1


def note_funds(session: Session, *, payer: Payer, now: datetime, actor: Actor) -> None:
    """Take a bill that the platform has funded as the sign that the payer has money again.

    Settles the alerts and resumes a payer that was paused for its balance; an operator's pause stays.
    """
    resolve_alert(session, kind=SLOW_ALERT, subject=str(payer.id), by=actor.label, now=now)
    if payer.state is PayerState.PAUSED_BALANCE and change_payer(
        session, payer.id, payer.state, PayerState.ACTIVE, reason=None, now=now, actor=actor
    ):
        _wake(session, payer.id, now=now, actor=actor)


def _wake(session: Session, payer_id: int, *, now: datetime, actor: Actor) -> int:
    resolve_alert(session, kind=BALANCE_ALERT, subject=str(payer_id), by=actor.label, now=now)
    return hasten_group(session, topic=OPEN_TOPIC, group=str(payer_id), now=now)


def take_probe(session: Session, *, payer_id: int, now: datetime) -> bool:
    """Tell whether this is the one bill in ten minutes that may try a payer whose money ran out."""
    taken = (
        update(Payer)
        .where(Payer.id == payer_id, Payer.state == PayerState.PAUSED_BALANCE, Payer.probe_at <= now)
        .values(probe_at=now + PROBE_EVERY)
    )
    return session.connection().execute(taken).rowcount == 1


@dataclass(frozen=True, slots=True)
class PayerDetails:
    """A payer as it is set up; `report_infos` are what the scene demands (contract 4.8).

    `notify_url` is where the platform reports: https, without a query, or None to rely on asking.
    `app_ids` are the apps that the merchant number is bound to on the platform: mini-programs, or the one
    service account or corp that sends. A payer of red packets has an APIv2 key and the certificate of its
    private key, and no `notify_url`: nobody is called back (5.3). One of WeCom's has the secret of the
    company's 企业支付 app besides (5.5).
    """

    name: str
    mchid: str
    serial_no: str
    private_key: str = field(repr=False)
    apiv3_key: str = field(repr=False)
    public_key_id: str
    public_key: str = field(repr=False)
    app_ids: tuple[int, ...]
    product_max_fen: int
    report_infos: tuple[ReportInfo, ...]
    scene_id: str = "1000"
    recv_style: str | None = None
    notify_url: str | None = None
    brand_id: int | None = None
    method: PayMethod = PayMethod.TRANSFER
    apiv2_key: str | None = field(default=None, repr=False)
    client_certificate: str | None = field(default=None, repr=False)
    workwx_secret: str | None = field(default=None, repr=False)


def _faults(payer: PayerDetails) -> list[str]:
    if payer.method.is_packet:
        found = limits.packet_faults(
            method=payer.method,
            scene_id=payer.scene_id,
            report_infos=payer.report_infos,
            product_max_fen=payer.product_max_fen,
            apiv2_key=payer.apiv2_key,
            certificate=payer.client_certificate,
            workwx_secret=payer.workwx_secret,
        )
        if payer.notify_url is not None or payer.recv_style is not None:
            found.append("red packets have neither a callback address nor a style")
        return found
    return limits.faults(
        scene_id=payer.scene_id,
        report_infos=payer.report_infos,
        recv_style=payer.recv_style,
        notify_url=payer.notify_url,
        product_max_fen=payer.product_max_fen,
    )


def _app_faults(session: Session, payer: PayerDetails) -> list[str]:
    kinds = list(session.connection().execute(select(App.kind).where(App.id.in_(payer.app_ids))).scalars())
    if payer.method.taken_in_app:
        return ["its apps are mini-programs"] if {*kinds} - {AppKind.MINIPROGRAM} else []
    if payer.method is PayMethod.WECOM_RED_PACKET:
        return [] if kinds == [AppKind.CORP] else ["its app is the one corp that sends the packets"]
    return [] if kinds == [AppKind.SERVICE] else ["its app is the one service account that sends the packets"]


def _require_kept(session: Session, known: Payer, payer: PayerDetails) -> None:
    """Refuse details that would change what open bills were opened by."""
    if known.brand_id != payer.brand_id:
        raise BadPayer("this merchant number belongs to another brand here")
    if known.method is not payer.method:
        raise BadPayer(f"this merchant number pays by {known.method.value} here, and so it stays")
    if known.method is PayMethod.WECOM_RED_PACKET:
        # A bill keeps the corpid that it was opened with, and the payer the secret of one corp alone.
        bound = select(App.id, App.appid).join(PayerApp, PayerApp.app_id == App.id)
        corp = session.connection().execute(bound.where(PayerApp.payer_id == known.id)).one()
        if set(payer.app_ids) != {corp.id}:
            raise BadPayer(f"this merchant number pays by the WeCom of {corp.appid} here, and so it stays")


def save_payer(session: Session, *, payer: PayerDetails, now: datetime, actor: Actor) -> int:
    """Add a payer, or bring the one with this merchant number to these details; return its id (PAY-02).

    Bills that are open keep what they were opened with; callbacks may come with the keys that it had for a
    week more. A payer keeps its state, its brand and its method, by which open bills are asked about, and one
    of WeCom its corp, whose secret signs them: raises BadPayer when another one is given, or when the
    details break a rule of the platform.
    """
    faults = [*_faults(payer), *_app_faults(session, payer)]
    if faults:
        raise BadPayer("; ".join(faults))
    values = {
        "name": payer.name,
        "serial_no": payer.serial_no,
        "private_key": payer.private_key,
        "apiv3_key": payer.apiv3_key,
        "public_key_id": payer.public_key_id,
        "public_key": payer.public_key,
        "scene_id": payer.scene_id,
        "report_infos": [
            {"info_type": info.info_type, "info_content": info.info_content} for info in payer.report_infos
        ],
        "recv_style": payer.recv_style,
        "notify_url": payer.notify_url,
        "product_max_fen": payer.product_max_fen,
        "apiv2_key": payer.apiv2_key,
        "client_certificate": payer.client_certificate,
        "workwx_secret": payer.workwx_secret,
    }
    payer_id = new_id()
    row = {
        **values,
        "id": payer_id,
        "brand_id": payer.brand_id,
        "mchid": payer.mchid,
        "method": payer.method,
        "state": PayerState.ACTIVE,
        "state_by": actor.label[:64],
        "state_at": now,
        "created_at": now,
    }
    if not insert_once(session, insert(Payer), row):
        known = queries.payer_of(session, payer.mchid)
        _require_kept(session, known, payer)
        payer_id = known.id
        keys = (payer.apiv3_key, payer.public_key_id, payer.public_key)
        keep_old_keys(session, known, keys, now=now)
        session.connection().execute(update(Payer).where(Payer.id == payer_id).values(values))
        session.expire(known)
    connection = session.connection()
    connection.execute(
        delete(PayerApp).where(PayerApp.payer_id == payer_id, PayerApp.app_id.not_in(payer.app_ids))
    )
    for app_id in payer.app_ids:
        insert_once(session, insert(PayerApp), {"payer_id": payer_id, "app_id": app_id})
    return payer_id


_POLLED = (
    update(Bill)
    .where(Bill.id == bindparam("bill"), Bill.polls == bindparam("known_polls"))
    .values(polls=Bill.polls + 1, poll_at=bindparam("next_poll_at"))
)


def poll_due(session: Session, *, now: datetime, limit: int = 200) -> int:
    """Enqueue a query for at most `limit` bills that have been open too long without news; return how many.

    Callbacks get lost; a query is how we learn of an end then. Ever less often, from two minutes to three
    hours, or to ten minutes for a bill that nobody calls back about. Harmless when two run at once: polls
    are numbered.
    """
    due = (
        select(Bill.id, Bill.bill_no, Bill.payer_id, Bill.polls, Bill.notify_url)
        .where(Bill.poll_at <= now)
        .order_by(Bill.poll_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.connection().execute(due).all()
    for row in rows:
        longest = LONGEST_POLL if row.notify_url is not None else LONGEST_SILENT_POLL
        pause = min(longest, FIRST_POLL * 3 ** min(row.polls + 1, 8))
        polled = {"bill": row.id, "known_polls": row.polls, "next_poll_at": now + pause}
        session.connection().execute(_POLLED, polled)
        enqueue(
            session,
            topic=QUERY_TOPIC,
            key=f"{row.bill_no}:{row.polls + 1}",
            payload={"bill": row.id, "poll": row.polls + 1},
            now=now,
            group=str(row.payer_id),
        )
    if rows:
        reach("payouts.polling")
    return len(rows)


def record_notice(session: Session, *, notice: TransferNotice, now: datetime) -> bool:
    """Put a genuine callback into the inbox, once; return False when it has come before.

    The caller has verified it with the payer's keys, and answers the platform after the commit.
    """
    return receive(
        session,
        source=CALLBACK_SOURCE,
        dedupe_key=f"{notice.mchid}:{notice.notice_id}"[:128],
        body=notices.write(notice),
        now=now,
    )
