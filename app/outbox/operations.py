"""Putting messages in: effects, facts, callbacks; and replaying what was parked."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.alerts.operations import resolve_alert
from app.db.once import insert_once
from app.db.prepared import Prepared
from app.kernel.errors import NotFound
from app.kernel.ids import new_id
from app.outbox.models import Attempt, Fact, FinishedMessage, InboxMessage, MessageState, OutboxMessage
from app.outbox.registry import Registry, fact_topic, inbox_topic


class UnknownMessage(NotFound):
    """There is no parked message with this id."""

    code = "unknown_message"


def enqueue(
    session: Session,
    *,
    topic: str,
    key: str,
    payload: Mapping[str, Any],
    now: datetime,
    due_at: datetime | None = None,
    group: str = "",
) -> int:
    """Enqueue a message, once per (topic, key) for ever; return its id.

    `payload` holds ids, never personal data. Enqueueing the same key again returns the first message's id,
    be it waiting or finished.
    """
    message_id = _insert(session, topic=topic, key=key, payload=payload, now=now, due_at=due_at, group=group)
    if message_id is None:
        waiting = select(OutboxMessage.id).where(OutboxMessage.topic == topic, OutboxMessage.key == key)
        found = session.connection().execute(waiting).scalar()
        if found is not None:
            return int(found)
    # The insert waited for a settling transaction that might have moved the message: only now is the
    # table of finished ones certain.
    finished = select(FinishedMessage.id).where(FinishedMessage.topic == topic, FinishedMessage.key == key)
    done = session.connection().execute(finished).scalar()
    if done is None:
        if message_id is None:
            return enqueue(
                session, topic=topic, key=key, payload=payload, now=now, due_at=due_at, group=group
            )
        return message_id
    if message_id is not None:
        session.connection().execute(delete(OutboxMessage).where(OutboxMessage.id == message_id))
    return int(done)


def publish(
    session: Session,
    registry: Registry,
    *,
    name: str,
    version: int,
    brand_id: int | None,
    person_id: int | None,
    payload: Mapping[str, Any],
    occurred_at: datetime,
    now: datetime,
    cause: str,
) -> int:
    """Record a fact and one delivery per handler of it, with the next statement; return the fact's id."""
    fact_id = new_id()
    _INSERT_FACT.write_later(
        session,
        {
            "id": fact_id,
            "name": name,
            "version": version,
            "brand_id": brand_id,
            "person_id": person_id,
            "payload": dict(payload),
            "occurred_at": occurred_at,
            "recorded_at": now,
            "cause": cause,
        },
        lost=_id_given_twice,
    )
    for handler in registry.handlers_of(name):
        delivery = _row(topic=fact_topic(handler.name), key=str(fact_id), payload={"fact": fact_id}, now=now)
        _INSERT_MESSAGE.write_later(session, delivery, lost=_id_given_twice)
    return fact_id


_INSERT_FACT = Prepared(insert(Fact))
_INSERT_MESSAGE = Prepared(insert(OutboxMessage))
_INSERT_CALLBACK = Prepared(insert(InboxMessage))


def _id_given_twice() -> AssertionError:
    return AssertionError("two facts or messages were given one id")


def receive(session: Session, *, source: str, dedupe_key: str, body: str, now: datetime) -> bool:
    """Record a callback and enqueue its handling; return False when it has come before.

    The caller has checked that it is genuine. Nothing acts on it here (conventions 4).
    """
    inbox_id = new_id()
    row = {
        "id": inbox_id,
        "source": source,
        "dedupe_key": dedupe_key,
        "body": body,
        "received_at": now,
        "received_times": 1,
        "processed_at": None,
    }
    if insert_once(session, _INSERT_CALLBACK, row):
        message = _row(topic=inbox_topic(source), key=str(inbox_id), payload={"inbox": inbox_id}, now=now)
        _INSERT_MESSAGE.write_later(session, message, lost=_id_given_twice)
        return True
    again = (
        update(InboxMessage)
        .where(InboxMessage.source == source, InboxMessage.dedupe_key == dedupe_key)
        .values(received_times=InboxMessage.received_times + 1)
    )
    session.connection().execute(again)
    return False


