from datetime import UTC, datetime

from app.alerts.models import Alert, Severity
from app.notices.digest import MOST_LINES, write

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)


def alert(number: int, severity: Severity, detail: str = "Look at it.") -> Alert:
    return Alert(
        id=number,
        kind="risk.batch",
        subject=str(number),
        severity=severity,
        detail=detail,
        times=3,
        last_at=NOW,
    )


def test_one_letter_tells_everything_that_is_open_the_gravest_first() -> None:
    letter = write(
        [alert(1, Severity.NOTICE), alert(2, Severity.CRITICAL), alert(3, Severity.WARNING)], fresh=2
    )
    assert letter.subject == "[Saoma] 紧急/critical: 3 条未处理提醒，新增 2 条 / 3 open, 2 new"
    places = [letter.body.index(f"risk.batch  {number}") for number in (2, 3, 1)]
    assert places == sorted(places)
    assert "x3" in letter.body
    assert "2026-06-01 04:00 UTC" in letter.body


def test_a_flood_is_counted_and_not_written_out() -> None:
    letter = write([alert(number, Severity.WARNING) for number in range(MOST_LINES + 7)], fresh=107)
    assert letter.body.count("Look at it.") == MOST_LINES
    assert "and 7 more" in letter.body
