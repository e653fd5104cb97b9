"""One open line per trouble, counted until it is settled."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.alerts.models import Alert, Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.alerts.queries import open_alerts

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _raise(session: Session, subject: str, minutes: int = 0) -> None:
    raise_alert(
        session,
        kind="payer.balance",
        subject=subject,
        severity=Severity.CRITICAL,
        detail="top up",
        now=NOW + timedelta(minutes=minutes),
    )


def test_a_repeated_trouble_is_one_line_with_a_count(session: Session) -> None:
    _raise(session, "1")
    _raise(session, "1", minutes=5)
    _raise(session, "2")
    found = {alert.subject: alert for alert in open_alerts(session)}
    assert {subject: alert.times for subject, alert in found.items()} == {"1": 2, "2": 1}
    assert found["1"].last_at - found["1"].first_at == timedelta(minutes=5)


def test_a_settled_trouble_may_come_again(session: Session) -> None:
    _raise(session, "1")
    assert resolve_alert(session, kind="payer.balance", subject="1", by="ops", now=NOW)
    assert not resolve_alert(session, kind="payer.balance", subject="1", by="ops", now=NOW)
    assert open_alerts(session) == []
    _raise(session, "1")
    assert len(session.execute(select(Alert.id)).all()) == 2
