"""The tables of brands, apps, dealers and stores.

One installation is one enterprise and one identity space with several brands (architecture section 4). An
app may serve one brand or, with `brand_id` empty, all of them.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import (
    Base,
    DataClass,
    encrypted,
    enum_check,
    enum_column,
    id_column,
    moment,
    ref,
    text_column,
)


class AppKind(StrEnum):
    """What sort of WeChat account an app is."""

    MINIPROGRAM = "miniprogram"
    SERVICE = "service"  # 服务号
    CORP = "corp"  # 企业微信: an application that a company has made in its WeCom


class PenaltyKind(StrEnum):
    """What the platform has done to an app, or threatens to do (platform contracts 13.7)."""

    WARNING = "warning"
    FUNCTIONS_BLOCKED = "functions_blocked"
    TAKEN_DOWN = "taken_down"
    BANNED = "banned"
    PAGE_BLOCKED = "page_blocked"
    UNKNOWN = "unknown"


class Brand(Base):
    """A brand; `slug` is its short name in commands and links."""

    __tablename__ = "brands"
    id: Mapped[int] = id_column()
    slug: Mapped[str] = text_column(32, exact=True, unique=True)
    name_zh: Mapped[str] = text_column(64, data_class=DataClass.PUBLIC)
    name_en: Mapped[str] = text_column(64, data_class=DataClass.PUBLIC)
    created_at: Mapped[datetime] = moment()


class Dealer(Base):
    """A company that the enterprise ships to; `code` is its number in the enterprise's other systems."""

    __tablename__ = "dealers"
    id: Mapped[int] = id_column()
    code: Mapped[str] = text_column(32, exact=True, unique=True)
    name: Mapped[str] = text_column(64)
    created_at: Mapped[datetime] = moment()


class DealerRegion(Base):
    """A region that a dealer sells in (CODE-06)."""

    __tablename__ = "dealer_regions"
    dealer_id: Mapped[int] = ref("dealers.id", primary_key=True)
    region: Mapped[str] = text_column(6, exact=True, primary_key=True, doc="adcode")


class Store(Base):
    """A shop that a dealer supplies."""

    __tablename__ = "stores"
    id: Mapped[int] = id_column()
    dealer_id: Mapped[int] = ref("dealers.id", index=True)
    code: Mapped[str] = text_column(32, exact=True, unique=True)
    name: Mapped[str] = text_column(64)
    region: Mapped[str] = text_column(6, exact=True, doc="adcode")
    created_at: Mapped[datetime] = moment()


class App(Base):
    """A WeChat app of the enterprise; of its WeCom, the appid is the corpid and `agentid` the application.

    `open_platform` names the WeChat Open Platform account that the app is bound to: a unionid is one per
    user and such account, so apps of two accounts see two unionids of one person, and neither is wrong.
    `message_token` and `message_key` (the EncodingAESKey) prove what the platform pushes to us.
    """

    __tablename__ = "apps"
    __table_args__ = (enum_check("kind", AppKind),)
    id: Mapped[int] = id_column()
    brand_id: Mapped[int | None] = ref("brands.id", nullable=True, index=True)
    kind: Mapped[AppKind] = enum_column(AppKind)
    appid: Mapped[str] = text_column(32, exact=True, unique=True, data_class=DataClass.PUBLIC)
    open_platform: Mapped[str] = text_column(32, exact=True)
    secret: Mapped[str] = encrypted("apps.secret", data_class=DataClass.SECRET)
    agentid: Mapped[str | None] = text_column(16, exact=True, nullable=True)
    message_token: Mapped[str | None] = encrypted(
        "apps.message_token", data_class=DataClass.SECRET, nullable=True
    )
    message_key: Mapped[str | None] = encrypted(
        "apps.message_key", data_class=DataClass.SECRET, nullable=True
    )
    created_at: Mapped[datetime] = moment()


class AppOldMessageKeys(Base):
    """What proved an app's messages before its present keys did: it counts until `until`."""

    __tablename__ = "app_old_message_keys"
    __table_args__ = (Index("ix_app_old_message_keys_until", "until"),)
    id: Mapped[int] = id_column()
    app_id: Mapped[int] = ref("apps.id", index=True)
    token: Mapped[str] = encrypted("app_old_message_keys.token", data_class=DataClass.SECRET)
    encoding_key: Mapped[str] = encrypted("app_old_message_keys.encoding_key", data_class=DataClass.SECRET)
    until: Mapped[datetime] = moment()


class AppPenalty(Base):
    """A penalty of the platform against an app; what friends do for each other is paused until somebody
    resumes it. `rectify_by` is the platform's deadline, where it names one."""

    __tablename__ = "app_penalties"
    __table_args__ = (UniqueConstraint("app_id", "punish_id", "kind"), enum_check("kind", PenaltyKind))
    id: Mapped[int] = id_column()
    app_id: Mapped[int] = ref("apps.id")
    punish_id: Mapped[str] = text_column(64, exact=True)
    kind: Mapped[PenaltyKind] = enum_column(PenaltyKind)
    reason: Mapped[str] = text_column(200)
    rule: Mapped[str] = text_column(200)
    rectify_by: Mapped[datetime | None] = moment(nullable=True)
    received_at: Mapped[datetime] = moment()
    resumed_at: Mapped[datetime | None] = moment(nullable=True)
    resumed_by: Mapped[str | None] = text_column(64, nullable=True)
    resume_reason: Mapped[str | None] = text_column(500, nullable=True)
