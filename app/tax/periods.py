"""The tax office's calendar: months and years of Beijing."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from app.tax.errors import BadMonth

BEIJING = ZoneInfo("Asia/Shanghai")
_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


def month(text: str) -> tuple[datetime, datetime]:
    """Return the first moment of a month such as "2026-10" and of the next one, in UTC; raise BadMonth."""
    found = _MONTH.fullmatch(text)
    if found is None:
        raise BadMonth("a month is written as 2026-10")
    years, months = int(found[1]), int(found[2])
    following = (years + 1, 1) if months == 12 else (years, months + 1)
    return _first(years, months), _first(*following)


def year(moment: datetime) -> tuple[datetime, datetime]:
    """Return the first moment of the calendar year that a moment lies in, and of the next one, in UTC."""
    number = moment.astimezone(BEIJING).year
    return _first(number, 1), _first(number + 1, 1)


def _first(years: int, months: int) -> datetime:
    return datetime(years, months, 1, tzinfo=BEIJING).astimezone(UTC)
