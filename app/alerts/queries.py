"""Reading alerts."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.alerts.models import Alert


def open_of(session: Session, *, kinds: Collection[str], limit: int) -> Sequence[Alert]:
    """Return the open alerts of `kinds`, the oldest first."""
    wanted = select(Alert).where(Alert.resolved_at.is_(None), Alert.kind.in_(kinds))
    return session.scalars(wanted.order_by(Alert.id).limit(limit)).all()


def open_subjects(session: Session, *, kind: str, prefix: str) -> Sequence[str]:
    """Return what the open alerts of a kind are about, of the subjects that begin with `prefix`."""
    # The beginning of a unique key, which only an open alert has.
    wanted = select(Alert.subject).where(Alert.open_key.startswith(f"{kind}/{prefix}", autoescape=True))
    return session.scalars(wanted.order_by(Alert.id)).all()


def open_alerts(session: Session, *, limit: int = 100) -> Sequence[Alert]:
    """Return the open alerts, the newest first."""
    wanted = select(Alert).where(Alert.resolved_at.is_(None)).order_by(Alert.id.desc()).limit(limit)
    return session.scalars(wanted).all()
