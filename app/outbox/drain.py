"""The drain loop: claim, prepare, commit · call · settle, commit.

A batch is the unit. When preparing or settling a batch fails, each message is tried alone in a savepoint,
so that one bad message costs itself only. Facts and callbacks need no call and no lease: they are handled
in the very transaction that locked them.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from app.db.engine import Database, db_now
from app.db.prepared import Prepared, savepoint
from app.kernel.boundaries import reach
from app.kernel.clock import Clock
from app.outbox import claims
from app.outbox.contracts import (
    Call,
    Callback,
    CallbackHandler,
    Done,
    Effect,
    EffectKind,
    FactEnvelope,
    FactHandler,
    Failed,
    Message,
    Park,
    RetryLater,
    Settlement,
    Skip,
)
from app.outbox.models import Fact, InboxMessage
from app.outbox.registry import Registry

log = logging.getLogger("saoma.outbox")

# The lease outlives the deadline of the calls by this much, so that settling is normally inside it.
LEASE_MARGIN_SECONDS = 30.0
_LOCAL_BATCH = 100


@dataclass(slots=True)
class DrainReport:
    """What one round did: settlements by topic and kind of outcome."""

    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def handled(self) -> int:
        """How many messages were settled in any way."""
        return sum(self.outcomes.values())

    def add(self, topic: str, settlement: Settlement) -> None:
        """Count one settlement."""
        name = {Done: "done", Park: "parked"}.get(type(settlement), "retry")
        self.outcomes[topic, name] = self.outcomes.get((topic, name), 0) + 1


class Drainer:
    """Drains the outbox for one worker; any number of them may run, on any number of machines."""

    def __init__(self, db: Database, registry: Registry, clock: Clock, *, worker: str) -> None:
        self._db = db
        self._registry = registry
        self._clock = clock
        self._worker = worker[:64]
        threads = max([effect.concurrency for effect in registry.effects.values()], default=1)
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="saoma-call")

    def close(self) -> None:
        """Wait for the calls in flight, then end the threads."""
        self._pool.shutdown(wait=True)

    def round(self, topics: Sequence[str] | None = None) -> DrainReport:
        """Handle at most one batch of every topic; a flood on one does not starve the others."""
        report = DrainReport()
        for topic in topics or self._registry.topics:
            self._one_batch(topic, report, None)
        return report

    def until_idle(self, *, seconds: float = 60.0, stop: Callable[[], bool] = lambda: False) -> DrainReport:
        """Run rounds until nothing is due, `stop` says so, or `seconds` have passed."""
        total = DrainReport()
        end = monotonic() + seconds
        while monotonic() < end and not stop():
            report = self.round()
            for key, number in report.outcomes.items():
                total.outcomes[key] = total.outcomes.get(key, 0) + number
            if not report.handled:
                break
        return total

    def deliver(self, topic: str, message_id: int) -> DrainReport:
        """Handle one message now, if it is due and nobody has it: for the edge that enqueued it."""
        report = DrainReport()
        self._one_batch(topic, report, message_id)
        return report

    def _one_batch(self, topic: str, report: DrainReport, only: int | None) -> None:
        effect = self._registry.effects.get(topic)
        if effect is not None:
            _EffectBatch(self._db, self._clock, self._worker, self._pool, effect, report, only).run()
            return
        act: Callable[[Session, Sequence[Message]], None]
        if topic in self._registry.fact_handlers:
            act = _fact_action(self._registry.fact_handlers[topic], self._clock)
        else:
            act = _callback_action(self._registry.callback_handlers[topic], self._clock)
        self._local_batch(topic, act, report)

    def _local_batch(
        self, topic: str, act: Callable[[Session, Sequence[Message]], None], report: DrainReport
    ) -> None:
        def work(session: Session) -> list[tuple[Message, Settlement]]:
            now = self._clock.now()
            messages, _ = claims.lock_due(session, topic=topic, limit=_LOCAL_BATCH, now=now)
            if not messages:
                return []

            def handle(batch: Sequence[Message]) -> list[Settlement]:
                act(session, batch)
                return [Done()] * len(batch)

            settled = _each_alone_if_needed(session, messages, handle)
            claims.let_go(session, settled, counted=False, now=now)
            reach(f"{topic}.before-commit")
            return settled

        for _message, settlement in self._db.transact(work):
            report.add(topic, settlement)
        reach(f"{topic}.after-commit")


@dataclass(slots=True)
class _EffectBatch:
    """One batch of one effect on its way through the three phases."""

    _db: Database
    _clock: Clock
    _worker: str
    _pool: ThreadPoolExecutor
    _effect: Effect
    _report: DrainReport
    _only: int | None

    def run(self) -> None:
        topic = self._effect.topic
        calls = self._db.transact(self._claim_and_prepare)
        if not calls:
            return
        reach(f"{topic}.prepared")
        results = self._perform(calls)
        reach(f"{topic}.performed")
        for settlement in self._db.transact(lambda session: self._settle(session, results)):
            self._report.add(topic, settlement)
        reach(f"{topic}.settled")

    def _claim_and_prepare(self, session: Session) -> list[tuple[Message, Call]]:
        effect, now = self._effect, self._clock.now()
        messages, moment = claims.lock_due(
            session, topic=effect.topic, limit=effect.batch_size, now=now, only=self._only
        )
        if not messages:
            return []
        waves = -(-len(messages) // effect.concurrency)
        until = claims.lease_end(moment, effect.deadline_seconds * waves + LEASE_MARGIN_SECONDS)
        claims.lease(session, messages, worker=self._worker, until=until, started_at=moment)
        ready: list[Message] = []
        settled: list[tuple[Message, Settlement]] = []
        for message in messages:
            if effect.kind is EffectKind.BLIND and message.interrupted:
                settled.append((message, Park("unknown: the worker died in mid-call; it may have been sent")))
            else:
                ready.append(message)
        calls: list[tuple[Message, Call]] = []
        answers = _each_alone_if_needed(
            session, ready, lambda batch: list(effect.prepare(session, batch, now))
        )
        for message, answer in answers:
            if isinstance(answer, Call):
                calls.append((message, answer))
            else:
                settled.append((message, answer.settlement if isinstance(answer, Skip) else answer))
        if settled:
            claims.report(session, [(message, _say(what)) for message, what in settled], at=moment)
            claims.let_go(session, settled, counted=True, now=now)
            for _message, settlement in settled:
                self._report.add(effect.topic, settlement)
        reach(f"{effect.topic}.preparing")
        return calls

    def _perform(self, calls: Sequence[tuple[Message, Call]]) -> list[tuple[Message, object]]:
        effect = self._effect
        if effect.concurrency == 1:
            return [(message, self._call(call.request)) for message, call in calls]
        futures: list[tuple[Message, Future[object]]] = [
            (message, self._pool.submit(self._call, call.request)) for message, call in calls
        ]
        # Every wave of calls may take one deadline; a call that overruns even that is left to itself and
        # its message counts as interrupted.
        end = monotonic() + effect.deadline_seconds * -(-len(calls) // effect.concurrency)
        results: list[tuple[Message, object]] = []
        for message, future in futures:
            try:
                results.append((message, future.result(timeout=max(0.0, end - monotonic()))))
            except FutureTimeout:
                results.append((message, _given_up(future)))
        return results

    def _call(self, request: object) -> object:
        reach(f"{self._effect.topic}.calling")
        return _guarded(self._effect.perform, request)

    def _settle(self, session: Session, results: Sequence[tuple[Message, object]]) -> list[Settlement]:
        effect, now = self._effect, self._clock.now()
        held = claims.still_ours(session, [message for message, _ in results])
        mine = [(message, result) for message, result in results if message.id in held]
        by_id = {message.id: result for message, result in mine}

        def settle(batch: Sequence[Message]) -> list[Settlement]:
            return list(effect.settle(session, [(message, by_id[message.id]) for message in batch], now))

        settled = _each_alone_if_needed(session, [message for message, _ in mine], settle)
        final = [(message, self._blind(by_id[message.id], settlement)) for message, settlement in settled]
        lost = [(message, "lease lost") for message, _ in results if message.id not in held]
        moment = db_now(session)
        claims.report(session, [*((message, _say(what)) for message, what in final), *lost], at=moment)
        claims.let_go(session, final, counted=True, now=now)
        if lost:
            reach(f"{effect.topic}.lost")
        reach(f"{effect.topic}.settling")
        return [settlement for _, settlement in final]

    def _blind(self, result: object, settlement: Settlement) -> Settlement:
        # A blind call whose outcome nobody knows is never repeated by itself, whatever its handler says.
        unknown = isinstance(result, Failed) and result.unknown
        if self._effect.kind is EffectKind.BLIND and unknown and not isinstance(settlement, Done | Park):
            return Park("unknown: the call did not report back; it may have been sent")
        return settlement


def _given_up(future: Future[object]) -> Failed:
    # All batches of the process share its threads. A call that still waits for one is withdrawn: it has
    # done nothing, and must not be made later, when its message says something else.
    if future.cancel():
        return Failed("no thread was free for the call", unknown=False)
    return Failed("the call overran its deadline", unknown=True)


def _guarded(perform: Callable[[Any], object], request: object) -> object:
    try:
        return perform(request)
    except Exception as error:  # a handler's bug must not take the batch down
        log.exception("outbox.call_failed")
        return Failed(f"{type(error).__name__} while calling", unknown=True)


def _each_alone_if_needed(
    session: Session, messages: Sequence[Message], act: Callable[[Sequence[Message]], list[Any]]
) -> list[tuple[Message, Any]]:
    if not messages:
        return []
    try:
        with savepoint(session):
            return list(zip(messages, act(messages), strict=True))
    except Exception as error:
        if Database.replayable(error):
            # A deadlock has undone the transaction, savepoints and all: only the edge can start anew.
            raise
        log.warning("outbox.batch_failed", exc_info=True)
    answers: list[tuple[Message, Any]] = []
    for message in messages:
        try:
            with savepoint(session):
                answers.append((message, act([message])[0]))
        except UnknownVersion as error:
            answers.append((message, Park(str(error))))
        except Exception as error:
            if Database.replayable(error):
                raise
            log.exception("outbox.message_failed")
            answers.append((message, RetryLater(f"{type(error).__name__} in the handler")))
    return answers


def _say(settlement: object) -> str:
    reason = getattr(settlement, "reason", "") or getattr(settlement, "detail", "")
    return f"{type(settlement).__name__.lower()}: {reason}" if reason else type(settlement).__name__.lower()


_FACTS = Prepared(
    select(
        Fact.id,
        Fact.name,
        Fact.version,
        Fact.brand_id,
        Fact.person_id,
        Fact.payload,
        Fact.occurred_at,
        Fact.cause,
    )
    .where(Fact.id.in_(bindparam("facts", expanding=True)))
    .order_by(Fact.id)
)
_CALLBACKS = Prepared(
    select(InboxMessage.id, InboxMessage.source, InboxMessage.body)
    .where(InboxMessage.id.in_(bindparam("callbacks", expanding=True)))
    .order_by(InboxMessage.id)
)
_PROCESSED = Prepared(
    update(InboxMessage)
    .where(InboxMessage.id.in_(bindparam("callbacks", expanding=True)))
    .values(processed_at=bindparam("now"))
)


def _fact_action(handler: FactHandler, clock: Clock) -> Callable[[Session, Sequence[Message]], None]:
    def act(session: Session, messages: Sequence[Message]) -> None:
        ids = [message.payload["fact"] for message in messages]
        facts = [FactEnvelope(*row) for row in _FACTS.all(session, {"facts": ids})]
        unknown = [fact for fact in facts if fact.version not in handler.versions]
        if unknown:
            raise UnknownVersion(f"version {unknown[0].version} of {handler.fact} is not known here")
        handler.handle(session, facts, clock.now())

    return act


class UnknownVersion(Exception):
    """A fact of a version that this release does not understand."""


def _callback_action(handler: CallbackHandler, clock: Clock) -> Callable[[Session, Sequence[Message]], None]:
    def act(session: Session, messages: Sequence[Message]) -> None:
        now = clock.now()
        ids = [message.payload["inbox"] for message in messages]
        callbacks = [Callback(*row) for row in _CALLBACKS.all(session, {"callbacks": ids})]
        handler.handle(session, callbacks, now)
        _PROCESSED.write_later(session, {"callbacks": ids, "now": now}, rows=None, lost=_never_refused)

    return act


def _never_refused() -> AssertionError:
    return AssertionError("a time may be written in any row")
