"""The tables of brands, apps, dealers and stores.

One installation is one enterprise and one identity space with several brands (architecture section 4). An
app may serve one brand or, with `brand_id` empty, all of them.
"""

from datetime import datetime
from enum import StrEnum

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
    """A WeChat app of the enterprise.

    `open_platform` names the WeChat Open Platform account that the app is bound to: a unionid is one per
    user and such account, so apps of two accounts see two unionids of one person, and neither is wrong.
    """

    __tablename__ = "apps"
    __table_args__ = (enum_check("kind", AppKind),)
    id: Mapped[int] = id_column()
    brand_id: Mapped[int | None] = ref("brands.id", nullable=True, index=True)
    kind: Mapped[AppKind] = enum_column(AppKind)
    appid: Mapped[str] = text_column(32, exact=True, unique=True, data_class=DataClass.PUBLIC)
    open_platform: Mapped[str] = text_column(32, exact=True)
    secret: Mapped[str] = encrypted("apps.secret", data_class=DataClass.SECRET)
    created_at: Mapped[datetime] = moment()
