"""When a digest is due: not for every alert, and not more often than the house wants to be disturbed."""

from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Alert
from app.outbox.models import FinishedMessage, OutboxMessage
from app.outbox.operations import enqueue

TOPIC = "notices.digest"
TEXT_TOPIC = "notices.text"


def queue_digest(
    session: Session, *, every: timedelta, now: datetime, letters: bool = True, texts_per_day: int = 0
) -> bool:
    """Queue a letter about the open alerts if one of them was in no letter yet, and none left too lately.

    Return whether one was queued. Two schedulers that knock at once queue one: alerts are claimed for it.
    With it goes a text to phones, while fewer than `texts_per_day` were queued on this day (UTC).
    """
    last = session.connection().execute(select(func.max(Alert.told_at))).scalar()
    if last is not None and now - last < every:
        return False
    claimed = update(Alert).where(Alert.told_at.is_(None), Alert.resolved_at.is_(None)).values(told_at=now)
    fresh = session.connection().execute(claimed).rowcount
    if not fresh:
        return False
    key = f"{now.timestamp():.6f}"
    if letters:
        enqueue(session, topic=TOPIC, key=key, payload={"fresh": fresh}, now=now)
    if _texts(session, now) < texts_per_day:
        text_key = f"{now:%Y-%m-%d}/{key}"
        enqueue(session, topic=TEXT_TOPIC, key=text_key, payload={"fresh": fresh}, now=now)
    return True


def _texts(session: Session, now: datetime) -> int:
    """Return how many texts were queued on this day."""
    return sum(
        session.connection()
        .execute(
            select(func.count())
            .select_from(table)
            .where(table.topic == TEXT_TOPIC, table.key.startswith(f"{now:%Y-%m-%d}/"))
        )
        .scalar_one()
        for table in (OutboxMessage, FinishedMessage)
    )
