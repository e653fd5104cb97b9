"""Tables of the codes room. A batch of a hundred million codes is one row until somebody scans or draws.

Activating, freezing and shipping name ranges of indexes. `code_range_events` keeps what was done, by whom
and why; `code_ranges` is what holds now, as ranges that never overlap within one aspect. So one index look-up
finds the range that a code lies in, however many there are (a batch that ships in cases of 24 has millions).

Scans and claims carry no foreign keys. Scans are to be partitioned by time, which InnoDB refuses for tables
with foreign keys; and on both the check would lock the batch's row for every shopper, just the row
that freezing needs. Batches are never deleted, and both are written only after the batch was read.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from app.catalogue import models as _  # noqa: F401 - a foreign key needs its table
from app.codes.format import MAX_BATCH_ID, MAX_BATCH_SIZE
from app.codes.outcome import CodeLevel, Placement, ScanOutcome
from app.db.base import (
    Base,
    DataClass,
    big_int,
    blind_index,
    encrypted,
    enum_check,
    enum_column,
    flag,
    id_column,
    json_column,
    moment,
    ref,
    small_int,
    text_column,
)
from app.kernel.transitions import TransitionTable
from app.organisation import models as _organisation  # noqa: F401 - a foreign key needs its table

KEY_CONTEXT = "code_batches.key"
FOREIGN_CONTEXT = "foreign_codes.digest"
MARKET_CONTEXT = "foreign_codes.market"
TICKET_CONTEXT = "market_tickets.digest"


class RangeAspect(StrEnum):
    """What a range of codes may be."""

    ACTIVATED = "activated"
    FROZEN = "frozen"
    SHIPPED = "shipped"


class RangeEventKind(StrEnum):
    """What was done to a range of codes."""

    ACTIVATED = "activated"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    SHIPPED = "shipped"


class OrderState(StrEnum):
    """How far an order of codes at WeChat is."""

    ASKED = "asked"  # WeChat has not said a number yet
    MAKING = "making"  # WeChat makes the codes
    LOADING = "loading"  # made; their files are being fetched
    LOADED = "loaded"  # every file is here and right


ORDER_TRANSITIONS = TransitionTable(
    {
        OrderState.ASKED: (OrderState.MAKING,),
        OrderState.MAKING: (OrderState.LOADING,),
        OrderState.LOADING: (OrderState.LOADED,),
        OrderState.LOADED: (),
    }
)


class ActivationState(StrEnum):
    """Whether WeChat lets a range of codes open the mini-program."""

    ASKED = "asked"
    ACTIVE = "active"
    REFUSED = "refused"


ACTIVATION_TRANSITIONS = TransitionTable(
    {
        ActivationState.ASKED: (ActivationState.ACTIVE, ActivationState.REFUSED),
        ActivationState.ACTIVE: (),
        ActivationState.REFUSED: (),
    }
)


class CodeBatch(Base):
    """Codes printed together for one product and lot; the id is the 24-bit number inside the codes."""

    __tablename__ = "code_batches"
    __table_args__ = (
        enum_check("placement", Placement),
        enum_check("level", CodeLevel),
        CheckConstraint(f"id >= 1 AND id <= {MAX_BATCH_ID}", name="id"),
        CheckConstraint(f"size >= 1 AND size <= {MAX_BATCH_SIZE}", name="size"),
        Index(None, "brand_id", "id"),
        Index(None, "product_id"),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    product_id: Mapped[int] = ref("products.id")
    lot: Mapped[str] = text_column(64, exact=True)
    size: Mapped[int] = small_int(doc="number of codes; indexes run from 0 to size - 1")
    key: Mapped[str] = encrypted(KEY_CONTEXT, data_class=DataClass.SECRET)
    level: Mapped[CodeLevel] = enum_column(CodeLevel, server_default=CodeLevel.ITEM.value)
    placement: Mapped[Placement] = enum_column(Placement)
    needs_shipping: Mapped[bool] = flag(doc="whether a code must be shipped before it can be drawn")
    created_at: Mapped[datetime] = moment()
    created_by: Mapped[str] = text_column(64)


class CodeRange(Base):
    """A range of codes that is activated, frozen or shipped now; ranges of one aspect never overlap."""

    __tablename__ = "code_ranges"
    __table_args__ = (
        enum_check("aspect", RangeAspect),
        CheckConstraint("first_index >= 0 AND first_index <= last_index", name="indexes"),
    )
    batch_id: Mapped[int] = ref("code_batches.id", primary_key=True)
    aspect: Mapped[RangeAspect] = enum_column(RangeAspect, primary_key=True)
    first_index: Mapped[int] = small_int(primary_key=True)
    last_index: Mapped[int] = small_int(doc="the last index that belongs to it")
    region: Mapped[str | None] = text_column(6, exact=True, nullable=True, doc="adcode, of a shipment")
    attributes: Mapped[dict[str, str] | None] = json_column(
        nullable=True, doc="case, channel, order, origin, dealer"
    )


class CodeRangeEvent(Base):
    """Something that was done to a range of codes; rows are only added."""

    __tablename__ = "code_range_events"
    __table_args__ = (enum_check("kind", RangeEventKind), Index(None, "batch_id", "id"))
    id: Mapped[int] = id_column()
    batch_id: Mapped[int] = ref("code_batches.id")
    kind: Mapped[RangeEventKind] = enum_column(RangeEventKind)
    first_index: Mapped[int] = small_int()
    last_index: Mapped[int] = small_int()
    region: Mapped[str | None] = text_column(6, exact=True, nullable=True)
    attributes: Mapped[dict[str, Any] | None] = json_column(nullable=True)
    reason: Mapped[str | None] = text_column(200, nullable=True)
    at: Mapped[datetime] = moment()
    actor: Mapped[str] = text_column(64)


class Scan(Base):
    """One scan by one person; rows are only added, and burn nothing.

    A row carries on the count and the first of the scans of its code, so that "scanned before?" is
    answered by the latest row alone, however often a code was photographed. What was known of its
    shipment is kept with it, so that a scan elsewhere is seen without looking anything up.
    """

    __tablename__ = "scans"
    __table_args__ = (
        enum_check("outcome", ScanOutcome),
        Index(None, "batch_id", "code_index", "id"),
        Index(None, "person_id", "id"),
    )
    id: Mapped[int] = id_column()
    person_id: Mapped[int] = ref()
    batch_id: Mapped[int | None] = ref(nullable=True, doc="empty when no code of ours was read")
    code_index: Mapped[int | None] = small_int(nullable=True)
    outcome: Mapped[ScanOutcome] = enum_column(ScanOutcome)
    region: Mapped[str | None] = text_column(6, exact=True, nullable=True, doc="adcode, of the scan")
    at: Mapped[datetime] = moment()
    counted_scans: Mapped[int] = small_int(doc="scans of the code once it could be sold, up to this one")
    first_at: Mapped[datetime | None] = moment(nullable=True, doc="when the first of them was")
    first_person_id: Mapped[int | None] = ref(nullable=True)
    shipped_first: Mapped[int | None] = small_int(
        nullable=True, doc="first index of the range that the code had been shipped in, at this scan"
    )
    shipped_region: Mapped[str | None] = text_column(6, exact=True, nullable=True, doc="adcode")


class CodeClaim(Base):
    """The one draw that a code was used for: its primary key is the guard (CODE-11)."""

    __tablename__ = "code_claims"
    batch_id: Mapped[int] = ref(primary_key=True)
    code_index: Mapped[int] = small_int(primary_key=True)
    draw_id: Mapped[int] = ref()
    person_id: Mapped[int] = ref()
    at: Mapped[datetime] = moment()


class ForeignList(Base):
    """A list of codes that somebody else printed: a batch whose codes are found by their digests."""

    __tablename__ = "foreign_lists"
    batch_id: Mapped[int] = ref("code_batches.id", primary_key=True)
    file_sha256: Mapped[str] = text_column(64, exact=True, unique=True)
    file_name: Mapped[str] = text_column(128)
    codes: Mapped[int] = big_int(doc="codes in the file, a count")
    done: Mapped[int] = big_int(doc="codes read so far, a count")
    known: Mapped[int] = big_int(doc="codes that were in a list before, a count")
    guessable_reason: Mapped[str | None] = text_column(200, nullable=True)
    started_at: Mapped[datetime] = moment()
    started_by: Mapped[str] = text_column(64)
    ended_at: Mapped[datetime | None] = moment(nullable=True)


class ForeignCode(Base):
    """One code of a list, by the keyed digest of its text."""

    __tablename__ = "foreign_codes"
    digest: Mapped[bytes] = blind_index(primary_key=True)
    batch_id: Mapped[int] = ref()
    code_index: Mapped[int] = small_int()


class MarketAccount(Base):
    """A service account that may order codes of WeChat; they open the one mini-program `app_id`.

    `appid` is that of an app of the kind service, whose secret counts. `secret` is a copy, for the
    previous release, which orders with it; here it counts only until there is the app. The next one drops it.
    `file_key` is the key that WeChat sent to the account when it granted the capability.
    """

    __tablename__ = "market_accounts"
    id: Mapped[int] = id_column()
    app_id: Mapped[int] = ref("apps.id", unique=True)
    appid: Mapped[str] = text_column(32, exact=True, unique=True, data_class=DataClass.PUBLIC)
    secret: Mapped[str | None] = encrypted(
        "market_accounts.secret", data_class=DataClass.SECRET, nullable=True
    )
    file_key: Mapped[str] = encrypted("market_accounts.file_key", data_class=DataClass.SECRET)
    created_at: Mapped[datetime] = moment()


class MarketOrder(Base):
    """An order of codes at WeChat: a batch whose codes are found by what WeChat says of a ticket."""

    __tablename__ = "market_orders"
    __table_args__ = (enum_check("state", OrderState),)
    batch_id: Mapped[int] = ref("code_batches.id", primary_key=True)
    account_id: Mapped[int] = ref("market_accounts.id")
    order_no: Mapped[str] = text_column(64, exact=True, unique=True, doc="ours; WeChat orders once for it")
    application_id: Mapped[int | None] = big_int(nullable=True, unique=True, doc="WeChat's number of it")
    state: Mapped[OrderState] = enum_column(OrderState)
    fault: Mapped[str | None] = text_column(200, nullable=True, doc="what stands in the way, if anything")
    asked_at: Mapped[datetime] = moment()
    asked_by: Mapped[str] = text_column(64)


class MarketFile(Base):
    """A range of an order's codes that WeChat hands out as one file; the digest is of its plain text."""

    __tablename__ = "market_files"
    batch_id: Mapped[int] = ref("market_orders.batch_id", primary_key=True)
    first_index: Mapped[int] = small_int(primary_key=True)
    last_index: Mapped[int] = small_int(doc="the last index that belongs to it")
    sha256: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    loaded_at: Mapped[datetime | None] = moment(nullable=True)


