"""Help under many connections: all accounts of a friend together help once."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.campaigns import helping
from app.campaigns.errors import HelpedAlready
from app.campaigns.models import AwardHelp
from app.db.once import insert_once
from app.identity import operations as identity
from app.identity.queries import Principal, cluster
from app.rewards.queries import AwardView
from tests.factories.campaign_world import OLGA
from tests.factories.campaigns import money, pool
from tests.race.crowd import Crowd
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

RULES: dict[str, Any] = {
    "prizes": [money("yuan", 100, unlock_helpers=5)],
    "pools": [pool("everybody", 0, {"yuan": 1})],
}


def _win(crowd: Crowd, who: Principal) -> AwardView:
    won = crowd.world.draw(who).award
    assert won is not None
    crowd.world.wait(minutes=1)
    return won


def _race(crowd: Crowd, seed: int) -> tuple[list[int], RaceResult]:
    """One friend with two accounts helps two winners from both, sixteen times at once; return the helps."""
    world = crowd.world
    campaign = crowd.campaign(**RULES)
    awards = [_win(crowd, crowd.members[number]) for number in (0, 1)]
    accounts = [world.member(), world.member()]
    for account in accounts:
        _win(crowd, account)
    world.do(
        identity.merge,
        person_id=accounts[0].person_id,
        other_id=accounts[1].person_id,
        reason="one",
        actor=OLGA,
        force=True,
    )
    root = world.read(cluster, person_id=accounts[0].person_id).root_id
    now = world.clock.now()

    def tap(account: Principal, won: AwardView) -> Callable[[], None]:
        who = replace(account, root_id=root)
        return lambda: world.db.transact(
            lambda session: helping.help_award(session, award_id=won.id, principal=who, now=now)
        )

    taps = [tap(account, won) for account, won in zip(accounts, awards, strict=True)] * 8
    result = race(world.db, taps, seed=seed)
    wanted = select(AwardHelp.award_id).where(AwardHelp.campaign_id == campaign)
    return world.read(lambda session: list(session.scalars(wanted))), result


def test_a_friend_with_two_accounts_helps_once(crowd: Crowd, race_seed: int) -> None:
    helps, result = _race(crowd, race_seed)
    assert len(helps) == 1
    assert len(result.errors) == 8
    assert all(isinstance(error, HelpedAlready) for error in result.errors), result.errors
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


@pytest.fixture
def _draws_help_often(crowd: Crowd) -> Iterator[None]:
    """The guard taken out: nothing in the database says that a draw helps once."""
    with crowd.world.db.engine.connect() as connection:
        connection.execute(text("ALTER TABLE award_helps DROP INDEX uq_award_helps_draw_id"))
        yield
        connection.execute(text("DELETE FROM award_helps"))
        connection.execute(
            text("ALTER TABLE award_helps ADD CONSTRAINT uq_award_helps_draw_id UNIQUE (draw_id)")
        )
        connection.commit()


@pytest.mark.usefixtures("_draws_help_often")
def test_without_the_guard_both_accounts_help(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(session: Session, *, person_id: int, root_id: int) -> Any:
        """The other one taken out: the cluster is read, not locked."""
        return cluster(session, person_id=person_id)

    def write(session: Session, *arguments: Any) -> bool:
        """What was looked for may come before what was not found is written."""
        session.execute(text("SELECT SLEEP(0.05)"))
        return insert_once(session, *arguments)

    monkeypatch.setattr(helping, "lock_cluster", look)
    monkeypatch.setattr(helping, "insert_once", write)
    helps, _ = _race(crowd, seed=0)
    assert len(helps) == 2
