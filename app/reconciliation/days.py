"""Beijing calendar days: WeChat Pay's bills know no other (contract 11.1)."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.reconciliation.errors import BadDay

BEIJING = ZoneInfo("Asia/Shanghai")
# The platform promises the bill from 10:00 on the next day.
READY_AT = time(10, 5)
KEPT_DAYS = 85
"""The platform gives bills of the last three months; a few days less are safe."""


def read_day(text: str) -> date:
    """Return the day that `text` ("2026-06-01") names; raise BadDay."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # Python reads other forms too; a day has one name here.
    if day is None or day.isoformat() != text:
        raise BadDay("a day is written as 2026-06-01")
    return day


def bounds(day: date) -> tuple[datetime, datetime]:
    """Return the first moment of `day` and of the next, in UTC."""
    start = datetime.combine(day, time(), BEIJING)
    return start.astimezone(UTC), datetime.combine(day + timedelta(days=1), time(), BEIJING).astimezone(UTC)


def day_of(moment: datetime) -> date:
    """Return the day on which `moment` falls."""
    return moment.astimezone(BEIJING).date()


def last_ready(now: datetime) -> date:
    """Return the last day whose bill may be asked for at `now`."""
    local = now.astimezone(BEIJING)
    return local.date() - timedelta(days=1 if local.time() >= READY_AT else 2)
