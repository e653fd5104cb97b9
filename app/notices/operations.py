"""When a digest is due: not for every alert, and not more often than the house wants to be disturbed."""

from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Alert
from app.outbox.operations import enqueue

TOPIC = "notices.digest"


def queue_digest(session: Session, *, every: timedelta, now: datetime) -> bool:
    """Queue a letter about the open alerts if one of them was in no letter yet, and none left too lately.

    Return whether one was queued. Two schedulers that knock at once queue one: alerts are claimed for it.
    """
    last = session.connection().execute(select(func.max(Alert.told_at))).scalar()
    if last is not None and now - last < every:
        return False
    claimed = update(Alert).where(Alert.told_at.is_(None), Alert.resolved_at.is_(None)).values(told_at=now)
    fresh = session.connection().execute(claimed).rowcount
    if not fresh:
        return False
    key = f"{now.timestamp():.6f}"
    enqueue(session, topic=TOPIC, key=key, payload={"fresh": fresh}, now=now)
    return True
