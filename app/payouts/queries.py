"""Reading payers, payouts and bills."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from app.db.prepared import Prepared
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import AccountRef, ensure_account
from app.organisation.models import App
from app.payouts.errors import UnknownPayer
from app.payouts.interfaces import PayerCredentials, PayMethod
from app.payouts.models import Bill, Payer, PayerApp, Payout
from app.payouts.states import OPEN_BILL_STATES, BillState

PAID_PURPOSE = "paid"
"""The ledger account of a payer that holds what it has paid out."""


@dataclass(frozen=True, slots=True)
class BillView:
    """A bill as its receiver's app needs it.

    `package_info` of a red packet holds the arguments of wx.sendBizRedPacket as JSON (contract 5.4).
    `message_id` is the outbox message that opens it: the edge may deliver that at once. `package_info` is
    there while the shopper can confirm, to be handed to wx.requestMerchantTransfer together with `mchid`
    and `appid` (contract 13.4).
    """

    bill_id: int
    message_id: int
    bill_no: str
    generation: int
    state: BillState
    app_id: int
    appid: str
    mchid: str
    method: PayMethod
    amount_fen: int
    fail_reason: str | None
    opened_at: datetime
    package_info: str | None = field(repr=False)

    @property
    def sent_in_chat(self) -> bool:
        """Whether a service account or a corp has sent it, and its receiver can open it there."""
        return not self.method.taken_in_app and self.state is BillState.WAIT_USER_CONFIRM

    @property
    def offered(self) -> bool:
        """Whether its receiver can take it now, in whatever way."""
        return self.package_info is not None or self.sent_in_chat


def payer(session: Session, payer_id: int) -> Payer:
    """Return a payer; raise UnknownPayer."""
    found = session.get(Payer, payer_id)
    if found is None:
        raise UnknownPayer("there is no payer with this id; `saoma payers list` shows them")
    return found


def payer_of(session: Session, mchid: str) -> Payer:
    """Return the payer with merchant number `mchid`; raise UnknownPayer."""
    found = session.scalar(select(Payer).where(Payer.mchid == mchid))
    if found is None:
        raise UnknownPayer("there is no payer with this merchant number; `saoma payers list` shows them")
    return found


def callback_keys(session: Session, mchid: str) -> tuple[int, PayerCredentials]:
    """Return the id of the payer with merchant number `mchid` and the keys that its callbacks come with.

    Raises UnknownPayer. A statement for a hot path: every payout ends with a callback.
    """
    row = _CALLBACK_KEYS.first(session, {"mchid": mchid})
    if row is None:
        raise UnknownPayer("there is no payer with this merchant number; `saoma payers list` shows them")
    return row.id, credentials(row)


_CALLBACK_KEYS = Prepared(
    select(
        Payer.id,
        Payer.mchid,
        Payer.serial_no,
        Payer.private_key,
        Payer.apiv3_key,
        Payer.public_key_id,
        Payer.public_key,
        Payer.method,
        Payer.apiv2_key,
        Payer.client_certificate,
        Payer.workwx_secret,
    ).where(Payer.mchid == bindparam("mchid"))
)


def payers(session: Session) -> Sequence[Payer]:
    """Return all payers, the oldest first."""
    return session.scalars(select(Payer).order_by(Payer.id)).all()


def credentials(payer: Payer, appid: str = "") -> PayerCredentials:
    """Return what signs for a payer; `appid` is the app of the bill, which red packets name each time."""
    return PayerCredentials(
        mchid=payer.mchid,
        serial_no=payer.serial_no,
        private_key_pem=payer.private_key,
        apiv3_key=payer.apiv3_key,
        public_key_id=payer.public_key_id,
        public_key_pem=payer.public_key,
        method=payer.method,
        apiv2_key=payer.apiv2_key or "",
        client_certificate_pem=payer.client_certificate or "",
        workwx_secret=payer.workwx_secret or "",
        appid=appid if payer.method.is_packet else "",
    )


def an_appid(session: Session, *, payer_id: int) -> str:
    """Return the appid of one of the apps that a payer pays in."""
    wanted = select(App.appid).join(PayerApp, PayerApp.app_id == App.id).where(PayerApp.payer_id == payer_id)
    return session.connection().execute(wanted.order_by(App.id).limit(1)).scalar_one()


def opened_since(
    session: Session, *, payer_id: int, person_ids: Sequence[int], since: datetime
) -> tuple[int, int]:
    """Return how many bills of a payer were opened for a cluster since then and may pay, and their fen."""
    wanted = (
        select(func.count(Bill.id), func.coalesce(func.sum(Bill.amount_fen), 0))
        .join(Payout, Payout.id == Bill.payout_id)
        .where(
            Payout.person_id.in_(person_ids),
            Bill.payer_id == payer_id,
            Bill.opened_at >= since,
            Bill.state.not_in([BillState.FAIL, BillState.CANCELLED]),
        )
    )
    count, fen = session.connection().execute(wanted).one()
    return int(count), int(fen)


def closed_to_new(session: Session, *, payer_id: int) -> bool:
    """Tell whether a payer pays by a product that no new merchant is given any more (contract 5)."""
    return payer(session, payer_id).method.is_packet


def paid_account(session: Session, *, payer_id: int, brand_id: int | None, now: datetime) -> AccountRef:
    """Return the ledger account that holds what a payer has paid out, in fen."""
    return ensure_account(
        session,
        kind=AccountKind.OPEN,
        asset=Asset.FEN,
        purpose=PAID_PURPOSE,
        owner_id=payer_id,
        brand_id=brand_id,
        now=now,
    )


def latest_bill(session: Session, *, award_id: int) -> BillView | None:
    """Return the latest bill of an award; None when none was ever opened."""
    wanted = (
        select(
            Bill.id,
            Bill.message_id,
            Bill.bill_no,
            Bill.generation,
            Bill.state,
            Bill.app_id,
            Bill.appid,
            Payer.mchid,
            Payer.method,
            Bill.amount_fen,
            Bill.fail_reason,
            Bill.opened_at,
            Bill.package_info,
        )
        .join(Payout, Payout.id == Bill.payout_id)
        .join(Payer, Payer.id == Bill.payer_id)
        .where(Payout.award_id == award_id)
        .order_by(Bill.generation.desc())
        .limit(1)
    )
    row = session.connection().execute(wanted).first()
    if row is None:
        return None
    confirmable = row.state is BillState.WAIT_USER_CONFIRM
    return BillView(
        bill_id=row.id,
        message_id=row.message_id,
        bill_no=row.bill_no,
        generation=row.generation,
        state=row.state,
        app_id=row.app_id,
        appid=row.appid,
        mchid=row.mchid,
        method=row.method,
        amount_fen=row.amount_fen,
        fail_reason=row.fail_reason,
        opened_at=row.opened_at,
        package_info=row.package_info if confirmable else None,
    )


def open_bills(session: Session, *, person_ids: Collection[int], app_id: int) -> Sequence[Bill]:
    """Return the bills of a cluster's awards in an app that have not ended and are not being closed."""
    wanted = (
        select(Bill)
        .join(Payout, Payout.id == Bill.payout_id)
        .where(
            Payout.person_id.in_(person_ids),
            Bill.app_id == app_id,
            Bill.state.in_(OPEN_BILL_STATES),
            Bill.closing_at.is_(None),
        )
    )
    return session.scalars(wanted.order_by(Bill.id)).all()


def bills_of(session: Session, *, award_id: int) -> Sequence[Bill]:
    """Return every attempt at paying an award, the first first."""
    wanted = select(Bill).join(Payout, Payout.id == Bill.payout_id).where(Payout.award_id == award_id)
    return session.scalars(wanted.order_by(Bill.generation)).all()
