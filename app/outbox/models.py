"""The tables of the outbox and the inbox."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import (
    Base,
    big_int,
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


class MessageState(StrEnum):
    """Where a message in the hot table stands."""

    PENDING = "pending"
    PARKED = "parked"


class OutboxMessage(Base):
    """Work to be done. `attempts` only grows and fences; `failures` counts towards parking."""

    __tablename__ = "outbox_messages"
    __table_args__ = (
        UniqueConstraint("topic", "key"),
        Index("ix_outbox_messages_topic_state_due_at", "topic", "state", "due_at"),
        Index("ix_outbox_messages_group_key_state", "group_key", "state"),
        enum_check("state", MessageState),
    )
    id: Mapped[int] = id_column()
    topic: Mapped[str] = text_column(64, exact=True)
    key: Mapped[str] = text_column(96, exact=True)
    group_key: Mapped[str] = text_column(64, exact=True)
    payload: Mapped[dict[str, Any]] = json_column()
    state: Mapped[MessageState] = enum_column(MessageState)
    due_at: Mapped[datetime] = moment()
    enqueued_at: Mapped[datetime] = moment()
    attempts: Mapped[int] = small_int(doc="claims so far; the fence")
    failures: Mapped[int] = small_int(doc="failed attempts since it was enqueued or replayed")
    in_flight: Mapped[bool] = flag(doc="an attempt began and has not reported back")
    lease_owner: Mapped[str | None] = text_column(64, exact=True, nullable=True)
    lease_until: Mapped[datetime | None] = moment(nullable=True, doc="database time")
    reason: Mapped[str | None] = text_column(500, nullable=True)


class FinishedMessage(Base):
    """A message that is done: out of the way of the ones that are not."""

    __tablename__ = "outbox_finished"
    __table_args__ = (
        UniqueConstraint("topic", "key"),
        Index("ix_outbox_finished_finished_at", "finished_at"),
    )
    id: Mapped[int] = id_column()
    topic: Mapped[str] = text_column(64, exact=True)
    key: Mapped[str] = text_column(96, exact=True)
    attempts: Mapped[int] = small_int()
    enqueued_at: Mapped[datetime] = moment()
    finished_at: Mapped[datetime] = moment()
    detail: Mapped[str | None] = text_column(500, nullable=True)


class Attempt(Base):
    """One try at an effect; written before the call, so that a crash leaves a trace."""

    __tablename__ = "outbox_attempts"
    __table_args__ = (Index("ix_outbox_attempts_started_at", "started_at"),)
    message_id: Mapped[int] = id_column()
    number: Mapped[int] = small_int(primary_key=True)
    worker: Mapped[str] = text_column(64, exact=True)
    started_at: Mapped[datetime] = moment()
    finished_at: Mapped[datetime | None] = moment(nullable=True)
    outcome: Mapped[str | None] = text_column(200, nullable=True)


class Fact(Base):
    """Something that happened, for rooms above to act on (architecture section 4)."""

    __tablename__ = "outbox_facts"
    __table_args__ = (Index("ix_outbox_facts_recorded_at", "recorded_at"),)
    id: Mapped[int] = id_column()
    name: Mapped[str] = text_column(64, exact=True)
    version: Mapped[int] = small_int()
    brand_id: Mapped[int | None] = ref(nullable=True)
    person_id: Mapped[int | None] = ref(nullable=True)
    payload: Mapped[dict[str, Any]] = json_column()
    occurred_at: Mapped[datetime] = moment()
    recorded_at: Mapped[datetime] = moment()
    cause: Mapped[str] = text_column(96, exact=True)


class InboxMessage(Base):
    """A callback as it came, encrypted; it expires, its key is kept while repeats may come."""

    __tablename__ = "inbox_messages"
    __table_args__ = (
        UniqueConstraint("source", "dedupe_key"),
        Index("ix_inbox_messages_received_at", "received_at"),
    )
    id: Mapped[int] = id_column()
    source: Mapped[str] = text_column(64, exact=True)
    dedupe_key: Mapped[str] = text_column(128, exact=True)
    body: Mapped[str] = encrypted("inbox_messages.body")
    received_at: Mapped[datetime] = moment()
    processed_at: Mapped[datetime | None] = moment(nullable=True)
    received_times: Mapped[int] = big_int(doc="how often it came, a count")
