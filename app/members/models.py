"""The tables of policies, consents, members and placements.

A person without a row in `members` is a potential customer, known and kept from the first contact (ID-22).
Member and consent rows keep the person id that they were written with; who is merged later has two, and
the earliest one counts (ADR 2).
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from app.db.base import (
    Base,
    DataClass,
    enum_check,
    enum_column,
    flag,
    id_column,
    long_text,
    moment,
    ref,
    text_column,
)
from app.identity import models as _  # noqa: F401 - foreign keys need their tables


class AgeBand(StrEnum):
    """What age a person states; the law draws its lines here (platform contracts 14.2)."""

    ADULT = "adult"
    TEEN_14_17 = "teen_14_17"
    UNDER_14 = "under_14"


class JoinChannel(StrEnum):
    """Through what somebody joined (JOIN-04)."""

    MINI_PROGRAM = "mini_program"
    OFFICIAL_ACCOUNT = "official_account"
    WEBSITE = "website"
    APP = "app"
    DOUYIN = "douyin"
    STORE = "store"


class JoinManner(StrEnum):
    """What brought somebody to join (JOIN-04, JOIN-14)."""

    SCAN = "scan"
    REFERRAL = "referral"
    ACTIVITY = "activity"
    PLACEMENT = "placement"


class PlacementKind(StrEnum):
    """At what touchpoint a join code hangs (JOIN-14)."""

    PARKING = "parking"
    INDOOR_NAVIGATION = "indoor_navigation"
    TILL = "till"
    E_RECEIPT = "e_receipt"
    WIFI = "wifi"
    BEACON = "beacon"
    POSTER = "poster"
    OTHER = "other"


class Policy(Base):
    """One published version of the privacy policy; the newest is the current one. Never changed."""

    __tablename__ = "policies"
    __table_args__ = (Index("ix_policies_published_at_id", "published_at", "id"),)
    id: Mapped[int] = id_column()
    version: Mapped[str] = text_column(32, exact=True, unique=True, data_class=DataClass.PUBLIC)
    text_zh: Mapped[str] = long_text(data_class=DataClass.PUBLIC)
    text_en: Mapped[str] = long_text(data_class=DataClass.PUBLIC)
    sha256: Mapped[str] = text_column(64, exact=True, data_class=DataClass.PUBLIC)
    published_at: Mapped[datetime] = moment()


class Consent(Base):
    """A person agreed to a version of the policy (SEC-04). Append-only; a withdrawal is written once."""

    __tablename__ = "consents"
    __table_args__ = (
        Index("ix_consents_person_id_policy_version", "person_id", "policy_version"),
        enum_check("age_band", AgeBand),
    )
    id: Mapped[int] = id_column()
    person_id: Mapped[int] = ref("persons.id")
    policy_version: Mapped[str] = text_column(32, exact=True, data_class=DataClass.PUBLIC)
    age_band: Mapped[AgeBand] = enum_column(AgeBand)
    guardian: Mapped[bool] = flag(doc="a guardian agreed for a child under 14")
    given_at: Mapped[datetime] = moment()
    withdrawn_at: Mapped[datetime | None] = moment(nullable=True)


class MarketingConsent(Base):
    """A person agreed to marketing of a brand by phone; append-only, a withdrawal is written once."""

    __tablename__ = "marketing_consents"
    __table_args__ = (Index(None, "person_id"),)
    id: Mapped[int] = id_column()
    person_id: Mapped[int] = ref("persons.id")
    brand_id: Mapped[int] = ref("brands.id")
    policy_version: Mapped[str] = text_column(32, exact=True, data_class=DataClass.PUBLIC)
    origin: Mapped[str] = text_column(32, exact=True, doc="where it was asked for")
    given_at: Mapped[datetime] = moment()
    withdrawn_at: Mapped[datetime | None] = moment(nullable=True)


class Placement(Base):
    """A join code that hangs somewhere; `key` is what its QR code carries."""

    __tablename__ = "placements"
    __table_args__ = (enum_check("kind", PlacementKind),)
    id: Mapped[int] = id_column()
    key: Mapped[str] = text_column(16, exact=True, unique=True, data_class=DataClass.PUBLIC)
    kind: Mapped[PlacementKind] = enum_column(PlacementKind)
    brand_id: Mapped[int | None] = ref("brands.id", nullable=True, index=True)
    label: Mapped[str] = text_column(100)
    store_ref: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    guide_ref: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    created_at: Mapped[datetime] = moment()
    closed_at: Mapped[datetime | None] = moment(nullable=True)


class Member(Base):
    """A person who joined. Where from is kept for ever; `tier` waits for a room of its own."""

    __tablename__ = "members"
    __table_args__ = (
        Index("ix_members_placement_id", "placement_id"),
        Index("ix_members_inviter_person_id", "inviter_person_id"),
        enum_check("age_band", AgeBand),
        enum_check("channel", JoinChannel),
        enum_check("manner", JoinManner),
    )
    id: Mapped[int] = id_column()
    person_id: Mapped[int] = ref("persons.id", unique=True)
    member_no: Mapped[str] = text_column(16, exact=True, unique=True, data_class=DataClass.PSEUDONYM)
    age_band: Mapped[AgeBand] = enum_column(AgeBand)
    tier: Mapped[str | None] = text_column(32, exact=True, nullable=True)
    tier_set_at: Mapped[datetime | None] = moment(nullable=True)
    tier_set_by: Mapped[str | None] = text_column(64, nullable=True)
    joined_at: Mapped[datetime] = moment()
    channel: Mapped[JoinChannel] = enum_column(JoinChannel)
    manner: Mapped[JoinManner] = enum_column(JoinManner)
    placement_id: Mapped[int | None] = ref("placements.id", nullable=True)
    inviter_person_id: Mapped[int | None] = ref("persons.id", nullable=True)
    store_ref: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    guide_ref: Mapped[str | None] = text_column(64, exact=True, nullable=True)
