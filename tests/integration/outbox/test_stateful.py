"""The outbox against a plain model: claims, lost leases, retries, parking, replays, death anywhere.

The model keeps for each message what the tables must say and how often its call must have been made. At the
end every obstacle is cleared, and each message must be finished: nothing is lost.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Alert, Severity
from app.alerts.operations import raise_alert
from app.db.engine import Database
from app.kernel import boundaries
from app.kernel.clock import ManualClock
from app.outbox import backoff
from app.outbox.contracts import (
    Call,
    Callback,
    Done,
    EffectKind,
    Failed,
    Message,
    Park,
    RetryAt,
    RetryLater,
    Settlement,
    Skip,
)
from app.outbox.drain import Drainer
from app.outbox.models import Attempt, FinishedMessage, MessageState, OutboxMessage
from app.outbox.operations import enqueue, hasten_group, receive, replay
from app.outbox.registry import Registry

SAFE, BLIND = "test.safe", "test.blind"
PAUSE = timedelta(minutes=5)
PLANS = [
    "done",
    "retry",
    "retry uncounted",
    "back off",
    "park",
    "skip",
    "skip retry",
    "prepare raises",
    "perform raises",
    "settle raises",
]
BOUNDARIES = ["preparing", "prepared", "performed", "settling", "settled"]
keys = st.integers(0, 7)
topics = st.sampled_from([SAFE, BLIND])
deaths = st.none() | st.sampled_from(BOUNDARIES)


class Killed(BaseException):
    """Stands for SIGKILL: no handler may catch it."""


class Tool:
    """An effect that does what the plan for each key says."""

    batch_size: int = 50
    concurrency: int = 1
    deadline_seconds: float = 5.0

    def __init__(self, topic: str, kind: EffectKind, clock: ManualClock) -> None:
        self.topic = topic
        self.kind = kind
        self.clock = clock
        self.plans: dict[str, str] = {}
        self.calls: Counter[str] = Counter()
        self.meanwhile: Callable[[], None] | None = None

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        return [self._prepare(message, now) for message in messages]

    def _prepare(self, message: Message, now: datetime) -> Call | Skip:
        match self.plans.get(message.key):
            case "prepare raises":
                raise ValueError("a bug in prepare")
            case "skip":
                return Skip(Done("not needed"))
            case "skip retry":
                return Skip(RetryAt(now + PAUSE, "not yet", counts=False))
        return Call(message.key)

    def perform(self, request: str) -> str:
        self.calls[request] += 1
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        if self.plans.get(request) == "perform raises":
            raise ValueError("a bug in perform")
        return request

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> list[Settlement]:
        return [self._settle(message, result, now) for message, result in results]

    def _settle(self, message: Message, result: object, now: datetime) -> Settlement:
        if isinstance(result, Failed):
            return RetryLater(result.reason)
        match self.plans.get(message.key):
            case "settle raises":
                raise ValueError("a bug in settle")
            case "retry":
                return RetryAt(now + PAUSE, "again")
            case "retry uncounted":
                return RetryAt(now + PAUSE, "again", counts=False)
            case "back off":
                return RetryLater("busy")
            case "park":
                return Park("somebody must look")
        return Done("done")


class Reader:
    """A callback handler that leaves one counted trace per callback, and chokes on some."""

    source: str = "test"

    def __init__(self) -> None:
        self.chokes_on: set[str] = set()

    def handle(self, session: Session, callbacks: Sequence[Callback], now: datetime) -> None:
        for callback in callbacks:
            raise_alert(
                session,
                kind="read",
                subject=callback.body,
                severity=Severity.NOTICE,
                detail="read",
                now=now,
            )
            if callback.body in self.chokes_on:
                raise ValueError("it chokes")


@dataclass
class Expected:
    """One message as the model has it."""

    id: int
    key: str
    topic: str
    due_at: datetime
    state: str = "pending"
    attempts: int = 0
    failures: int = 0
    in_flight: bool = False
    leased: bool = False
    calls: int = 0


class Outbox(RuleBasedStateMachine):
    """Two effects, two workers, and a callback handler."""

    def __init__(self, template: Path, folder: Path) -> None:
        super().__init__()
        path = folder / "machine.db"
        for rest in ("", "-wal", "-shm"):
            Path(f"{path}{rest}").unlink(missing_ok=True)
        shutil.copyfile(template, path)
        self.db = Database(f"sqlite:///{path}")
        # Nobody pulls the plug in the middle of an example.
        event.listen(self.db.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
        self.clock = ManualClock(datetime(2026, 6, 1, tzinfo=UTC))
        self.tools = {
            SAFE: Tool(SAFE, EffectKind.IDEMPOTENT, self.clock),
            BLIND: Tool(BLIND, EffectKind.BLIND, self.clock),
        }
        self.reader = Reader()
        registry = Registry(effects=self.tools.values(), callback_handlers=[self.reader])
        self.worker, self.thief = (
            Drainer(self.db, registry, self.clock, worker=name) for name in ("worker", "thief")
        )
        self.messages: dict[tuple[str, str], Expected] = {}
        self.callbacks: set[str] = set()
        self.read: set[str] = set()

    def teardown(self) -> None:
        """Clear every obstacle: each message must be finished then."""
        boundaries.install(None)
        for tool in self.tools.values():
            tool.plans.clear()
        self.reader.chokes_on.clear()
        for _ in range(2):
            self.leases_end()
            for message in self.messages.values():
                if message.state == "parked":
                    self._replay(message)
            self.time_passes(60)
            for topic in self.tools:
                self.drain(topic, None)
        self.drain_callbacks(None)
        self.tables_say_what_the_model_says()
        assert {message.state for message in self.messages.values()} <= {"finished"}
        assert self.read == self.callbacks
        self.worker.close()
        self.thief.close()
        self.db.dispose()

    # What happens

    @initialize(plans=st.lists(st.sampled_from(PLANS), min_size=4, max_size=8), dies_at=deaths)
    def begin_with_work(self, plans: list[str], dies_at: str | None) -> None:
        for topic in (SAFE, BLIND):
            for key, plan in enumerate(plans):
                self.enqueue(topic, key)
                self.plan(topic, key, plan)
            self.drain(topic, dies_at)

    @rule(topic=topics, key=keys)
    def enqueue(self, topic: str, key: int) -> None:
        name = f"k{key}"
        message_id = self.db.transact(
            lambda session: enqueue(
                session, topic=topic, key=name, payload={}, now=self.clock.now(), group=f"g{key % 2}"
            )
        )
        known = self.messages.setdefault((topic, name), Expected(message_id, name, topic, self.clock.now()))
        assert known.id == message_id, "a key is enqueued once, for ever"

    @rule(topic=topics, key=keys, plan=st.sampled_from(PLANS))
    def plan(self, topic: str, key: int, plan: str) -> None:
        self.tools[topic].plans[f"k{key}"] = plan

    @rule(topic=topics, dies_at=deaths)
    def drain(self, topic: str, dies_at: str | None) -> None:
        with dying(f"{topic}.{dies_at}"):
            self.worker.round([topic])
        self._model_drain(topic, dies_at)

    @rule(topic=topics, plan=st.sampled_from(PLANS))
    def a_slow_worker_loses_its_lease(self, topic: str, plan: str) -> None:
        """While the first call lasts, the leases end and another worker takes everything over."""
        tool, mine = self.tools[topic], self._due(topic)
        called = [m for m in mine if not self._parks_unread(m) and not self._skips(m)]

        def meanwhile() -> None:
            self.leases_end()
            for message in called:
                tool.plans[message.key] = plan
            self.thief.round([topic])

        before = dict(tool.plans)
        tool.meanwhile = meanwhile
        self.worker.round([topic])
        tool.meanwhile, tool.plans = None, before
        # What the slow one did before its first call stands; of what followed, only the calls.
        self._model_claim(topic, mine, None)
        if called:
            for message in called:
                message.calls += 1
            self._model_leases_end()
            for message in called:
                tool.plans[message.key] = plan
            self._model_drain(topic, None)

    @rule()
    def leases_end(self) -> None:
        """Leases run on the database's time, which a test cannot move."""
        past = datetime(2020, 1, 1, tzinfo=UTC)
        self.db.transact(
            lambda session: session.execute(
                update(OutboxMessage).where(OutboxMessage.lease_until.is_not(None)).values(lease_until=past)
            )
        )
        self._model_leases_end()

    @rule(minutes=st.sampled_from([0, 1, 5, 60]))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(timedelta(minutes=minutes))

    @rule(topic=topics, group=st.integers(0, 1))
    def hasten(self, topic: str, group: int) -> None:
        now = self.clock.now()
        hastened = self.db.transact(
            lambda session: hasten_group(session, topic=topic, group=f"g{group}", now=now)
        )
        waiting = [
            message
            for message in self.messages.values()
            if (message.topic, message.state) == (topic, "pending")
            and int(message.key[1:]) % 2 == group
            and message.due_at > now
        ]
        assert hastened == len(waiting)
        for message in waiting:
            message.due_at = now

    @precondition(lambda self: any(m.state == "parked" for m in self.messages.values()))
    @rule(which=st.integers(0, 99))
    def replay(self, which: int) -> None:
        parked = [message for message in self.messages.values() if message.state == "parked"]
        self._replay(parked[which % len(parked)])

    @rule(key=keys, chokes=st.booleans())
    def a_callback_comes(self, key: int, chokes: bool) -> None:
        name = f"c{key}"
        new = self.db.transact(
            lambda session: receive(session, source="test", dedupe_key=name, body=name, now=self.clock.now())
        )
        assert new is (name not in self.callbacks)
        self.callbacks.add(name)
        if chokes and name not in self.read:
            self.reader.chokes_on.add(name)

    @rule(dies_at=st.none() | st.sampled_from(["before-commit", "after-commit"]))
    def drain_callbacks(self, dies_at: str | None) -> None:
        self.clock.advance(timedelta(hours=1))  # those that failed are due again
        with dying(f"inbox.test.{dies_at}"):
            self.worker.round(["inbox.test"])
        if dies_at != "before-commit":
            self.read |= self.callbacks - self.reader.chokes_on

    # What must hold

    @invariant()
    def tables_say_what_the_model_says(self) -> None:
        with self.db.read() as session:
            rows = session.scalars(select(OutboxMessage)).all()
            hot = {row.id: row for row in rows if row.topic in self.tools}
            finished = {row.id: row.attempts for row in session.scalars(select(FinishedMessage))}
            alerted = session.scalars(
                select(Alert.subject).where(Alert.kind == "outbox.parked", Alert.resolved_at.is_(None))
            ).all()
            counted = select(Attempt.message_id, func.count()).group_by(Attempt.message_id)
            attempts = dict(session.execute(counted).all())
            for message in self.messages.values():
                if message.state == "finished":
                    assert finished[message.id] == message.attempts
                    assert message.id not in hot
                else:
                    assert message.id not in finished
                    self._matches(message, hot.pop(message.id))
                assert attempts.get(message.id, 0) == message.attempts
            assert hot == {}
        assert sorted(alerted) == sorted(str(m.id) for m in self.messages.values() if m.state == "parked")

    @invariant()
    def calls_are_those_of_the_model(self) -> None:
        for topic, tool in self.tools.items():
            mine = {m.key: m.calls for m in self.messages.values() if m.topic == topic and m.calls}
            assert dict(tool.calls) == mine

    @invariant()
    def each_callback_is_read_once(self) -> None:
        with self.db.read() as session:
            traces = session.execute(select(Alert.subject, Alert.times).where(Alert.kind == "read"))
            assert dict(traces.all()) == dict.fromkeys(self.read, 1)

    # The model

    @staticmethod
    def _matches(message: Expected, row: OutboxMessage) -> None:
        assert row.state == (MessageState.PARKED if message.state == "parked" else MessageState.PENDING)
        assert (row.attempts, row.failures) == (message.attempts, message.failures)
        assert (row.in_flight, row.lease_owner is not None) == (message.in_flight, message.in_flight)
        assert row.due_at == message.due_at

    def _due(self, topic: str) -> list[Expected]:
        now = self.clock.now()
        return [
            message
            for message in self.messages.values()
            if (message.topic, message.state) == (topic, "pending")
            and message.due_at <= now
            and not message.leased
        ]

    def _model_leases_end(self) -> None:
        for message in self.messages.values():
            message.leased = False

    def _parks_unread(self, message: Expected) -> bool:
        return message.topic == BLIND and message.in_flight

    def _skips(self, message: Expected) -> bool:
        return self._plan_of(message) in {"skip", "skip retry", "prepare raises"}

    def _plan_of(self, message: Expected) -> str:
        return self.tools[message.topic].plans.get(message.key, "done")

    def _model_claim(self, topic: str, due: Sequence[Expected], dies_at: str | None) -> list[Expected]:
        """The first transaction; returns those that are called next."""
        if dies_at == "preparing":
            return []
        called = []
        for message in due:
            message.attempts += 1
            if self._parks_unread(message):
                self._park(message)
            elif self._skips(message):
                self._let_go(message, self._plan_of(message))
            else:
                message.in_flight = message.leased = True
                called.append(message)
        return called

    def _model_drain(self, topic: str, dies_at: str | None) -> None:
        called = self._model_claim(topic, self._due(topic), dies_at)
        if dies_at == "prepared":
            return
        for message in called:
            message.calls += 1
        if dies_at in {"performed", "settling"}:
            return
        for message in called:
            plan = self._plan_of(message)
            if plan == "perform raises" and topic == BLIND:
                self._park(message)
            else:
                self._let_go(message, plan)

    def _let_go(self, message: Expected, plan: str) -> None:
        message.in_flight = message.leased = False
        if plan in {"done", "skip"}:
            message.state = "finished"
        elif plan == "park":
            self._park(message)
        elif plan in {"retry uncounted", "skip retry"}:
            message.due_at = self.clock.now() + PAUSE
        elif message.failures + 1 >= backoff.PARK_AFTER_FAILURES:
            self._park(message)
        else:
            message.failures += 1
            message.due_at = self.clock.now() + PAUSE if plan == "retry" else self._backed_off(message)

    def _backed_off(self, message: Expected) -> datetime:
        """The pause is partly random: take the table's word if it is within the bounds."""
        with self.db.read() as session:
            due_at = session.scalars(select(OutboxMessage.due_at).where(OutboxMessage.id == message.id)).one()
        shortest = backoff.delay(message.failures, chance=0)
        assert self.clock.now() + shortest <= due_at <= self.clock.now() + shortest * 2
        return due_at

    def _park(self, message: Expected) -> None:
        message.state, message.due_at = "parked", self.clock.now()
        message.failures += 1
        message.in_flight = message.leased = False

    def _replay(self, message: Expected) -> None:
        now = self.clock.now()
        self.db.transact(lambda session: replay(session, message_id=message.id, by="olga", now=now))
        message.state, message.due_at, message.failures = "pending", now, 0


@contextmanager
def dying(boundary: str) -> Iterator[None]:
    """Let the worker die when it reaches `boundary`, if it does."""

    def hook(name: str) -> None:
        if name == boundary:
            raise Killed

    boundaries.install(hook)
    try:
        yield
    except Killed:
        pass
    finally:
        boundaries.install(None)


def test_the_outbox_against_a_plain_model(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="saoma.outbox")  # its handlers fail on purpose
    template = Path(sqlite_url.removeprefix("sqlite:///"))
    run_state_machine_as_test(
        lambda: Outbox(template, tmp_path),
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            # The steps can be read as they are; shrinking them takes minutes.
            phases=[Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
