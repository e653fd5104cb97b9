"""The answers that were given under an idempotency key."""

from datetime import datetime
from typing import Any

from sqlalchemy import BINARY, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import (
    Base,
    BigInt,
    DataClass,
    blind_index,
    flag,
    json_column,
    moment,
    small_int,
    text_column,
)

_DIGEST = BINARY(32).with_variant(LargeBinary(32), "sqlite")
_OPERATIONAL = {"data_class": DataClass.OPERATIONAL}


class IdempotencyKey(Base):
    """What one person was answered under one key; `permanent` where money is concerned.

    The answer holds public ids, states and amounts, never personal data and never a platform's secret:
    operations whose answers do are remembered by the ids from which the answer is read anew.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_permanent_created_at", "permanent", "created_at"),)
    person_id: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False, info=_OPERATIONAL)
    key_hash: Mapped[bytes] = mapped_column(
        _DIGEST, primary_key=True, info=_OPERATIONAL, doc="SHA-256 of the key"
    )
    request_hash: Mapped[bytes] = blind_index(doc="keyed hash of the operation and its input")
    operation: Mapped[str] = text_column(64, exact=True)
    status: Mapped[int] = small_int(doc="HTTP status of the answer")
    answer: Mapped[dict[str, Any] | None] = json_column(nullable=True)
    permanent: Mapped[bool] = flag()
    created_at: Mapped[datetime] = moment()
