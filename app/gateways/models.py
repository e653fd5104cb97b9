"""The table that the gateways share: access tokens, one row per account and kind."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Mapped

from app.db.base import (
    Base,
    DataClass,
    big_int,
    encrypted,
    enum_check,
    enum_column,
    json_column,
    moment,
    small_int,
    text_column,
)


class TokenKind(StrEnum):
    """How a token is obtained; tokens of different kinds do not disturb one another."""

    STABLE = "stable"
    CORP = "corp"


class PlatformToken(Base):
    """One account's token, and who may fetch the next. All its moments are database time."""

    __tablename__ = "platform_tokens"
    __table_args__ = (enum_check("kind", TokenKind),)
    account: Mapped[str] = text_column(64, exact=True, primary_key=True, doc="appid, or corpid/agentid")
    kind: Mapped[TokenKind] = enum_column(TokenKind, primary_key=True)
    token: Mapped[str | None] = encrypted("platform_tokens.token", data_class=DataClass.SECRET, nullable=True)
    refresh_at: Mapped[datetime | None] = moment(nullable=True, doc="when somebody should fetch the next")
    expires_at: Mapped[datetime | None] = moment(nullable=True, doc="when the platform stops taking it")
    rejected_at: Mapped[datetime | None] = moment(nullable=True, doc="when the platform refused it early")
    fence: Mapped[int] = big_int(doc="fetches begun, a count; a result counts only for the last one")
    lease_until: Mapped[datetime | None] = moment(
        nullable=True, doc="until when the last fetch is waited for"
    )
    cooling_until: Mapped[datetime | None] = moment(nullable=True, doc="no fetch before, after a failed one")
    failure: Mapped[str | None] = text_column(32, nullable=True, doc="why the last fetch failed")
    failure_errcode: Mapped[int | None] = small_int(nullable=True, doc="the platform's code for it")
    forced_at: Mapped[list[int]] = json_column(doc="forced refreshes of the last day, Unix seconds each")
