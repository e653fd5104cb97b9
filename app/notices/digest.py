"""One letter with everything that is open: pure."""

from collections import Counter
from collections.abc import Sequence

from app.alerts.models import Alert, Severity
from app.notices.interfaces import Letter

MOST_LINES = 100
_ORDER = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.NOTICE: 2}
_WORDS = {
    Severity.CRITICAL: "紧急/critical",
    Severity.WARNING: "警告/warning",
    Severity.NOTICE: "提示/notice",
}


def shorten(alerts: Sequence[Alert], *, fresh: int) -> str:
    """Return the same in one line for a phone: how many are open, and how grave; the rest is at the desk."""
    return f"{write(alerts, fresh=fresh).subject}; saoma alerts list"


def write(alerts: Sequence[Alert], *, fresh: int) -> Letter:
    """Return the letter about open alerts, the gravest first; `fresh` of them were in no letter before."""
    ordered = sorted(alerts, key=lambda alert: (_ORDER[alert.severity], -alert.id))
    counted = Counter(alert.severity for alert in alerts)
    gravest = ordered[0].severity if ordered else Severity.NOTICE
    zh, en = f"{len(alerts)} 条未处理提醒，新增 {fresh} 条", f"{len(alerts)} open, {fresh} new"
    subject = f"[Saoma] {_WORDS[gravest]}: {zh} / {en}"
    lines = [
        "以下提醒尚未处理；`saoma alerts list` 可查看，docs/operations.md 说明处理方法。",
        "These alerts are open; `saoma alerts list` shows them, docs/operations.md says what to do.",
        ", ".join(f"{_WORDS[severity]}: {counted[severity]}" for severity in _ORDER if counted[severity]),
        "",
    ]
    for alert in ordered[:MOST_LINES]:
        seen = f"{alert.last_at:%Y-%m-%d %H:%M} UTC, x{alert.times}"
        lines += [f"* {_WORDS[alert.severity]}  {alert.kind}  {alert.subject}  ({seen})", f"  {alert.detail}"]
    if len(ordered) > MOST_LINES:
        more = len(ordered) - MOST_LINES
        lines.append(f"另有 {more} 条 / and {more} more")
    return Letter(subject, "\n".join(lines) + "\n")
