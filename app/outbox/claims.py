"""Claiming messages and letting go of them: the only code that touches lease columns.

Leases are measured by the database's clock, since workers' clocks differ; `due_at` by the injected one,
since simulations move it. `attempts` is the fence: whoever finds another number there has lost the
message and may change nothing but its own attempt row.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Integer, Select, bindparam, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert
from app.db.engine import db_now
from app.db.prepared import Prepared
from app.outbox import backoff
from app.outbox.contracts import Done, Message, Park, RetryAt, RetryLater, Settlement
from app.outbox.models import Attempt, FinishedMessage, MessageState, OutboxMessage

_FINISHED = ["id", "topic", "key", "attempts", "enqueued_at", "finished_at", "detail"]
_COLUMNS = (
    OutboxMessage.id,
    OutboxMessage.key,
    OutboxMessage.group_key,
    OutboxMessage.payload,
    OutboxMessage.attempts,
    OutboxMessage.failures,
    OutboxMessage.in_flight,
)


_UNLEASED = select(*_COLUMNS).where(
    OutboxMessage.topic == bindparam("topic"),
    OutboxMessage.state == MessageState.PENDING,
    OutboxMessage.due_at <= bindparam("now"),
    or_(OutboxMessage.lease_until.is_(None), OutboxMessage.lease_until < bindparam("moment")),
)


def _skipping(statement: "Select[Any]") -> Prepared:
    due = statement.order_by(OutboxMessage.due_at).limit(bindparam("limit", type_=Integer))
    return Prepared(due.with_for_update(skip_locked=True))


_DUE = _skipping(_UNLEASED)
_ONLY = _skipping(_UNLEASED.where(OutboxMessage.id == bindparam("only")))


def lock_due(
    session: Session, *, topic: str, limit: int, now: datetime, only: int | None = None
) -> tuple[list[Message], datetime]:
    """Lock up to `limit` due and unleased messages of `topic`, skipping what others hold.

    Returns them as they were before this claim, with the next attempt number, and the database's time.
    """
    moment = db_now(session)
    wanted = {"topic": topic, "now": now, "moment": moment, "limit": limit}
    rows = _DUE.all(session, wanted) if only is None else _ONLY.all(session, {**wanted, "only": only})
    messages = [
        Message(message_id, topic, key, group, payload, attempts + 1, failures, interrupted)
        for message_id, key, group, payload, attempts, failures, interrupted in rows
    ]
    return messages, moment


def lease(
    session: Session, messages: Sequence[Message], *, worker: str, until: datetime, started_at: datetime
) -> None:
    """Lease locked messages to `worker` and write one attempt row each."""
    ids = [message.id for message in messages]
    _LEASE.write_later(session, {"ids": ids, "worker": worker, "until": until}, rows=len(ids), lost=_gone)
    _BEGIN.write_later(
        session, {"ids": ids, "worker": worker, "started_at": started_at}, rows=len(ids), lost=_gone
    )


_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_LEASE = Prepared(
    update(OutboxMessage)
    .where(OutboxMessage.id.in_(_IDS))
    .values(
        attempts=OutboxMessage.attempts + 1,
        in_flight=True,
        lease_owner=bindparam("worker"),
        lease_until=bindparam("until"),
    )
)
# Copied inside the database: a batch of 500 costs one statement, not 2,000 parameters.
_BEGIN = Prepared(
    insert(Attempt).from_select(
        ["message_id", "number", "worker", "started_at"],
        select(
            OutboxMessage.id,
            OutboxMessage.attempts,
            bindparam("worker", type_=Attempt.worker.type),
            bindparam("started_at", type_=Attempt.started_at.type),
        ).where(OutboxMessage.id.in_(_IDS)),
    )
)


def _gone() -> AssertionError:
    return AssertionError("messages that are locked have gone or were begun before")


def still_ours(session: Session, messages: Sequence[Message]) -> set[int]:
    """Lock the messages and return the ids of those that nobody has claimed since."""
    expected = {message.id: message.attempt for message in messages}
    rows = _HOLD.all(session, {"ids": list(expected)})
    return {message_id for message_id, attempts in rows if attempts == expected[message_id]}


_HOLD = Prepared(
    select(OutboxMessage.id, OutboxMessage.attempts)
    .where(OutboxMessage.id.in_(_IDS))
    .order_by(OutboxMessage.id)
    .with_for_update()
)


def report(session: Session, outcomes: Sequence[tuple[Message, str]], *, at: datetime) -> None:
    """Write what came of the attempts; always allowed, also for a worker that lost its lease."""
    by_outcome: dict[tuple[str, int], list[int]] = {}
    for message, outcome in outcomes:
        by_outcome.setdefault((outcome[:200], message.attempt), []).append(message.id)
    for (outcome, number), ids in by_outcome.items():
        reported = {"ids": ids, "number": number, "at": at, "outcome": outcome}
        _REPORT.write_later(session, reported, rows=None, lost=_gone)


_REPORT = Prepared(
    update(Attempt)
    .where(Attempt.message_id.in_(_IDS), Attempt.number == bindparam("number"))
    .values(finished_at=bindparam("at"), outcome=bindparam("outcome"))
)


def let_go(
    session: Session, settled: Sequence[tuple[Message, Settlement]], *, counted: bool, now: datetime
) -> None:
    """Finish, reschedule or park messages that this transaction holds.

    `counted` tells whether the attempt number of the messages has been written by `lease` (effects) or
    not (facts and callbacks, which are handled in the transaction that locked them).
    """
    done: dict[str, list[int]] = {}
    for message, result in settled:
        if isinstance(result, Done):
            done.setdefault(result.detail[:500], []).append(message.id)
    for detail, ids in done.items():
        finished = {"ids": ids, "more": 0 if counted else 1, "now": now, "detail": detail or None}
        _FINISH.write_later(session, finished, rows=len(ids), lost=_gone)
        _DELETE.write_later(session, {"ids": ids}, rows=len(ids), lost=_gone)
    for message, result in settled:
        if not isinstance(result, Done):
            _keep(session, message, _final(message, result, now), counted=counted, now=now)


_FINISH = Prepared(
    insert(FinishedMessage).from_select(
        _FINISHED,
        select(
            OutboxMessage.id,
            OutboxMessage.topic,
            OutboxMessage.key,
            OutboxMessage.attempts + bindparam("more", type_=Integer),
            OutboxMessage.enqueued_at,
            bindparam("now", type_=FinishedMessage.finished_at.type),
            bindparam("detail", type_=FinishedMessage.detail.type),
        ).where(OutboxMessage.id.in_(_IDS)),
    )
)
_DELETE = Prepared(delete(OutboxMessage).where(OutboxMessage.id.in_(_IDS)))


def _final(message: Message, result: Settlement, now: datetime) -> Settlement:
    failures = message.failures + 1
    if isinstance(result, RetryLater):
        result = RetryAt(now + backoff.delay(failures), result.reason)
    if isinstance(result, RetryAt) and result.counts and failures >= backoff.PARK_AFTER_FAILURES:
        return Park(f"failed {failures} times; last: {result.reason}")
    return result


_KEEP = (
    update(OutboxMessage)
    .where(OutboxMessage.id == bindparam("message"))
    .values(
        state=bindparam("new_state"),
        due_at=bindparam("new_due_at"),
        failures=OutboxMessage.failures + bindparam("more_failures"),
        attempts=OutboxMessage.attempts + bindparam("more_attempts"),
        in_flight=bindparam("new_in_flight"),
        lease_owner=None,
        lease_until=None,
        reason=bindparam("new_reason"),
    )
)


def _keep(session: Session, message: Message, result: Settlement, *, counted: bool, now: datetime) -> None:
    parked = isinstance(result, Park)
    retry = result if isinstance(result, RetryAt) else None
    reason = result.reason if isinstance(result, Park | RetryAt) else ""
    session.connection().execute(
        _KEEP,
        {
            "message": message.id,
            "new_state": MessageState.PARKED if parked else MessageState.PENDING,
            "new_due_at": retry.at if retry else now,
            "more_failures": 1 if retry is None or retry.counts else 0,
            "more_attempts": 0 if counted else 1,
            "new_in_flight": False,
            "new_reason": reason[:500],
        },
    )
    if parked:
        raise_alert(
            session,
            kind="outbox.parked",
            subject=str(message.id),
            severity=Severity.CRITICAL,
            detail=f"{message.topic} stopped: {reason}. Mend the cause, then `saoma outbox replay`.",
            now=now,
        )


def lease_end(moment: datetime, seconds: float) -> datetime:
    """Return when a lease taken at database time `moment` ends."""
    return moment + timedelta(seconds=seconds)
