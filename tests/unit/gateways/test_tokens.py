from datetime import UTC, datetime, timedelta

import pytest

from app.gateways.tokens import FetchedToken, may_force

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)


def _ago(*seconds: int) -> list[int]:
    return [int((NOW - timedelta(seconds=second)).timestamp()) for second in seconds]


@pytest.mark.parametrize(
    ("forced_at", "allowed"),
    [
        ([], True),
        (_ago(29), False),
        (_ago(34), False),
        (_ago(35), True),
        (_ago(*range(3600, 3600 * 20, 3600)), True),
        (_ago(*range(3600, 3600 * 21, 3600)), False),
        # What is older than a day does not count.
        (_ago(*range(24 * 3600 + 60, 24 * 3600 + 60 + 40)), True),
    ],
)
def test_forced_refreshes_keep_to_20_a_day_and_30_seconds_apart(forced_at: list[int], allowed: bool) -> None:
    assert may_force(forced_at, NOW) is allowed


def test_a_token_does_not_show_itself() -> None:
    assert "geheim" not in repr(FetchedToken("geheim", 7200))
