"""What waits, how long, and what stands parked."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.outbox.models import Attempt, MessageState, OutboxMessage


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


def in_flight(session: Session, message_ids: Collection[int]) -> set[int]:
    """Return those of the messages of which an attempt has begun and not reported back."""
    wanted = select(OutboxMessage.id).where(OutboxMessage.id.in_(message_ids), OutboxMessage.in_flight)
    return set(session.connection().execute(wanted).scalars())


def outcomes(session: Session, message_id: int) -> list[str]:
    """Return what came of the attempts at a message, the latest first; one that did not report is left out.

    Each begins with how it was settled (`retrylater: `, `park: ` …), then says the handler's reason.
    """
    wanted = select(Attempt.outcome).where(Attempt.message_id == message_id).order_by(Attempt.number.desc())
    return [said for said in session.connection().execute(wanted).scalars() if said is not None]


def unfinished(
    session: Session, *, topic: str, limit: int, parked_only: bool = False
) -> Sequence[OutboxMessage]:
    """Return messages of `topic` that wait or are parked, the oldest first."""
    states = [MessageState.PARKED] if parked_only else list(MessageState)
    wanted = select(OutboxMessage).where(OutboxMessage.topic == topic, OutboxMessage.state.in_(states))
    return session.scalars(wanted.order_by(OutboxMessage.id).limit(limit)).all()


def parked(session: Session, *, limit: int = 100) -> Sequence[OutboxMessage]:
    """Return parked messages with their reasons, the oldest first."""
    wanted = (
        select(OutboxMessage)
        .where(OutboxMessage.state == MessageState.PARKED)
        .order_by(OutboxMessage.id)
        .limit(limit)
    )
    return session.scalars(wanted).all()