class MarketActivation(Base):
    """A range of codes that WeChat is asked to let open a page; those not refused never overlap."""

    __tablename__ = "market_activations"
    __table_args__ = (
        enum_check("state", ActivationState),
        CheckConstraint("first_index >= 0 AND first_index <= last_index", name="indexes"),
        Index(None, "batch_id", "first_index"),
    )
    id: Mapped[int] = id_column()
    batch_id: Mapped[int] = ref("market_orders.batch_id")
    first_index: Mapped[int] = small_int()
    last_index: Mapped[int] = small_int(doc="the last index that belongs to it")
    activity_name: Mapped[str] = text_column(64)
    product_brand: Mapped[str] = text_column(64)
    product_title: Mapped[str] = text_column(64)
    product_code: Mapped[str] = text_column(14, exact=True, doc="EAN")
    path: Mapped[str] = text_column(128, exact=True, doc="page of the mini-program")
    page_type: Mapped[int] = small_int(doc="0 released, 1 in development, 2 trial")
    state: Mapped[ActivationState] = enum_column(ActivationState)
    fault: Mapped[str | None] = text_column(200, nullable=True)
    asked_at: Mapped[datetime] = moment()
    asked_by: Mapped[str] = text_column(64)
    ended_at: Mapped[datetime | None] = moment(nullable=True)


class MarketTicket(Base):
    """A ticket that WeChat took in once: whose scan it was and of which code."""

    __tablename__ = "market_tickets"
    __table_args__ = (Index(None, "at"),)
    digest: Mapped[bytes] = blind_index(primary_key=True)
    person_id: Mapped[int] = ref()
    batch_id: Mapped[int] = ref()
    code_index: Mapped[int] = small_int()
    at: Mapped[datetime] = moment()
