"""Claiming messages and letting go of them: the only code that touches lease columns.

Leases are measured by the database's clock, since workers' clocks differ; `due_at` by the injected one,
since simulations move it. `attempts` is the fence: whoever finds another number there has lost the
message and may change nothing but its own attempt row.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import String, bindparam, delete, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert
from app.db.base import UtcDateTime
from app.db.engine import db_now
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


def lock_due(
    session: Session, *, topic: str, limit: int, now: datetime, only: int | None = None
) -> tuple[list[Message], datetime]:
    """Lock up to `limit` due and unleased messages of `topic`, skipping what others hold.

    Returns them as they were before this claim, with the next attempt number, and the database's time.
    """
    moment = db_now(session)
    wanted = (
        select(*_COLUMNS)
        .where(
            OutboxMessage.topic == topic,
            OutboxMessage.state == MessageState.PENDING,
            OutboxMessage.due_at <= now,
            or_(OutboxMessage.lease_until.is_(None), OutboxMessage.lease_until < moment),
        )
        .order_by(OutboxMessage.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if only is not None:
        wanted = wanted.where(OutboxMessage.id == only)
    rows = session.connection().execute(wanted).all()
    messages = [
        Message(message_id, topic, key, group, payload, attempts + 1, failures, interrupted)
        for message_id, key, group, payload, attempts, failures, interrupted in rows
    ]
    return messages, moment


def lease(
    session: Session, messages: Sequence[Message], *, worker: str, until: datetime, started_at: datetime
) -> None:
    """Lease locked messages to `worker` and write one attempt row each."""
    connection = session.connection()
    ids = [message.id for message in messages]
    connection.execute(
        update(OutboxMessage)
        .where(OutboxMessage.id.in_(ids))
        .values(attempts=OutboxMessage.attempts + 1, in_flight=True, lease_owner=worker, lease_until=until)
    )
    # Copied inside the database: a batch of 500 costs one statement, not 2,000 parameters.
    begun = select(
        OutboxMessage.id, OutboxMessage.attempts, literal(worker), literal(started_at, UtcDateTime())
    ).where(OutboxMessage.id.in_(ids))
    connection.execute(insert(Attempt).from_select(["message_id", "number", "worker", "started_at"], begun))


def still_ours(session: Session, messages: Sequence[Message]) -> set[int]:
    """Lock the messages and return the ids of those that nobody has claimed since."""
    expected = {message.id: message.attempt for message in messages}
    held = (
        select(OutboxMessage.id, OutboxMessage.attempts)
        .where(OutboxMessage.id.in_(list(expected)))
        .order_by(OutboxMessage.id)
        .with_for_update()
    )
    rows = session.connection().execute(held).all()
    return {message_id for message_id, attempts in rows if attempts == expected[message_id]}


def report(session: Session, outcomes: Sequence[tuple[Message, str]], *, at: datetime) -> None:
    """Write what came of the attempts; always allowed, also for a worker that lost its lease."""
    by_outcome: dict[tuple[str, int], list[int]] = {}
    for message, outcome in outcomes:
        by_outcome.setdefault((outcome[:200], message.attempt), []).append(message.id)
    for (outcome, number), ids in by_outcome.items():
        session.connection().execute(
            update(Attempt)
            .where(Attempt.message_id.in_(ids), Attempt.number == number)
            .values(finished_at=at, outcome=outcome)
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
        moved = select(
            OutboxMessage.id,
            OutboxMessage.topic,
            OutboxMessage.key,
            OutboxMessage.attempts + (0 if counted else 1),
            OutboxMessage.enqueued_at,
            literal(now, UtcDateTime()),
            literal(detail or None, String(500)),
        ).where(OutboxMessage.id.in_(ids))
        session.connection().execute(insert(FinishedMessage).from_select(_FINISHED, moved))
        session.connection().execute(delete(OutboxMessage).where(OutboxMessage.id.in_(ids)))
    for message, result in settled:
        if not isinstance(result, Done):
            _keep(session, message, _final(message, result, now), counted=counted, now=now)


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
