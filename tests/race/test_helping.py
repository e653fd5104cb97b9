"""Help under many connections: all accounts of a friend together help once, and never in vain."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.campaigns import helping
from app.campaigns.errors import HelpedAlready, HelpNotWanted, OwnAward
from app.campaigns.models import AwardHelp
from app.db.once import insert_once
from app.identity import operations as identity
from app.identity.queries import Principal, cluster
from app.rewards import operations as rewards
from app.rewards.models import Award, AwardState
from app.rewards.queries import AwardView
from app.rewards.terms import TERMS, Terms
from tests.factories.campaign_world import OLGA
from tests.factories.campaigns import money, pool
from tests.factories.people import EVERYTHING
from tests.race.crowd import Crowd
from tests.support.racing import PATIENCE_SECONDS, RaceResult, race

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
        although=EVERYTHING,
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
    def look(session: Session, *, person_id: int) -> Any:
        """The other one taken out: the cluster is read, not locked."""
        return cluster(session, person_id=person_id)

    monkeypatch.setattr(helping, "lock_cluster", look)
    monkeypatch.setattr(helping, "insert_once", _slowly)
    helps, _ = _race(crowd, seed=0)
    assert len(helps) == 2


PAIRS = 4


def _still_wanted(session: Session, award_id: int) -> bool:
    """Whether the award can still be unlocked, as everybody sees it at this moment."""
    state = session.execute(select(Award.state).where(Award.id == award_id)).scalar_one()
    return state is AwardState.COLLECTIBLE


def _help_and_lapse(crowd: Crowd, seed: int) -> tuple[RaceResult, int]:
    """Eight friends help in the last second while the deadline passes; return also how many lapsed."""
    world = crowd.world
    crowd.campaign(**RULES | {"prizes": [money("yuan", 100, unlock_helpers=5, claim_window_days=1)]})
    winners, friends = crowd.members[: 2 * PAIRS], crowd.members[2 * PAIRS : 4 * PAIRS]
    awards = [world.draw(who).award for who in winners]
    won = [award for award in awards if award is not None]
    deadline = won[0].deadline_at
    world.wait(minutes=1)
    for friend in friends:
        world.draw(friend)

    def tap(friend: Principal, award: AwardView) -> Callable[[], bool]:
        def work(session: Session) -> bool:
            moment = deadline - timedelta(seconds=1)
            helping.help_award(session, award_id=award.id, principal=friend, now=moment)
            return _still_wanted(session, award.id)

        return lambda: world.db.transact(work)

    def lapse() -> None:
        world.db.transact(lambda session: rewards.lapse_due(session, now=deadline, limit=2))

    taps = [tap(friend, award) for friend, award in zip(friends, won, strict=True)]
    result = race(world.db, [*taps, *[lapse] * PAIRS * 2], seed=seed)
    ids = [award.id for award in won]
    counted = select(func.count()).where(Award.id.in_(ids), Award.state == AwardState.LAPSED)
    lapsed = world.read(lambda session: session.scalar(counted)) or 0
    # What is left lapses now, out of the way of the next race.
    later = deadline + timedelta(hours=1)
    world.db.transact(lambda session: rewards.lapse_due(session, now=later, limit=1000))
    return result, lapsed


def test_nobody_helps_with_what_has_lapsed(crowd: Crowd, race_seed: int) -> None:
    result, lapsed = _help_and_lapse(crowd, race_seed)
    assert all(isinstance(error, HelpNotWanted) for error in result.errors), result.errors
    assert False not in result.values, "each help was given while it was wanted"
    assert lapsed > 0
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def _slowly(session: Session, *arguments: Any) -> bool:
    """What was looked for may come before what was not found is written, however long it was held."""
    session.execute(text(f"SELECT SLEEP({2 * PATIENCE_SECONDS})"))
    return insert_once(session, *arguments)


def test_without_the_lock_on_the_award_help_is_spent_in_vain(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(session: Session, award_id: int) -> Terms:
        """The guard taken out: the award is read, not locked."""
        return Terms._make(session.execute(TERMS.where(Award.id == award_id)).one())

    monkeypatch.setattr(helping, "lock", look)
    monkeypatch.setattr(helping, "insert_once", _slowly)
    result, _ = _help_and_lapse(crowd, seed=0)
    assert False in result.values


@dataclass(frozen=True)
class _Told:
    """What a help's own transaction sees at its end: helps of the person in the campaign, and own award."""

    helps: int
    own: bool


def _help_and_merge(crowd: Crowd, seed: int, *, with_winner: bool) -> tuple[list[_Told], int]:
    """Accounts help, and turn out to be one person at that moment: with one another or with the winner."""
    world = crowd.world
    campaign = crowd.campaign(**RULES)
    won = [_win(crowd, world.member() if with_winner else crowd.members[n]) for n in range(PAIRS)]
    ones, others = ([world.member() for _ in range(PAIRS)] for _ in range(2))
    for friend in [*ones, *others]:
        _win(crowd, friend)
    now = world.clock.now()

    def tap(friend: Principal, award: AwardView) -> Callable[[], _Told]:
        def work(session: Session) -> _Told:
            helping.help_award(session, award_id=award.id, principal=friend, now=now)
            people = cluster(session, person_id=friend.person_id).person_ids
            helped = select(func.count()).where(
                AwardHelp.campaign_id == campaign, AwardHelp.person_id.in_(people)
            )
            return _Told(session.scalar(helped) or 0, award.person_id in people)

        return lambda: world.db.transact(work)

    def unite(one: int, other: int) -> Callable[[], object]:
        return lambda: world.do(
            identity.merge, person_id=one, other_id=other, reason="one", actor=OLGA, although=EVERYTHING
        )

    runners: list[Callable[[], Any]] = []
    for number in range(PAIRS):
        one, other, award = ones[number], others[number], won[number]
        with_whom = award.person_id if with_winner else other.person_id
        runners += [tap(one, award), unite(one.person_id, with_whom)]
        if not with_winner:
            runners.append(tap(other, won[number - 1]))
    result = race(world.db, runners, seed=seed)
    assert all(isinstance(error, (HelpedAlready, OwnAward)) for error in result.errors), result.errors
    return [told for told in result.values if isinstance(told, _Told)], result.lock_waits


@pytest.mark.parametrize("with_winner", [False, True])
def test_a_merge_at_the_same_moment_gives_no_second_help(
    crowd: Crowd, race_seed: int, with_winner: bool
) -> None:
    told, lock_waits = _help_and_merge(crowd, race_seed, with_winner=with_winner)
    assert lock_waits > 0, "nobody waited for anybody: this was no race"
    assert {(one.helps, one.own) for one in told} == {(1, False)}


@pytest.mark.parametrize("with_winner", [False, True])
def test_without_the_lock_on_the_person_a_merge_gives_a_second_help(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, with_winner: bool
) -> None:
    def look(session: Session, *, person_id: int) -> Any:
        """The guard taken out: the cluster is read, not locked."""
        return cluster(session, person_id=person_id)

    monkeypatch.setattr(helping, "lock_cluster", look)
    monkeypatch.setattr(helping, "insert_once", _slowly)
    told, _ = _help_and_merge(crowd, seed=0, with_winner=with_winner)
    assert any(one.own if with_winner else one.helps > 1 for one in told)
