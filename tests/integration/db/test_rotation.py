"""An old master key is exchanged for a new one while people go on writing."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Table, select, text
from sqlalchemy.orm import Session

from app.config import BadSettings
from app.db import rotation, secrets
from app.db.engine import Database
from app.db.keys import KeyNotIdle, mark_retired, require_keys, require_retirable
from app.db.secrets import KeyRing
from app.identity.models import Identifier, LoginSession
from app.kernel.clock import ManualClock
from app.organisation.models import App
from tests.factories.campaign_world import CampaignWorld
from tests.support.source import import_all_of_app

import_all_of_app()

OLD, NEW = bytes(range(32)), b"n" * 32
BEFORE = KeyRing({1: OLD})
LEARNED = KeyRing({1: OLD, 2: NEW}, sealing=1)
AFTER = KeyRing({1: OLD, 2: NEW})
NOW = datetime(2026, 6, 1, tzinfo=UTC)
WRITERS = 3


@pytest.fixture(params=["mariadb", "sqlite"])
def database(request: pytest.FixtureRequest) -> Database:
    """The database on each kind."""
    found: Database = request.getfixturevalue("clean_db" if request.param == "mariadb" else "sqlite_db")
    return found


@pytest.fixture(autouse=True)
def _ring_of_the_run(keyring: KeyRing) -> Iterator[None]:
    yield
    secrets.bind(keyring)


def _quiet(_table: str, _rows: int) -> None:
    """Tell nobody."""


def _versions(db: Database) -> set[int]:
    found = rotation.versions_in_use(db, progress=_quiet)
    return {version for counts in found.values() for version in counts}


def _openids(session: Session) -> set[str]:
    return {row.value for row in session.execute(select(Identifier)).scalars()}


def test_values_are_sealed_anew_and_say_what_they_said(database: Database, clock: ManualClock) -> None:
    world = CampaignWorld.build(database, clock)
    people = [world.member() for _ in range(5)]
    world.run()
    world.draw(people[0])
    with database.read() as session:
        before = _openids(session)
        hashes = set(session.execute(select(Identifier.value_hash)).scalars())
    counted = rotation.versions_in_use(database, progress=_quiet)
    assert counted["identifiers.value"] == {1: 10}
    assert counted["code_batches.key"] == {1: 1}
    secrets.bind(AFTER)

    done = rotation.reseal(database, AFTER, progress=_quiet)

    assert done.sealed == sum(counts.total() for counts in counted.values())
    assert (done.overtaken, done.broken) == (0, [])
    assert _versions(database) == {2}
    with database.read() as session:
        assert _openids(session) == before
        assert set(session.execute(select(Identifier.value_hash)).scalars()) == hashes
        assert session.execute(select(App.secret)).scalar_one() == "secret"
    assert rotation.reseal(database, AFTER, progress=_quiet).sealed == 0
    # Printed codes are read, and people known before are found, under the new key alone.
    secrets.bind(AFTER)
    again = world.draw(people[1])
    assert again.fresh


def test_nothing_is_lost_while_writers_go_on(
    database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_SEALED_AT_ONCE", 5)
    world = CampaignWorld.build(database, clock)
    people = [world.visitor() for _ in range(30)]
    secrets.bind(AFTER)
    stop = threading.Event()
    written, faults = dict[int, str](), list[Exception]()

    def write(number: int) -> None:
        """Change the session keys of every third person, again and again."""
        turn = 0
        try:
            while not stop.is_set():
                turn += 1
                for who in people[number::WRITERS]:
                    value = f"{who.session_id}-{turn}"
                    _set_key(database, who.session_id, value)
                    written[who.session_id] = value
        except Exception as fault:  # noqa: BLE001 - told below
            faults.append(fault)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        while not written and not faults:
            stop.wait(0.01)
        for _ in range(2):
            assert rotation.reseal(database, AFTER, progress=_quiet).broken == []
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert faults == []
    assert _versions(database) == {2}
    with database.read() as session:
        stored = {row.id: row.session_key for row in session.execute(select(LoginSession)).scalars()}
    assert {number: stored[number] for number in written} == written


def _set_key(database: Database, session_id: int, value: str) -> None:
    def work(session: Session) -> None:
        found = session.get(LoginSession, session_id)
        assert found is not None
        found.session_key = value

    database.transact(work)


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "twin without the guard"])
def test_what_was_written_between_reading_and_exchanging_stays(
    database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    who = CampaignWorld.build(database, clock).visitor()
    secrets.bind(AFTER)
    exchange = rotation._exchange_one
    late = KeyRing({1: OLD, 2: NEW}, sealing=1)

    def overtaken(session: Session, table: Table, exchanged: rotation._Exchange) -> int:
        # A process that does not seal with the new key yet writes first.
        if str(exchanged.column) == "login_sessions.session_key":
            sealed = late.seal("login_sessions.session_key", b"written meanwhile")
            session.execute(text("UPDATE login_sessions SET session_key = :new"), {"new": sealed})
            if not guarded:
                exchanged = replace(exchanged, old=sealed)
        return exchange(session, table, exchanged)

    monkeypatch.setattr(rotation, "_exchange_one", overtaken)
    done = rotation.reseal(database, AFTER, progress=_quiet)

    assert done.overtaken == guarded
    with database.read() as session:
        found = session.get(LoginSession, who.session_id)
        assert found is not None
        assert (found.session_key == "written meanwhile") == guarded
    monkeypatch.undo()
    assert rotation.reseal(database, AFTER, progress=_quiet).sealed == guarded


def test_a_value_that_cannot_be_opened_is_named_and_left_alone(
    database: Database, clock: ManualClock
) -> None:
    CampaignWorld.build(database, clock)
    foreign = KeyRing({1: b"x" * 32}).seal("apps.secret", b"?")

    def work(session: Session) -> None:
        session.execute(text("UPDATE apps SET secret = :sealed"), {"sealed": foreign})

    database.transact(work)

    done = rotation.reseal(database, AFTER, progress=_quiet)

    assert [line.split()[0] for line in done.broken] == ["apps.secret"]
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT secret FROM apps")).scalar_one() == foreign


@pytest.mark.parametrize(
    ("ring", "told"),
    [
        (KeyRing({2: NEW}), "version 1 is missing"),
        (KeyRing({1: NEW, 2: NEW}), "version 1 is not the key"),
        (KeyRing({1: OLD}), "version 2 is missing"),
    ],
)
def test_keys_that_do_not_fit_stop_a_process_at_its_start(
    database: Database, ring: KeyRing, told: str
) -> None:
    require_keys(database, BEFORE, now=NOW)
    require_keys(database, LEARNED, now=NOW)
    require_keys(database, AFTER, now=NOW)

    with pytest.raises(BadSettings, match=told):
        require_keys(database, ring, now=NOW)


def test_a_key_is_not_slipped_in_below_the_lowest(database: Database) -> None:
    require_keys(database, KeyRing({5: OLD}), now=NOW)

    with pytest.raises(BadSettings, match="lies below the lowest"):
        require_keys(database, KeyRing({4: NEW, 5: OLD}), now=NOW)


def test_a_retired_key_may_go_and_the_lowest_never(database: Database) -> None:
    three = KeyRing({1: OLD, 2: NEW, 3: b"3" * 32})
    require_keys(database, three, now=NOW)
    for version in (1, 3):
        with pytest.raises(KeyNotIdle):
            require_retirable(three, version)
    require_retirable(three, 2)

    assert database.transact(lambda session: mark_retired(session, version=2, now=NOW))

    require_keys(database, KeyRing({1: OLD, 3: b"3" * 32}), now=NOW)
    assert not database.transact(lambda session: mark_retired(session, version=2, now=NOW))
    require_keys(database, three, now=NOW)
    with pytest.raises(BadSettings, match="version 2 was retired"):
        require_keys(database, KeyRing({1: OLD, 2: NEW}), now=NOW)
