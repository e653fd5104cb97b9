"""What waits, how long, and what stands parked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.outbox.models import MessageState, OutboxMessage


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One topic's waiting or parked messages; `oldest_due_at` tells the age of the queue."""

    topic: str
    state: MessageState
    messages: int
    oldest_due_at: datetime


def depths(session: Session) -> list[QueueDepth]:
    """Return the depth of every queue; reads the hot table only."""
    grouped = select(
        OutboxMessage.topic, OutboxMessage.state, func.count(), func.min(OutboxMessage.due_at)
    ).group_by(OutboxMessage.topic, OutboxMessage.state)
    return [
        QueueDepth(topic, MessageState(state), number, oldest)
        for topic, state, number, oldest in session.execute(grouped)
    ]


def parked(session: Session, *, limit: int = 100) -> Sequence[OutboxMessage]:
    """Return parked messages with their reasons, the oldest first."""
    wanted = (
        select(OutboxMessage)
        .where(OutboxMessage.state == MessageState.PARKED)
        .order_by(OutboxMessage.id)
        .limit(limit)
    )
    return session.scalars(wanted).all()
