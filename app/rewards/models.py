"""Awards."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from app.db.base import Base, big_int, enum_check, enum_column, id_column, moment, ref, small_int, text_column
from app.kernel.transitions import TransitionTable


class AwardKind(StrEnum):
    """What was won."""

    MONEY = "money"
    POINTS = "points"
    VOUCHER = "voucher"
    GOODS = "goods"
    NOTHING = "nothing"


class DeliveryWay(StrEnum):
    """How a winner can get goods (PAY-06)."""

    COURIER = "courier"
    STORE = "store"
    EITHER = "either"


TO_BE_COLLECTED = frozenset({AwardKind.MONEY, AwardKind.VOUCHER, AwardKind.GOODS})
"""What a winner must act to get; the others are fulfilled by the grant itself."""


class AwardState(StrEnum):
    """Where an award stands (architecture section 8)."""

    HELD = "held"  # waits for a review
    COLLECTIBLE = "collectible"  # until its deadline
    # A bill is open, or goods are on their way: neither a second one nor the deadline may touch it.
    LOCKED = "locked"
    FULFILLED = "fulfilled"
    LAPSED = "lapsed"
    REFUSED = "refused"


AWARD_TRANSITIONS = TransitionTable(
    {
        AwardState.HELD: (AwardState.COLLECTIBLE, AwardState.FULFILLED, AwardState.REFUSED),
        AwardState.COLLECTIBLE: (
            AwardState.LOCKED,
            AwardState.FULFILLED,
            AwardState.LAPSED,
            AwardState.REFUSED,
        ),
        AwardState.LOCKED: (AwardState.COLLECTIBLE, AwardState.FULFILLED),
        AwardState.FULFILLED: (),
        AwardState.LAPSED: (),
        AwardState.REFUSED: (),
    }
)


class Award(Base):
    """What a person has won. It keeps the person id that it was written with; reads take a cluster."""

    __tablename__ = "awards"
    __table_args__ = (
        Index("ix_awards_person_id_id", "person_id", "id"),
        Index("ix_awards_state_deadline_at", "state", "deadline_at"),
        enum_check("kind", AwardKind),
        enum_check("state", AwardState),
        enum_check("delivery", DeliveryWay),
        CheckConstraint("amount_fen >= 0", name="amount_fen"),
        CheckConstraint("points >= 0", name="points"),
        CheckConstraint("withheld_fen >= 0 AND borne_fen >= 0", name="tax"),
        CheckConstraint("withheld_fen = 0 OR withheld_fen < amount_fen", name="withheld_fen"),
        CheckConstraint("unlock_draws >= 0", name="unlock_draws"),
        CheckConstraint("unlock_helpers >= 0", name="unlock_helpers"),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    campaign_id: Mapped[int] = ref()
    draw_id: Mapped[int | None] = ref(nullable=True, unique=True, doc="none: it was granted by hand")
    person_id: Mapped[int] = ref("persons.id")
    kind: Mapped[AwardKind] = enum_column(AwardKind)
    amount_fen: Mapped[int] = big_int(doc="fen; 0 unless it is money")
    points: Mapped[int] = big_int(doc="points; 0 unless it is points")
    points_expire_at: Mapped[datetime | None] = moment(nullable=True)
    delivery: Mapped[DeliveryWay | None] = enum_column(DeliveryWay, nullable=True)
    name_zh: Mapped[str] = text_column(64)
    name_en: Mapped[str] = text_column(64)
    remark: Mapped[str] = text_column(32, doc="what the shopper's bill says")
    # No foreign key: each draw would lock its payer's row, which settling bills must change.
    payer_id: Mapped[int | None] = ref(nullable=True)
    state: Mapped[AwardState] = enum_column(AwardState)
    reason: Mapped[str | None] = text_column(200, nullable=True, doc="why held, refused or not paid")
    decided_by: Mapped[str | None] = text_column(64, nullable=True)
    budget_account: Mapped[int | None] = ref(nullable=True)
    committed_account: Mapped[int | None] = ref(nullable=True)
    stock_account: Mapped[int | None] = ref(nullable=True)
    awarded_account: Mapped[int | None] = ref(nullable=True)
    granted_at: Mapped[datetime] = moment()
    unlock_draws: Mapped[int] = small_int(doc="further draws that its winner must make before collecting")
    unlock_helpers: Mapped[int] = small_int(doc="friends who must help before it can be collected")
    deadline_at: Mapped[datetime] = moment(doc="until when it can be collected")
    resolved_at: Mapped[datetime | None] = moment(nullable=True)
    withheld_fen: Mapped[int] = big_int(doc="fen; tax that is taken out of amount_fen when it is paid")
    borne_fen: Mapped[int] = big_int(doc="fen; tax that the brand pays on top")
