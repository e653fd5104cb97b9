from datetime import UTC, datetime, timedelta

from app.identity.interfaces import AppCredentials
from app.risk.interfaces import RankUnknown
from app.risk.ranks import FAILURES, KEEP, KEEP_UNKNOWN, REST, RankDesk

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
APP = AppCredentials("wx1", "secret")


class Platform:
    """Answers with its rank, or with none."""

    def __init__(self, rank: int | None) -> None:
        self.rank_told = rank
        self.asked = 0

    def rank(self, app: AppCredentials, *, openid: str, address: str) -> int:
        self.asked += 1
        if self.rank_told is None:
            raise RankUnknown("timeout")
        return self.rank_told


def ask(desk: RankDesk, login: int, now: datetime = NOW) -> int | None:
    return desk.ask(login, app=APP, openid="o", address="36.112.9.7", now=now)


def test_a_rank_is_kept_for_ten_minutes() -> None:
    desk = RankDesk(Platform(3))
    assert not desk.knows(1, NOW)
    assert ask(desk, 1) == 3
    assert desk.knows(1, NOW + KEEP - timedelta(seconds=1))
    assert desk.recall(1, NOW) == 3
    assert not desk.knows(1, NOW + KEEP)
    assert desk.recall(1, NOW + KEEP) is None


def test_unknown_is_an_answer_for_half_a_minute() -> None:
    desk = RankDesk(Platform(None))
    assert ask(desk, 1) is None
    assert desk.knows(1, NOW)
    assert not desk.knows(1, NOW + KEEP_UNKNOWN)


def test_a_platform_that_fails_is_left_in_peace_for_a_while() -> None:
    platform = Platform(None)
    desk = RankDesk(platform)
    for login in range(FAILURES):
        assert not desk.knows(login, NOW)
        ask(desk, login)
    assert desk.knows(99, NOW)
    assert desk.recall(99, NOW) is None
    assert not desk.knows(99, NOW + REST)
    platform.rank_told = 0
    assert ask(desk, 99, NOW + REST) == 0
    assert not desk.knows(100, NOW + REST)


def test_the_oldest_logins_are_forgotten() -> None:
    desk = RankDesk(Platform(1), capacity=2)
    for login in (1, 2, 3):
        ask(desk, login)
    assert [desk.knows(login, NOW) for login in (1, 2, 3)] == [False, True, True]
