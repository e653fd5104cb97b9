"""Reading alerts."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.alerts.models import Alert


def open_alerts(session: Session, *, limit: int = 100) -> Sequence[Alert]:
    """Return the open alerts, the newest first."""
    wanted = select(Alert).where(Alert.resolved_at.is_(None)).order_by(Alert.id.desc()).limit(limit)
    return session.scalars(wanted).all()
