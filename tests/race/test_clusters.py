"""Merges, unmerges, holders of the lock and joiners all at once: clusters stay trees, members stay one."""

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity import clusters, queries
from app.identity import operations as identity
from app.identity.errors import AlreadyMerged, AlreadyUnmerged
from app.identity.models import IdentitySource, Merge, Person
from app.identity.values import phone_claim
from app.kernel.actor import SYSTEM
from app.members import operations as members
from app.members.models import AgeBand, Member
from tests.factories.people import EVERYTHING, card
from tests.race.conftest import FEWER
from tests.support.racing import CONNECTIONS, RaceResult, race

pytestmark = pytest.mark.race

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PERSONS = 12


def _strangers(db: Database) -> list[int]:
    def work(session: Session) -> list[int]:
        return [
            identity.recognise(
                session, identifiers=[card(f"c-{n}")], source=IdentitySource.IMPORTED, now=NOW, actor=SYSTEM
            ).person_id
            for n in range(PERSONS)
        ]

    return db.transact(work)


def _merge(db: Database, one: int, other: int) -> int:
    return db.transact(
        lambda session: identity.merge(
            session, person_id=one, other_id=other, reason="race", now=NOW, actor=SYSTEM, although=EVERYTHING
        )
    )


def _unmerge(db: Database, merge_id: int) -> tuple[int, int]:
    return db.transact(
        lambda session: identity.unmerge(session, merge_id=merge_id, reason="race", now=NOW, actor=SYSTEM)
    )


def _hold(db: Database, person_id: int) -> bool:
    def work(session: Session) -> bool:
        held = clusters.lock_cluster(session, person_id=person_id)
        time.sleep(0.005)
        return queries.cluster(session, person_id=person_id) == held

    return db.transact(work)


def _turmoil(db: Database, seed: int, runners: int) -> RaceResult:
    """Merge and unmerge the same persons at random while others hold their clusters."""
    chance = random.Random(seed)
    persons = _strangers(db)
    merges = [_merge(db, persons[n], persons[n + 1]) for n in range(0, PERSONS, 2)]

    def act(number: int) -> Callable[[], Any]:
        one, other = chance.sample(persons, 2)
        if number % 3 == 0:
            merge_id = chance.choice(merges)
            return lambda: _unmerge(db, merge_id)
        if number % 3 == 1:
            return lambda: _merge(db, one, other)
        return lambda: _hold(db, one)

    return race(db, [act(number) for number in range(runners)], seed=seed)


def _faults(db: Database, result: RaceResult) -> list[str]:
    """What is wrong: refusals that nobody expects, clusters that moved under a lock, pointers, circles."""
    faults = [
        repr(error) for error in result.errors if not isinstance(error, AlreadyMerged | AlreadyUnmerged)
    ]
    faults += ["a cluster moved under its lock" for value in result.values if value is False]
    with db.read() as session:
        pointers = dict(session.execute(select(Person.id, Person.one_id)).all())
        links = session.execute(select(Merge.person_a, Merge.person_b).where(Merge.undone_at.is_(None))).all()
    root = {person: person for person in pointers}
    for one, other in links:
        if root[one] == root[other]:
            faults.append("two merges hold the same two together")
        old, new = max(root[one], root[other]), min(root[one], root[other])
        root = {person: new if held == old else held for person, held in root.items()}
    if root != pointers:
        faults.append("pointers and merges disagree")
    return faults


def test_clusters_stay_trees_whatever_happens_at_once(wide_db: Database, race_seed: int) -> None:
    result = _turmoil(wide_db, race_seed, CONNECTIONS)
    assert _faults(wide_db, result) == []
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def test_without_the_lock_on_the_roots_they_do_not(
    wide_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "take", lambda _session, _roots: None)
    result = _turmoil(wide_db, 0, CONNECTIONS)
    assert _faults(wide_db, result) != []


def _join_all(db: Database, seed: int, runners: int) -> tuple[RaceResult, int]:
    """Let one human being join through two accounts at once, often; count the memberships."""
    db.transact(
        lambda session: members.publish_policy(session, version="1", text_zh="隐", text_en="P", now=NOW)
    )
    one, other = _strangers(db)[:2]
    _merge(db, one, other)

    def join(person_id: int) -> str:
        return db.transact(
            lambda session: members.join(
                session,
                person_id=person_id,
                policy_version="1",
                age_band=AgeBand.ADULT,
                guardian_consent=False,
                source=members.Source(),
                now=NOW,
                actor=SYSTEM,
            )
        ).member_no

    def runner(number: int) -> Callable[[], str]:
        return lambda: join((one, other)[number % 2])

    result = race(db, [runner(number) for number in range(runners)], seed=seed)
    with db.read() as session:
        return result, len(session.execute(select(Member.id)).all())


def test_one_human_being_joins_once(wide_db: Database, race_seed: int) -> None:
    result, memberships = _join_all(wide_db, race_seed, FEWER)
    assert result.errors == []
    assert len(set(result.values)) == memberships == 1
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def test_without_the_lock_on_the_cluster_twice(wide_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "take", lambda _session, _roots: None)
    _, memberships = _join_all(wide_db, 0, FEWER)
    assert memberships == 2


def test_one_phone_shown_by_many_joins_them_all_or_loses_its_say(wide_db: Database, race_seed: int) -> None:
    persons = _strangers(wide_db)[:8]

    def show(person_id: int) -> Callable[[], identity.Attached]:
        return lambda: wide_db.transact(
            lambda session: identity.attach(
                session,
                person_id=person_id,
                identifiers=[phone_claim("13900000001")],
                source=IdentitySource.PHONE_BUTTON,
                now=NOW,
                actor=SYSTEM,
            )
        )

    result = race(wide_db, [show(persons[n % 8]) for n in range(FEWER)], seed=race_seed)

    assert _faults(wide_db, result) == []
    with wide_db.read() as session:
        sizes = Counter(queries.cluster(session, person_id=person).root_id for person in persons)
    # Five may share a number; the sixth takes it its say, and those who came later stay alone.
    assert sorted(sizes.values(), reverse=True) == [5, 1, 1, 1]
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
