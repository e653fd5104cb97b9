"""Raising and settling alerts."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, update
from sqlalchemy.orm import Session

from app.alerts.models import Alert, Severity
from app.db.once import insert_once
from app.db.prepared import Prepared
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


def resolve_later(session: Session, *, kinds: Sequence[str], subject: str, by: str, now: datetime) -> None:
    """Settle those of the alerts (kind, subject) that are open, with the transaction's next statement."""
    open_keys = [f"{kind}/{subject}" for kind in kinds]
    _RESOLVE.write_later(
        session, {"open_keys": open_keys, "now": now, "by": by[:64]}, rows=None, lost=_never_refused
    )


_RESOLVE = Prepared(
    update(Alert)
    .where(Alert.open_key.in_(bindparam("open_keys", expanding=True)))
    .values(open_key=None, resolved_at=bindparam("now"), resolved_by=bindparam("by"))
)


def _never_refused() -> AssertionError:
    return AssertionError("a key that is taken away cannot be taken")
