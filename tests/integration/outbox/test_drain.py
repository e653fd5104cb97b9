"""Draining: three phases, leases on database time, retries, parking, isolation of the bad message."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app.alerts.models import Alert
from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.kernel import boundaries
from app.kernel.clock import ManualClock
from app.outbox.contracts import (
    Call,
    Callback,
    Done,
    EffectKind,
    FactEnvelope,
    Failed,
    Message,
    Park,
    RetryAt,
    RetryLater,
    Settlement,
    Skip,
)
from app.outbox.drain import Drainer
from app.outbox.models import Attempt, FinishedMessage, InboxMessage, OutboxMessage
from app.outbox.operations import UnknownMessage, enqueue, hasten_group, publish, purge, receive, replay
from app.outbox.queries import depths, parked
from app.outbox.registry import Registry


@dataclass
class Recorder:
    """An effect that remembers its calls and answers as it is told."""

    topic: str = "test.call"
    kind: EffectKind = EffectKind.IDEMPOTENT
    batch_size: int = 10
    concurrency: int = 1
    deadline_seconds: float = 5.0
    answer: Callable[[Message], object] = lambda message: Call(message.key)
    act: Callable[[str], object] = lambda request: request
    outcome: Callable[[Message, object], Settlement] = lambda message, result: Done("ok")
    calls: list[str] = field(default_factory=list)
    seen: list[Message] = field(default_factory=list)

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        self.seen += messages
        return [self.answer(message) for message in messages]  # type: ignore[misc]

    def perform(self, request: str) -> object:
        self.calls.append(request)
        return self.act(request)

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> list[Settlement]:
        return [self.outcome(message, result) for message, result in results]


@pytest.fixture(params=["mariadb", "sqlite"])
def any_db(request: pytest.FixtureRequest) -> Database:
    """Each database that one code runs on."""
    database: Database = request.getfixturevalue("clean_db" if request.param == "mariadb" else "sqlite_db")
    return database


def _put(db: Database, clock: ManualClock, *keys: str, group: str = "") -> list[int]:
    return [
        db.transact(
            lambda session, key=key: enqueue(
                session, topic="test.call", key=key, payload={"n": 1}, now=clock.now(), group=group
            )
        )
        for key in keys
    ]


def _drainer(db: Database, clock: ManualClock, *effects: Recorder, **kinds: Any) -> Drainer:
    return Drainer(db, Registry(effects=effects, **kinds), clock, worker="w1")


def _count(db: Database, model: Any) -> int:
    with db.read() as session:
        return int(session.execute(select(func.count()).select_from(model)).scalar_one())


def test_a_message_is_prepared_called_settled_and_leaves(any_db: Database, clock: ManualClock) -> None:
    effect = Recorder()
    _put(any_db, clock, "a", "b")
    report = _drainer(any_db, clock, effect).round()
    assert effect.calls == ["a", "b"]
    assert report.outcomes == {("test.call", "done"): 2}
    assert _count(any_db, OutboxMessage) == 0
    with any_db.read() as session:
        rows = session.execute(select(FinishedMessage.key, FinishedMessage.detail, FinishedMessage.attempts))
        assert sorted(tuple(row) for row in rows) == [("a", "ok", 1), ("b", "ok", 1)]
        attempts = session.execute(select(Attempt)).scalars().all()
        assert {attempt.outcome for attempt in attempts} == {"done: ok"}
        assert all(attempt.finished_at is not None for attempt in attempts)


def test_no_call_happens_inside_a_transaction(sqlite_db: Database, clock: ManualClock) -> None:
    # On SQLite an open write transaction would make this writer wait for ever.
    effect = Recorder(
        act=lambda request: sqlite_db.transact(lambda session: session.execute(text("SELECT 1")))
    )
    _put(sqlite_db, clock, "a")
    assert _drainer(sqlite_db, clock, effect).round().handled == 1


def test_a_key_is_enqueued_once_for_ever(any_db: Database, clock: ManualClock) -> None:
    first = _put(any_db, clock, "a")
    assert _put(any_db, clock, "a") == first
    effect = Recorder()
    _drainer(any_db, clock, effect).round()
    assert _put(any_db, clock, "a") == first
    _drainer(any_db, clock, effect).round()
    assert effect.calls == ["a"]


def test_what_is_not_due_waits(any_db: Database, clock: ManualClock) -> None:
    effect = Recorder()
    due = clock.now() + timedelta(days=7)
    any_db.transact(
        lambda session: enqueue(session, topic="test.call", key="a", payload={}, now=clock.now(), due_at=due)
    )
    drainer = _drainer(any_db, clock, effect)
    assert drainer.round().handled == 0
    clock.advance(timedelta(days=7))
    assert drainer.round().handled == 1


def test_a_failure_backs_off_and_is_parked_with_its_reason_at_last(
    any_db: Database, clock: ManualClock
) -> None:
    effect = Recorder(outcome=lambda message, result: RetryLater("busy"))
    (message_id,) = _put(any_db, clock, "a")
    drainer = _drainer(any_db, clock, effect)
    rounds = 0
    while not any_db.transact(lambda session: list(parked(session))):
        drainer.round()
        assert drainer.round().handled == 0, "it must not be due at once"
        clock.advance(timedelta(minutes=16))
        rounds += 1
    assert rounds == 20
    with any_db.read() as session:
        (row,) = parked(session)
        assert row.reason == "failed 20 times; last: busy"
        (alert,) = open_alerts(session)
        assert (alert.kind, alert.subject) == ("outbox.parked", str(message_id))
        (depth,) = depths(session)
        assert (depth.topic, depth.state, depth.messages) == ("test.call", "parked", 1)
    effect.outcome = lambda message, result: Done()
    any_db.transact(lambda session: replay(session, message_id=message_id, by="ops", now=clock.now()))
    assert drainer.round().handled == 1
    assert _count(any_db, OutboxMessage) == 0
    with any_db.read() as session:
        assert open_alerts(session) == []


def test_only_parked_messages_are_replayed(any_db: Database, clock: ManualClock) -> None:
    (message_id,) = _put(any_db, clock, "a")
    with pytest.raises(UnknownMessage):
        any_db.transact(lambda session: replay(session, message_id=message_id, by="ops", now=clock.now()))


def test_waiting_for_money_does_not_count_as_failure(any_db: Database, clock: ManualClock) -> None:
    def wait(message: Message) -> Skip:
        return Skip(RetryAt(clock.now() + timedelta(hours=1), "payer is paused", counts=False))

    effect = Recorder(answer=wait)
    _put(any_db, clock, "a", group="payer:1")
    drainer = _drainer(any_db, clock, effect)
    for _ in range(30):
        drainer.round()
        clock.advance(timedelta(hours=1))
    assert effect.calls == []
    drainer.round()
    effect.answer = lambda message: Call(message.key)
    assert drainer.round().handled == 0
    assert (
        any_db.transact(
            lambda session: hasten_group(session, topic="test.call", group="payer:1", now=clock.now())
        )
        == 1
    )
    assert drainer.round().outcomes == {("test.call", "done"): 1}


def test_one_bad_message_costs_itself_only(any_db: Database, clock: ManualClock) -> None:
    def outcome(message: Message, result: object) -> Settlement:
        if message.key == "bad":
            raise KeyError("bug")
        return Done()

    effect = Recorder(outcome=outcome)
    _put(any_db, clock, "a", "bad", "c")
    report = _drainer(any_db, clock, effect).round()
    assert report.outcomes == {("test.call", "done"): 2, ("test.call", "retry"): 1}
    with any_db.read() as session:
        (row,) = session.execute(select(OutboxMessage.key, OutboxMessage.reason)).all()
        assert tuple(row) == ("bad", "KeyError in the handler")


def test_a_raising_call_is_a_failure_of_unknown_outcome(any_db: Database, clock: ManualClock) -> None:
    results: list[object] = []

    def boom(request: str) -> object:
        raise ConnectionError(request)

    def outcome(message: Message, result: object) -> Settlement:
        results.append(result)
        return RetryLater("try again")

    _put(any_db, clock, "a")
    _drainer(any_db, clock, Recorder(act=boom, outcome=outcome)).round()
    assert results == [Failed("ConnectionError while calling", unknown=True)]


def test_a_call_that_overruns_is_given_up(any_db: Database, clock: ManualClock) -> None:
    release = threading.Event()
    effect = Recorder(
        concurrency=2,
        deadline_seconds=0.2,
        act=lambda request: release.wait(5),
        outcome=lambda message, result: RetryLater("late") if isinstance(result, Failed) else Done(),
    )
    _put(any_db, clock, "a")
    drainer = _drainer(any_db, clock, effect)
    started = time.monotonic()
    assert drainer.round().outcomes == {("test.call", "retry"): 1}
    assert time.monotonic() - started < 2
    release.set()
    drainer.close()


def test_a_call_that_never_began_is_withdrawn(any_db: Database, clock: ManualClock) -> None:
    """Its outcome is known: none. Made later after all, it would come after the word about it."""
    release = threading.Event()

    def slow(request: str) -> object:
        return release.wait(5)

    def outcome(message: Message, result: object) -> Settlement:
        assert isinstance(result, Failed)
        return RetryLater("unknown" if result.unknown else "never began")

    blind = Recorder(kind=EffectKind.BLIND, concurrency=2, deadline_seconds=0.2, act=slow, outcome=outcome)
    _put(any_db, clock, "a", "b")
    drainer = _drainer(any_db, clock, blind)
    drainer.round()
    (third,) = _put(any_db, clock, "c")
    assert drainer.deliver("test.call", third).outcomes == {("test.call", "retry"): 1}
    release.set()
    drainer.close()
    assert sorted(blind.calls) == ["a", "b"]
    with any_db.read() as session:
        rows = session.execute(select(OutboxMessage.key, OutboxMessage.reason)).all()
    reasons = {row.key: row.reason for row in rows}
    assert reasons["c"] == "never began"
    assert all(str(reasons[key]).startswith("unknown: ") for key in "ab")


class _Dies(BaseException):
    """Stands in for a process that is gone: nothing catches it."""


def _die_at(name: str) -> Callable[[str], None]:
    def hook(reached: str) -> None:
        if reached == name:
            raise _Dies

    return hook


def _expire_leases(db: Database) -> None:
    past = datetime(2020, 1, 1).astimezone()
    db.transact(lambda session: session.execute(update(OutboxMessage).values(lease_until=past)))


@pytest.mark.parametrize("place", ["preparing", "prepared", "performed", "settling"])
def test_a_crash_between_the_phases_is_noticed(any_db: Database, clock: ManualClock, place: str) -> None:
    effect = Recorder()
    _put(any_db, clock, "a")
    drainer = _drainer(any_db, clock, effect)
    boundaries.install(_die_at(f"test.call.{place}"))
    try:
        with pytest.raises(_Dies):
            drainer.round()
    finally:
        boundaries.install(None)
    if place != "preparing":
        assert drainer.round().handled == 0, "the lease still holds"
        _expire_leases(any_db)
    assert drainer.round().outcomes == {("test.call", "done"): 1}
    assert [message.interrupted for message in effect.seen] == (
        [False, False] if place == "preparing" else [False, True]
    )
    assert _count(any_db, FinishedMessage) == 1


def test_a_blind_effect_is_never_repeated_by_itself(any_db: Database, clock: ManualClock) -> None:
    effect = Recorder(kind=EffectKind.BLIND)
    _put(any_db, clock, "a")
    drainer = _drainer(any_db, clock, effect)
    boundaries.install(_die_at("test.call.performed"))
    try:
        with pytest.raises(_Dies):
            drainer.round()
    finally:
        boundaries.install(None)
    _expire_leases(any_db)
    assert drainer.round().outcomes == {("test.call", "parked"): 1}
    assert effect.calls == ["a"]


def test_a_blind_effect_of_unknown_outcome_is_parked(any_db: Database, clock: ManualClock) -> None:
    def boom(request: str) -> object:
        raise TimeoutError

    effect = Recorder(kind=EffectKind.BLIND, act=boom, outcome=lambda message, result: RetryLater("again"))
    _put(any_db, clock, "a")
    assert _drainer(any_db, clock, effect).round().outcomes == {("test.call", "parked"): 1}


def test_a_worker_that_lost_its_lease_changes_nothing(any_db: Database, clock: ManualClock) -> None:
    slow = Recorder()
    fast = Recorder(outcome=lambda message, result: Done("fast"))
    _put(any_db, clock, "a")

    def overtaken(request: str) -> str:
        _expire_leases(any_db)
        Drainer(any_db, Registry(effects=[fast]), clock, worker="w2").round()
        return request

    slow.act = overtaken
    slow.outcome = lambda message, result: Park("must not happen")
    report = _drainer(any_db, clock, slow).round()
    assert report.handled == 0
    with any_db.read() as session:
        assert session.execute(select(FinishedMessage.detail)).scalar_one() == "fast"
        outcomes = session.execute(select(Attempt.outcome).order_by(Attempt.number)).scalars().all()
    assert outcomes == ["lease lost", "done: fast"]


def test_two_workers_share_without_doubling(clean_db: Database, clock: ManualClock) -> None:
    effect = Recorder(batch_size=7)
    _put(clean_db, clock, *(f"k{number}" for number in range(100)))
    drainers = [Drainer(clean_db, Registry(effects=[effect]), clock, worker=f"w{n}") for n in range(4)]
    threads = [threading.Thread(target=drainer.until_idle) for drainer in drainers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(effect.calls) == sorted(f"k{number}" for number in range(100))
    assert _count(clean_db, FinishedMessage) == 100


@dataclass
class Listener:
    """A fact handler that remembers."""

    name: str
    fact: str = "thing.happened"
    versions: frozenset[int] = frozenset({1})
    heard: list[int] = field(default_factory=list)
    fail_on: int | None = None

    def handle(self, session: Session, facts: Sequence[FactEnvelope], now: datetime) -> None:
        if any(fact.payload["n"] == self.fail_on for fact in facts):
            raise KeyError("bug")
        self.heard += [fact.payload["n"] for fact in facts]


def _publish(db: Database, registry: Registry, clock: ManualClock, number: int, version: int = 1) -> None:
    db.transact(
        lambda session: publish(
            session,
            registry,
            name="thing.happened",
            version=version,
            brand_id=1,
            person_id=None,
            payload={"n": number},
            occurred_at=clock.now(),
            now=clock.now(),
            cause="test",
        )
    )


def test_a_fact_reaches_each_handler_once(any_db: Database, clock: ManualClock) -> None:
    first, second = Listener("first"), Listener("second")
    registry = Registry(fact_handlers=[first, second])
    drainer = Drainer(any_db, registry, clock, worker="w1")
    for number in range(3):
        _publish(any_db, registry, clock, number)
    drainer.until_idle()
    assert first.heard == second.heard == [0, 1, 2]


def test_a_handler_that_fails_holds_up_nobody_else(any_db: Database, clock: ManualClock) -> None:
    bad, good = Listener("bad", fail_on=1), Listener("good")
    registry = Registry(fact_handlers=[bad, good])
    drainer = Drainer(any_db, registry, clock, worker="w1")
    for number in range(3):
        _publish(any_db, registry, clock, number)
    drainer.until_idle()
    assert good.heard == [0, 1, 2]
    assert bad.heard == [0, 2]
    bad.fail_on = None
    clock.advance(timedelta(minutes=1))
    drainer.until_idle()
    assert bad.heard == [0, 2, 1]


def test_an_unknown_version_parks(any_db: Database, clock: ManualClock) -> None:
    listener = Listener("only")
    registry = Registry(fact_handlers=[listener])
    _publish(any_db, registry, clock, 1, version=2)
    report = Drainer(any_db, registry, clock, worker="w1").until_idle()
    assert report.outcomes == {("fact.only", "parked"): 1}
    assert listener.heard == []


@dataclass
class Ear:
    """A callback handler that remembers."""

    source: str = "pay"
    heard: list[str] = field(default_factory=list)

    def handle(self, session: Session, callbacks: Sequence[Callback], now: datetime) -> None:
        self.heard += [callback.body for callback in callbacks]


def test_a_callback_is_recorded_once_and_handled_later(any_db: Database, clock: ManualClock) -> None:
    ear = Ear()

    def come(body: str) -> bool:
        return any_db.transact(
            lambda session: receive(session, source="pay", dedupe_key="n1", body=body, now=clock.now())
        )

    assert [come("first"), come("again"), come("again")] == [True, False, False]
    assert ear.heard == []
    drainer = Drainer(any_db, Registry(callback_handlers=[ear]), clock, worker="w1")
    drainer.until_idle()
    assert ear.heard == ["first"]
    with any_db.read() as session:
        row = session.execute(select(InboxMessage)).scalar_one()
        assert (row.received_times, row.processed_at) == (3, clock.now())
        raw = session.execute(text("SELECT body FROM inbox_messages")).scalar_one()
    assert b"first" not in bytes(raw)


def test_old_attempts_and_callbacks_expire_but_keys_stay(any_db: Database, clock: ManualClock) -> None:
    ear, effect = Ear(), Recorder()
    any_db.transact(
        lambda session: receive(session, source="pay", dedupe_key="n1", body="b", now=clock.now())
    )
    _put(any_db, clock, "a")
    Drainer(any_db, Registry(effects=[effect], callback_handlers=[ear]), clock, worker="w1").until_idle()
    later = datetime.now(clock.now().tzinfo) + timedelta(days=91)
    removed = any_db.transact(lambda session: purge(session, now=later, keep=timedelta(days=90)))
    assert removed == 2
    assert (_count(any_db, Attempt), _count(any_db, InboxMessage)) == (0, 0)
    assert _count(any_db, FinishedMessage) == 2
    assert _count(any_db, Alert) == 0
