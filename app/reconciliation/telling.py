"""What an operator is told of differences: what is new at once, what is old in one standing line.

A day's alert is critical and is raised when something new is found of that day, and never again for what
somebody has seen. Whatever is open and is no news any more stands in one reminder per merchant number, which
goes with the last of it. Money that nothing explains has no line of its own to settle: the bills stay off by
it from then on, so it is news on the day on which the gap changes, and old until it closes.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.alerts.queries import open_subjects
from app.kernel.actor import SYSTEM
from app.payouts import queries as payouts
from app.reconciliation import queries
from app.reconciliation.states import DifferenceKind

DIFFERENCES_ALERT = "reconciliation.differences"
STANDING_ALERT = "reconciliation.standing"
# It has an alert of its own.
_TOLD_ELSEWHERE = (DifferenceKind.BALANCE,)


def tell(session: Session, *, payer_id: int, day: str, news: Collection[str], now: datetime) -> None:
    """Tell what the closing of `day` has brought; `news` are the days of which something new was found."""
    mchid, (found, gaps) = payouts.payer(session, payer_id).mchid, _open(session, payer_id)
    fresh = {*news, day} if day in gaps else set(news)
    for which in sorted(fresh & {*found, *gaps}):
        gap = f" and {gaps[which]} fen that nothing explains" if which in gaps else ""
        raise_alert(
            session,
            kind=DIFFERENCES_ALERT,
            subject=f"{mchid}:{which}",
            severity=Severity.CRITICAL,
            detail=f"The bill of WeChat Pay for {which} and our book disagree:"
            f" {found.get(which, 0)} differences{gap}."
            f" `saoma reconcile differences --payer {mchid}` lists them with what to do.",
            now=now,
        )
    _remind(
        session,
        mchid,
        {which: number for which, number in found.items() if which not in fresh},
        {which: fen for which, fen in gaps.items() if which not in fresh},
        now,
    )
    settle(session, payer_id=payer_id, by=SYSTEM.label, now=now)


def settle(session: Session, *, payer_id: int, by: str, now: datetime) -> None:
    """Settle the alerts of days of which nothing is open, and the reminder when nothing is open at all."""
    mchid, (found, gaps) = payouts.payer(session, payer_id).mchid, _open(session, payer_id)
    for subject in open_subjects(session, kind=DIFFERENCES_ALERT, prefix=f"{mchid}:"):
        if subject.partition(":")[2] not in {*found, *gaps}:
            resolve_alert(session, kind=DIFFERENCES_ALERT, subject=subject, by=by, now=now)
    if not found and not gaps:
        resolve_alert(session, kind=STANDING_ALERT, subject=mchid, by=by, now=now)


def _open(session: Session, payer_id: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return by day how many differences are open, and by how many fen the gap has changed."""
    found = queries.open_days(session, payer_id=payer_id, besides=_TOLD_ELSEWHERE)
    return found, queries.gaps(session, payer_id=payer_id)


def _remind(session: Session, mchid: str, found: dict[str, int], gaps: dict[str, int], now: datetime) -> None:
    """Raise the reminder of what is open and no news, by day; settle it when that is nothing."""
    parts = []
    if found:
        parts.append(f"{sum(found.values())} differences, the oldest of {min(found)}")
    if gaps:
        parts.append(f"{sum(gaps.values())} fen that nothing explains, since {min(gaps)}")
    if not parts:
        resolve_alert(session, kind=STANDING_ALERT, subject=mchid, by=SYSTEM.label, now=now)
        return
    raise_alert(
        session,
        kind=STANDING_ALERT,
        subject=mchid,
        severity=Severity.WARNING,
        detail=f"Still open at merchant number {mchid}: {'; '.join(parts)}."
        f" `saoma reconcile differences --payer {mchid}` lists them with what to do.",
        now=now,
    )
