"""Tables of campaigns: what is promised, who changed it, and every draw."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.campaigns.draw import Result
from app.db.base import (
    Base,
    DataClass,
    big_int,
    encrypted,
    enum_check,
    enum_column,
    flag,
    id_column,
    json_column,
    long_text,
    moment,
    ref,
    small_int,
    text_column,
)
from app.kernel.transitions import TransitionTable
from app.payouts import models as _  # noqa: F401 - a foreign key needs its table

SEED_CONTEXT = "campaigns.seed"


class CampaignState(StrEnum):
    """Where a campaign stands. Published means that it may be drawn from, within its period."""

    DRAFT = "draft"
    PUBLISHED = "published"
    STOPPED = "stopped"
    ENDED = "ended"


CAMPAIGN_TRANSITIONS = TransitionTable(
    {
        CampaignState.DRAFT: (CampaignState.PUBLISHED,),
        CampaignState.PUBLISHED: (CampaignState.STOPPED, CampaignState.ENDED),
        CampaignState.STOPPED: (CampaignState.PUBLISHED, CampaignState.ENDED),
        CampaignState.ENDED: (),
    }
)


class VersionState(StrEnum):
    """Where a version of the rules stands; a proposed one waits for a second operator."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    PUBLISHED = "published"


VERSION_TRANSITIONS = TransitionTable(
    {
        VersionState.DRAFT: (VersionState.PROPOSED, VersionState.PUBLISHED),
        VersionState.PROPOSED: (VersionState.DRAFT, VersionState.PUBLISHED),
        VersionState.PUBLISHED: (),
    }
)