def replay(session: Session, *, message_id: int, by: str, now: datetime) -> None:
    """Let a parked message run again, with a fresh count of failures; raise UnknownMessage."""
    revived = (
        update(OutboxMessage)
        .where(OutboxMessage.id == message_id, OutboxMessage.state == MessageState.PARKED)
        .values(state=MessageState.PENDING, due_at=now, failures=0, lease_owner=None, lease_until=None)
    )
    if session.connection().execute(revived).rowcount == 0:
        raise UnknownMessage("there is no parked message with this id; `saoma outbox parked` lists them")
    resolve_alert(session, kind="outbox.parked", subject=str(message_id), by=by, now=now)


def recall(session: Session, *, message_id: int, by: str, now: datetime) -> None:
    """Make a message that waits or is parked due now, and lock it, whatever it does, until the commit.

    For a room that changes what the message's handler will find: an attempt that has begun is seen by
    `queries.in_flight` afterwards, and every later one sees the change.
    """
    locked = select(OutboxMessage.state).where(OutboxMessage.id == message_id).with_for_update()
    state = session.connection().execute(locked).scalar()
    if state is MessageState.PARKED:
        replay(session, message_id=message_id, by=by, now=now)
    elif state is MessageState.PENDING:
        due = update(OutboxMessage).where(OutboxMessage.id == message_id, OutboxMessage.due_at > now)
        session.connection().execute(due.values(due_at=now))


def hasten_group(session: Session, *, topic: str, group: str, now: datetime) -> int:
    """Make the waiting messages of `group` due now (a payer has money again); return how many."""
    due = (
        update(OutboxMessage)
        .where(
            OutboxMessage.topic == topic,
            OutboxMessage.group_key == group,
            OutboxMessage.state == MessageState.PENDING,
            OutboxMessage.due_at > now,
        )
        .values(due_at=now)
    )
    return session.connection().execute(due).rowcount


def purge(session: Session, *, now: datetime, keep: timedelta, limit: int = 1000) -> int:
    """Delete attempts and callback bodies older than `keep`, at most `limit` of each; return how many.

    Finished messages and facts stay: their keys say "once" for ever.
    """
    before = now - keep
    connection = session.connection()
    old = select(Attempt.message_id).where(Attempt.started_at < before, Attempt.finished_at.is_not(None))
    ids = list(connection.execute(old.limit(limit)).scalars())
    removed = 0
    if ids:
        removed += connection.execute(
            delete(Attempt).where(Attempt.message_id.in_(ids), Attempt.started_at < before)
        ).rowcount
    read = select(InboxMessage.id).where(
        InboxMessage.received_at < before, InboxMessage.processed_at.is_not(None)
    )
    bodies = list(connection.execute(read.limit(limit)).scalars())
    if bodies:
        removed += connection.execute(delete(InboxMessage).where(InboxMessage.id.in_(bodies))).rowcount
    return removed


def _insert(
    session: Session,
    *,
    topic: str,
    key: str,
    payload: Mapping[str, Any],
    now: datetime,
    due_at: datetime | None = None,
    group: str = "",
) -> int | None:
    row = _row(topic=topic, key=key, payload=payload, now=now, due_at=due_at, group=group)
    return int(row["id"]) if insert_once(session, _INSERT_MESSAGE, row) else None


def _row(
    *,
    topic: str,
    key: str,
    payload: Mapping[str, Any],
    now: datetime,
    due_at: datetime | None = None,
    group: str = "",
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "topic": topic,
        "key": key,
        "group_key": group,
        "payload": dict(payload),
        "state": MessageState.PENDING,
        "due_at": due_at or now,
        "enqueued_at": now,
        "attempts": 0,
        "failures": 0,
        "in_flight": False,
        "lease_owner": None,
        "lease_until": None,
        "reason": None,
    }
