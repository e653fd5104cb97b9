"""Codes that WeChat makes, 一物一码: ordered, activated by range, found by the tickets of scans (CODE-02).

An order makes a batch, so that activating, freezing, shipping, drawing and claiming hold for these codes as
for any. Of a code only a keyed digest is kept, under a context of its own: such a code is never
found by a text that a shopper sends, only by what WeChat says of a ticket. So it weakens nothing: whoever
guesses or copies the nine characters has nothing.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import LargeBinary, and_, delete, func, insert, select, type_coerce
from sqlalchemy.orm import Session, aliased

from app.codes.book import CodeBook
from app.codes.errors import InvalidMarketOrder, InvalidTicket, NotACode, RangeTaken, UnknownMarketOrder
from app.codes.foreign import find
from app.codes.format import Parsed
from app.codes.interfaces import ActiveCode, Opening, Stretch
from app.codes.market_list import KEY
from app.codes.models import (
    MARKET_CONTEXT,
    TICKET_CONTEXT,
    ActivationState,
    CodeBatch,
    MarketAccount,
    MarketActivation,
    MarketFile,
    MarketOrder,
    MarketTicket,
    OrderState,
)
from app.codes.operations import create_batch, lock_batches
from app.codes.outcome import Placement
from app.db import secrets
from app.db.once import insert_once
from app.identity.interfaces import AppCredentials
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.organisation.models import App, AppKind
from app.outbox.operations import enqueue

ORDER_TOPIC = "codes.market_order"
FILE_TOPIC = "codes.market_file"
ACTIVATION_TOPIC = "codes.market_activation"
SMALLEST, LARGEST, STEP = 10_000, 20_000_000, 10_000
KEEP_TICKETS = timedelta(days=1)
"""Far longer than WeChat takes a ticket: a client that lost the answer has asked again by then."""

_EAN = re.compile(r"[0-9]{8,14}")
_PATH = re.compile(r"[!-~]{1,128}")
_PAGE_TYPES = (0, 1, 2)
_MAX_WORDS = 64
_OF_ANOTHER = "this ticket is of another scan: scan the code again"


@dataclass(frozen=True, slots=True)
class AccountView:
    """A service account that may order codes, and the mini-program that they open.

    `copy_differs`: the copy of its secret, which the previous release orders with, is not the app's.
    """

    id: int
    appid: str
    app_id: int
    opens: str
    copy_differs: bool
    secret: str = field(repr=False)
    file_key: str = field(repr=False)

    @property
    def credentials(self) -> AppCredentials:
        """What its calls take."""
        return AppCredentials(self.appid, self.secret)


class OrderView(NamedTuple):
    """An order, with how many of its files are here."""

    batch_id: int
    codes: int
    state: OrderState
    application_id: int | None
    account_id: int
    fault: str | None
    asked_at: datetime
    files: int
    loaded: int


class FileView(NamedTuple):
    """A file of an order; `sha256` is of its plain text, empty until it was loaded."""

    stretch: Stretch
    sha256: str | None


class ActivationView(NamedTuple):
    """A range that WeChat was asked to activate."""

    stretch: Stretch
    state: ActivationState
    product_title: str
    path: str
    fault: str | None
    asked_at: datetime
    asked_by: str


def code_digest(code: str) -> bytes:
    """Return by what a code of nine characters is found."""
    return secrets.ring().blind(MARKET_CONTEXT, code)


def save_account(
    session: Session, *, app_id: int, appid: str, file_key: str | None = None, now: datetime
) -> None:
    """Let a service account of ours order codes that open a mini-program; it orders with the app's secret.

    A copy of the secret is kept for processes of the previous release, which know no other.
    Args: file_key may be left out for an account that is known: the one it has is kept.
    Raise InvalidMarketOrder for an appid that is no service account of ours, for a malformed key, or when
    either belongs to another already.
    """
    service = select(App.secret).where(App.appid == appid, App.kind == AppKind.SERVICE)
    secret = session.connection().execute(service).scalar()
    if secret is None:
        raise InvalidMarketOrder(
            "no service account of ours has this appid; `saoma apps add APPID --kind service` registers it"
        )
    if file_key is not None and not KEY.fullmatch(file_key):
        raise InvalidMarketOrder("the key that WeChat sent to the service account has 16 characters")
    if file_key is not None:
        row = {
            "id": new_id(),
            "app_id": app_id,
            "appid": appid,
            "secret": secret,
            "file_key": file_key,
            "created_at": now,
        }
        if insert_once(session, insert(MarketAccount), row):
            return
    known = session.scalars(
        select(MarketAccount).where(MarketAccount.appid == appid).with_for_update()
    ).first()
    if known is None and file_key is None:
        raise InvalidMarketOrder("say the key that WeChat sent to the service account: it is not known yet")
    if known is None or known.app_id != app_id:
        raise InvalidMarketOrder(
            "this service account opens another mini-program, or the mini-program has another account"
        )
    known.secret, known.file_key = secret, file_key or known.file_key
    session.flush()


_Service = aliased(App)
_ACCOUNT = (
    select(
        MarketAccount.id,
        MarketAccount.appid,
        MarketAccount.app_id,
        App.appid.label("opens"),
        MarketAccount.file_key,
        MarketAccount.secret.label("copied"),
        _Service.secret,
    )
    .join(App, App.id == MarketAccount.app_id)
    .outerjoin(_Service, and_(_Service.appid == MarketAccount.appid, _Service.kind == AppKind.SERVICE))
)


def _account(row: Any) -> AccountView:
    # One of the two is there: an account is saved only for an app, and apps stay.
    return AccountView(
        row.id,
        row.appid,
        row.app_id,
        row.opens,
        copy_differs=row.copied != row.secret,
        secret=row.secret or row.copied,
        file_key=row.file_key,
    )


def accounts(session: Session) -> Sequence[AccountView]:
    """Return all accounts by appid."""
    return [_account(row) for row in session.connection().execute(_ACCOUNT.order_by(MarketAccount.appid))]


def account(session: Session, *, account_id: int) -> AccountView:
    """Return an account."""
    return _account(session.connection().execute(_ACCOUNT.where(MarketAccount.id == account_id)).one())


def account_opening(session: Session, *, app_id: int) -> AccountView | None:
    """Return the account whose codes open a mini-program, if any."""
    row = session.connection().execute(_ACCOUNT.where(MarketAccount.app_id == app_id)).first()
    return None if row is None else _account(row)


def account_by_appid(session: Session, *, appid: str) -> AccountView:
    """Return an account by its appid; raise InvalidMarketOrder."""
    row = session.connection().execute(_ACCOUNT.where(MarketAccount.appid == appid)).first()
    if row is None:
        raise InvalidMarketOrder("no service account has this appid; `saoma marketcode account` adds it")
    return _account(row)


def order(
    session: Session,
    *,
    account_id: int,
    product_id: int,
    lot: str,
    codes: int,
    placement: Placement,
    actor: Actor,
    now: datetime,
    needs_shipping: bool | None = None,
) -> tuple[int, int]:
    """Order `codes` codes of WeChat for a lot of a product; return the batch and the message that asks.

    WeChat is asked once for our number, however often the call is repeated. Raise InvalidMarketOrder, or what
    `create_batch` raises.
    """
    if not SMALLEST <= codes <= LARGEST or codes % STEP:
        raise InvalidMarketOrder(f"an order has {SMALLEST:,} to {LARGEST:,} codes, a multiple of {STEP:,}")
    batch_id = create_batch(
        session,
        product_id=product_id,
        lot=lot,
        size=codes,
        placement=placement,
        needs_shipping=needs_shipping,
        actor=actor,
        now=now,
    )
    row = {
        "batch_id": batch_id,
        "account_id": account_id,
        "order_no": f"saoma{new_id()}",
        "state": OrderState.ASKED,
        "asked_at": now,
        "asked_by": actor.label,
    }
    session.execute(insert(MarketOrder).values(**row))
    message = enqueue(session, topic=ORDER_TOPIC, key=str(batch_id), payload={"batch": batch_id}, now=now)
    return batch_id, message


def activate_at_wechat(
    session: Session, *, batch_id: int, stretch: Stretch, opening: Opening, actor: Actor, now: datetime
) -> tuple[int, int]:
    """Ask WeChat to let a range of an order's codes open a page; return its id and the message that asks.

    Our own activation of the range follows when WeChat has agreed. `opening.appid` must be the mini-program
    of the order's account. Raise UnknownMarketOrder, InvalidMarketOrder, or RangeTaken when a part of the
    range was asked for before: what a second activation would do is not known.
    """
    _require_opening(opening)
    lock_batches(session, batch_ids=[batch_id])
    found = order_of(session, batch_id=batch_id)
    if found.state is not OrderState.LOADED:
        raise InvalidMarketOrder("wait until every file is here: `saoma marketcode status` tells")
    if account(session, account_id=found.account_id).opens != opening.appid:
        raise InvalidMarketOrder("the codes of this order open another mini-program")
    if not 0 <= stretch.first <= stretch.last < found.codes:
        raise InvalidMarketOrder(f"the order has codes from index 0 to {found.codes - 1}")
    taken = (
        select(MarketActivation.id)
        .where(
            MarketActivation.batch_id == batch_id,
            MarketActivation.state != ActivationState.REFUSED,
            MarketActivation.first_index <= stretch.last,
            MarketActivation.last_index >= stretch.first,
        )
        .limit(1)
    )
    if session.execute(taken).first() is not None:
        raise RangeTaken("a part of this range was activated before: `saoma marketcode activations` shows it")
    activation_id = new_id()
    row = {
        "id": activation_id,
        "batch_id": batch_id,
        "first_index": stretch.first,
        "last_index": stretch.last,
        "activity_name": opening.activity_name,
        "product_brand": opening.product_brand,
        "product_title": opening.product_title,
        "product_code": opening.product_code,
        "path": opening.path,
        "page_type": opening.page_type,
        "state": ActivationState.ASKED,
        "asked_at": now,
        "asked_by": actor.label,
    }
    session.execute(insert(MarketActivation).values(**row))
    message = enqueue(
        session,
        topic=ACTIVATION_TOPIC,
        key=str(activation_id),
        payload={"activation": activation_id},
        now=now,
    )
    return activation_id, message


def _require_opening(opening: Opening) -> None:
    words = (opening.activity_name, opening.product_brand, opening.product_title)
    if not all(1 <= len(word) <= _MAX_WORDS and word.isprintable() for word in words):
        raise InvalidMarketOrder(f"activity, brand and title have 1 to {_MAX_WORDS} characters")
    if not _EAN.fullmatch(opening.product_code):
        raise InvalidMarketOrder("the product code is an EAN of 8 to 14 digits")
    if not _PATH.fullmatch(opening.path) or opening.path.startswith("/"):
        raise InvalidMarketOrder("a page is a path without a slash in front, such as pages/index/index")
    if opening.page_type not in _PAGE_TYPES:
        raise InvalidMarketOrder("a page type is 0 (released), 1 (in development) or 2 (trial)")


def _orders() -> Any:
    files = select(func.count()).where(MarketFile.batch_id == MarketOrder.batch_id)
    return select(
        MarketOrder.batch_id,
        CodeBatch.size,
        MarketOrder.state,
        MarketOrder.application_id,
        MarketOrder.account_id,
        MarketOrder.fault,
        MarketOrder.asked_at,
        files.scalar_subquery(),
        files.where(MarketFile.loaded_at.is_not(None)).scalar_subquery(),
    ).join(CodeBatch, CodeBatch.id == MarketOrder.batch_id)


def orders(session: Session, *, limit: int = 100) -> Sequence[OrderView]:
    """Return the newest orders."""
    newest = _orders().order_by(MarketOrder.batch_id.desc()).limit(limit)
    return [OrderView(*row) for row in session.connection().execute(newest)]


def order_of(session: Session, *, batch_id: int) -> OrderView:
    """Return the order behind a batch; raise UnknownMarketOrder."""
    row = session.connection().execute(_orders().where(MarketOrder.batch_id == batch_id)).first()
    if row is None:
        raise UnknownMarketOrder(
            "WeChat made no codes of this batch; `saoma marketcode status` shows its orders"
        )
    return OrderView(*row)


def files_of(session: Session, *, batch_id: int) -> Sequence[FileView]:
    """Return the files of an order by index; none before WeChat has made the codes."""
    listed = (
        select(MarketFile.first_index, MarketFile.last_index, MarketFile.sha256)
        .where(MarketFile.batch_id == batch_id)
        .order_by(MarketFile.first_index)
    )
    rows = session.connection().execute(listed)
    return [FileView(Stretch(first, last), digest) for first, last, digest in rows]


def activations(session: Session, *, batch_id: int) -> Sequence[ActivationView]:
    """Return what WeChat was asked to activate of an order, by index; raise UnknownMarketOrder."""
    order_of(session, batch_id=batch_id)
    listed = (
        select(
            MarketActivation.first_index,
            MarketActivation.last_index,
            MarketActivation.state,
            MarketActivation.product_title,
            MarketActivation.path,
            MarketActivation.fault,
            MarketActivation.asked_at,
            MarketActivation.asked_by,
        )
        .where(MarketActivation.batch_id == batch_id)
        .order_by(MarketActivation.first_index, MarketActivation.id)
    )
    rows = session.connection().execute(listed)
    return [ActivationView(Stretch(row[0], row[1]), *row[2:]) for row in rows]


def recall_ticket(
    session: Session, *, book: CodeBook, ticket: str, person_ids: Collection[int]
) -> Parsed | None:
    """Return the code of a ticket that WeChat has taken in for one of these persons; None for a new one.

    Raise InvalidTicket for a ticket of somebody else.
    """
    known = (
        select(
            MarketTicket.person_id,
            MarketTicket.batch_id,
            MarketTicket.code_index,
            type_coerce(CodeBatch.key, LargeBinary).label("sealed_key"),
        )
        .join(CodeBatch, CodeBatch.id == MarketTicket.batch_id)
        .where(MarketTicket.digest == _ticket_digest(ticket))
    )
    row = session.connection().execute(known).first()
    if row is None:
        return None
    if row.person_id not in person_ids:
        raise InvalidTicket(_OF_ANOTHER)
    tag = book.batch_key(row.sealed_key).tag(row.batch_id, row.code_index)
    return Parsed(row.batch_id, row.code_index, tag)


def place(session: Session, *, book: CodeBook, account_id: int, active: ActiveCode) -> Parsed:
    """Return the place of what WeChat says of a ticket; raise NotACode for a code of no order of ours."""
    found = find(session, book=book, digest=code_digest(active.code))
    ours = select(MarketOrder.batch_id).where(
        MarketOrder.account_id == account_id, MarketOrder.application_id == active.application_id
    )
    if found is None or session.connection().execute(ours).scalar() != found.batch_id:
        raise NotACode("this code belongs to no order of ours")
    return found


def keep_ticket(
    session: Session,
    *,
    ticket: str,
    person_id: int,
    person_ids: Collection[int],
    parsed: Parsed,
    now: datetime,
) -> None:
    """Note whose scan a ticket was, so that a client which lost the answer may send it again.

    Raise InvalidTicket when it is noted for somebody who is none of `person_ids`.
    """
    digest = _ticket_digest(ticket)
    row = {
        "digest": digest,
        "person_id": person_id,
        "batch_id": parsed.batch_id,
        "code_index": parsed.code_index,
        "at": now,
    }
    if insert_once(session, insert(MarketTicket), row):
        return
    owner = select(MarketTicket.person_id).where(MarketTicket.digest == digest)
    if session.connection().execute(owner).scalar() not in person_ids:
        raise InvalidTicket(_OF_ANOTHER)


def purge_tickets(session: Session, *, now: datetime, limit: int = 1000) -> int:
    """Forget tickets that nobody can send again; return how many."""
    old = select(MarketTicket.digest).where(MarketTicket.at < now - KEEP_TICKETS).limit(limit)
    digests = session.connection().execute(old).scalars().all()
    if digests:
        session.connection().execute(delete(MarketTicket).where(MarketTicket.digest.in_(digests)))
    return len(digests)


def _ticket_digest(ticket: str) -> bytes:
    return secrets.ring().blind(TICKET_CONTEXT, ticket)