class OutflowState(StrEnum):
    """Where money that is to leave a running campaign's budget stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"


OUTFLOW_TRANSITIONS = TransitionTable(
    {
        OutflowState.PROPOSED: (OutflowState.APPROVED, OutflowState.WITHDRAWN),
        OutflowState.APPROVED: (),
        OutflowState.WITHDRAWN: (),
    }
)


class Purpose(StrEnum):
    """What a ledger account of a campaign is for."""

    FUNDING = "funding"  # open: where its money comes from
    BUDGET = "budget"  # guarded
    POOL_BUDGET = "pool_budget"  # guarded, one per pool with a budget of its own
    COMMITTED = "committed"  # open: won and not yet paid
    SUPPLY = "supply"  # open: where prizes come from
    STOCK = "stock"  # guarded, one per prize
    AWARDED = "awarded"  # open: pieces that were won
    GRANTED = "granted"  # open: pieces that were given by hand


class Action(StrEnum):
    """What was done to a campaign."""

    CREATED = "created"
    PAYER_CHOSEN = "payer_chosen"
    SAVED = "saved"
    FUNDED = "funded"
    DEFUNDED = "defunded"
    BUDGET_MOVED = "budget_moved"
    STOCKED = "stocked"
    UNSTOCKED = "unstocked"
    PUBLISHED = "published"
    PROPOSED = "proposed"
    WITHDRAWN = "withdrawn"
    CHANGED = "changed"
    STOPPED = "stopped"
    RESUMED = "resumed"
    ENDED = "ended"


class Campaign(Base):
    """A campaign of a brand; what it promises is in its versions.

    seed and salt are made before the start and shown after the end; seed_sha256 is published at the start.
    """

    __tablename__ = "campaigns"
    __table_args__ = (
        UniqueConstraint("brand_id", "key"),
        Index("ix_campaigns_brand_id_state_starts_at", "brand_id", "state", "starts_at"),
        enum_check("state", CampaignState),
        CheckConstraint("version >= 0", name="version"),
        CheckConstraint(
            "state = 'draft' OR (version > 0 AND seed IS NOT NULL AND starts_at < ends_at)", name="published"
        ),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    key: Mapped[str] = text_column(32, exact=True)
    payer_id: Mapped[int | None] = ref("payers.id", nullable=True)
    state: Mapped[CampaignState] = enum_column(CampaignState)
    version: Mapped[int] = small_int(doc="the published version in force; 0 before the first")
    starts_at: Mapped[datetime | None] = moment(nullable=True, doc="of the version in force")
    ends_at: Mapped[datetime | None] = moment(nullable=True, doc="of the version in force")
    seed: Mapped[str | None] = encrypted(SEED_CONTEXT, data_class=DataClass.SECRET, nullable=True)
    salt: Mapped[str | None] = encrypted("campaigns.salt", data_class=DataClass.SECRET, nullable=True)
    seed_sha256: Mapped[str | None] = text_column(64, exact=True, data_class=DataClass.PUBLIC, nullable=True)
    stopped_by: Mapped[str | None] = text_column(64, nullable=True)
    ended_at: Mapped[datetime | None] = moment(nullable=True)
    created_at: Mapped[datetime] = moment()


class CampaignVersion(Base):
    """One version of a campaign's rules; once published it never changes.

    A change that does not favour shoppers carries its reason, who proposed it and who, somebody else,
    approved it (Interim Provisions, art. 13).
    """

    __tablename__ = "campaign_versions"
    __table_args__ = (
        enum_check("state", VersionState),
        CheckConstraint("version > 0", name="version"),
        CheckConstraint("approved_by <> proposed_by", name="second_operator"),
        CheckConstraint("state <> 'published' OR published_at IS NOT NULL", name="published"),
    )
    campaign_id: Mapped[int] = ref("campaigns.id", primary_key=True)
    version: Mapped[int] = small_int(primary_key=True)
    state: Mapped[VersionState] = enum_column(VersionState)
    rules: Mapped[dict[str, Any]] = json_column(data_class=DataClass.PUBLIC)
    sha256: Mapped[str] = text_column(64, exact=True, data_class=DataClass.PUBLIC)
    text_zh: Mapped[str | None] = long_text(data_class=DataClass.PUBLIC, nullable=True)
    text_en: Mapped[str | None] = long_text(data_class=DataClass.PUBLIC, nullable=True)
    text_sha256: Mapped[str | None] = text_column(64, exact=True, data_class=DataClass.PUBLIC, nullable=True)
    reason: Mapped[str | None] = text_column(500, nullable=True)
    proposed_by: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    approved_by: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    saved_by: Mapped[str] = text_column(64)
    saved_at: Mapped[datetime] = moment()
    published_at: Mapped[datetime | None] = moment(nullable=True)


class CampaignAccount(Base):
    """A ledger account of a campaign; `key` names the pool or prize that it is for, "" the campaign."""

    __tablename__ = "campaign_accounts"
    __table_args__ = (enum_check("purpose", Purpose),)
    campaign_id: Mapped[int] = ref("campaigns.id", primary_key=True)
    purpose: Mapped[Purpose] = enum_column(Purpose, primary_key=True)
    key: Mapped[str] = text_column(32, exact=True, primary_key=True)
    account_id: Mapped[int] = ref("ledger_accounts.id", unique=True)


class CampaignOutflow(Base):
    """Money that an operator wants out of a budget which published rules promise prizes from.

    The money moves when somebody else has approved; a reference is used once, whatever became of it.
    """

    __tablename__ = "campaign_outflows"
    __table_args__ = (
        enum_check("action", Action),
        enum_check("state", OutflowState),
        CheckConstraint("amount_fen <> 0", name="amount_fen"),
        CheckConstraint(
            "state <> 'approved' OR (approved_by IS NOT NULL AND approved_by <> proposed_by)",
            name="second_operator",
        ),
    )
    campaign_id: Mapped[int] = ref("campaigns.id", primary_key=True)
    reference: Mapped[str] = text_column(40, exact=True, primary_key=True)
    action: Mapped[Action] = enum_column(Action)
    pool: Mapped[str] = text_column(32, exact=True)
    amount_fen: Mapped[int] = big_int(doc="fen; of a pool's budget: above zero towards it, below zero back")
    state: Mapped[OutflowState] = enum_column(OutflowState)
    reason: Mapped[str] = text_column(500)
    proposed_by: Mapped[str] = text_column(64, exact=True)
    proposed_at: Mapped[datetime] = moment()
    approved_by: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    decided_at: Mapped[datetime | None] = moment(nullable=True)


class CampaignEvent(Base):
    """What was done to a campaign, by whom and why; append-only."""

    __tablename__ = "campaign_events"
    __table_args__ = (
        Index("ix_campaign_events_campaign_id_id", "campaign_id", "id"),
        enum_check("action", Action),
    )
    id: Mapped[int] = id_column()
    campaign_id: Mapped[int] = ref("campaigns.id")
    action: Mapped[Action] = enum_column(Action)
    version: Mapped[int | None] = small_int(nullable=True)
    reason: Mapped[str | None] = text_column(500, nullable=True)
    detail: Mapped[dict[str, Any]] = json_column()
    at: Mapped[datetime] = moment()
    by: Mapped[str] = text_column(64)


class Draw(Base):
    """One draw with everything that it saw and gave; append-only, kept as long as the law says.

    How often a person has drawn is counted from these rows: a counter beside them could disagree, and a
    merge would have to decide whose counter counts. It keeps the person id that it was written with; scan
    and person have no foreign keys, whose checks would lock rows that others must change.
    """

    __tablename__ = "draws"
    __table_args__ = (
        # Answers "how often, and how often today" from the index alone.
        Index("ix_draws_person_id_campaign_id_at", "person_id", "campaign_id", "at"),
        Index("ix_draws_campaign_id_worth_fen_id", "campaign_id", "worth_fen", "id"),
        enum_check("result", Result),
        CheckConstraint("amount_fen >= 0", name="amount_fen"),
        CheckConstraint("points >= 0", name="points"),
    )
    id: Mapped[int] = id_column()
    campaign_id: Mapped[int] = ref("campaigns.id")
    version: Mapped[int] = small_int()
    scan_id: Mapped[int] = ref()
    batch_id: Mapped[int] = ref()
    code_index: Mapped[int] = small_int()
    chance: Mapped[int] = small_int(doc="which of the code's chances in the campaign, from 1")
    person_id: Mapped[int] = ref()
    result: Mapped[Result] = enum_column(Result)
    pool: Mapped[str] = text_column(32, exact=True)
    prize: Mapped[str | None] = text_column(32, exact=True, nullable=True)
    amount_fen: Mapped[int] = big_int(doc="fen; 0 unless money was won")
    points: Mapped[int] = big_int(doc="points; 0 unless points were won")
    worth_fen: Mapped[int] = big_int(doc="what was won is worth, in fen, points valued")
    facts: Mapped[dict[str, Any]] = json_column()
    outcome: Mapped[dict[str, Any]] = json_column()
    seal: Mapped[str] = text_column(64, exact=True)
    at: Mapped[datetime] = moment()


class AwardGrant(Base):
    """An award that was given by hand, for a complaint or a mistake: what one proposed and another approved.

    Two keys make it happen once: the organiser's own reference of the case, and the approval.
    """

    __tablename__ = "award_grants"
    __table_args__ = (CheckConstraint("approved_by <> proposed_by", name="second_operator"),)
    campaign_id: Mapped[int] = ref("campaigns.id", primary_key=True)
    reference: Mapped[str] = text_column(40, exact=True, primary_key=True)
    approval_id: Mapped[int] = ref(unique=True)
    award_id: Mapped[int] = ref(unique=True)
    person_id: Mapped[int] = ref()
    reason: Mapped[str] = text_column(500)
    proposed_by: Mapped[str] = text_column(64, exact=True)
    approved_by: Mapped[str] = text_column(64, exact=True)
    granted_at: Mapped[datetime] = moment()


class AwardHelp(Base):
    """A friend's help with an award, by a draw of their own (DRAW-15); it keeps the person id of its time.

    One help a person and campaign; whether somebody whom a merge has made the same person has helped is
    asked under the lock of the cluster's root.
    """

    __tablename__ = "award_helps"
    __table_args__ = (UniqueConstraint("campaign_id", "person_id"),)
    award_id: Mapped[int] = ref(primary_key=True)
    person_id: Mapped[int] = ref(primary_key=True)
    campaign_id: Mapped[int] = ref()
    draw_id: Mapped[int] = ref(
        unique=True, doc="the real step: the friend's own draw after the award was won"
    )
    helped_at: Mapped[datetime] = moment()


class PhoneTold(StrEnum):
    """What somebody who claimed a prize said to the question for a phone number."""

    GIVEN = "given"  # now or before
    DECLINED = "declined"
    NOT_ASKED = "not_asked"


class PrizeClaim(Base):
    """A claimed voucher, and what that tells of whoever claimed it (PAY-11); it keeps the ids of its time."""

    __tablename__ = "prize_claims"
    __table_args__ = (
        Index(None, "campaign_id", "claimed_at"),
        Index(None, "person_id"),
        enum_check("phone", PhoneTold),
    )
    award_id: Mapped[int] = ref(primary_key=True)
    campaign_id: Mapped[int] = ref()
    person_id: Mapped[int] = ref()
    prize: Mapped[str | None] = text_column(32, exact=True, nullable=True, doc="none: granted by hand")
    sku: Mapped[str | None] = text_column(64, exact=True, nullable=True, doc="the product that was scanned")
    phone: Mapped[PhoneTold] = enum_column(PhoneTold)
    marketing: Mapped[bool] = flag(doc="agreed to marketing by phone with this claim")
    claimed_at: Mapped[datetime] = moment()
