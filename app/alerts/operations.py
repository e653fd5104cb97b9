"""Raising and settling alerts."""

from datetime import datetime

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from app.alerts.models import Alert, Severity
from app.db.once import insert_once
from app.kernel.ids import new_id


def raise_alert(
    session: Session, *, kind: str, subject: str, severity: Severity, detail: str, now: datetime
) -> None:
    """Open the alert (kind, subject), or count it once more when it is open already.

    `detail` is for an operator: what happened and what to do; no personal data.
    """
    open_key = f"{kind}/{subject}"
    again = (
        update(Alert)
        .where(Alert.open_key == open_key)
        .values(times=Alert.times + 1, last_at=now, detail=detail[:500], severity=severity)
    )
    if session.connection().execute(again).rowcount:
        return
    row = {
        "id": new_id(),
        "kind": kind,
        "subject": subject,
        "open_key": open_key,
        "severity": severity,
        "detail": detail[:500],
        "times": 1,
        "first_at": now,
        "last_at": now,
    }
    if not insert_once(session, insert(Alert), row):
        session.connection().execute(again)


def resolve_alert(session: Session, *, kind: str, subject: str, by: str, now: datetime) -> bool:
    """Settle the open alert (kind, subject); return whether there was one."""
    settled = (
        update(Alert)
        .where(Alert.open_key == f"{kind}/{subject}")
        .values(open_key=None, resolved_at=now, resolved_by=by[:64])
    )
    return session.connection().execute(settled).rowcount > 0
