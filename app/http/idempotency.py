"""A repeated request gets the answer that was given first, refusals included.

The answer is written in the transaction of what it answers, as its last statement. Of two requests with
one key at the same time, both may do the work, but only one can write the answer: the other is rolled
back, work and all, plays again and finds it. So no row has to be claimed first, and the usual request
pays one look-up and one insert.

Stored answers hold no personal data and nothing with which money can be moved. An operation whose answer
does (collecting: `package_info` opens the confirmation page) stores the ids it acted on, and the answer is
read anew from their rows each time. That also keeps a replay true: a package that has been used since is
not offered again.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Request
from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from app.db import secrets
from app.db.engine import Replay
from app.db.prepared import Prepared
from app.http.models import IdempotencyKey
from app.http.problems import InvalidInput
from app.identity.models import LoginSession
from app.identity.queries import PRINCIPAL, Principal, principal_of
from app.kernel.errors import Conflict
from app.kernel.json import canonical

HEADER = "Idempotency-Key"
_SHAPE = re.compile(r"[A-Za-z0-9_\-]{8,64}")


class KeyReused(Conflict):
    """The key has been used for another request."""

    code = "idempotency_key_reused"
    title = "The idempotency key belongs to another request"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answered: an HTTP status and the JSON body (None: no body).

    A status of 400 and above means that the body is a problem document without a request id.
    """

    status: int
    body: dict[str, Any] | None
    replayed: bool = False

    @property
    def refused(self) -> bool:
        """Tell whether the operation was refused."""
        return self.status >= 400


@dataclass(frozen=True, slots=True)
class Key:
    """One request under one key: hashes, and what the row needs besides."""

    key_hash: bytes
    request_hash: bytes
    operation: str
    permanent: bool


def read_key(request: Request, *, operation: str, body: object, needed: bool, permanent: bool) -> Key | None:
    """Return the request's key; None when there is none and none is needed; raise InvalidInput."""
    given = request.headers.get(HEADER)
    if given is None and not needed:
        return None
    if given is None or not _SHAPE.fullmatch(given):
        message = "Send 8 to 64 letters, digits, _ or -, new for each intention."
        raise InvalidInput([{"path": f"header.{HEADER}", "message": message}])
    what = [operation, dict(request.view_args or {}), body]
    return Key(
        key_hash=hashlib.sha256(given.encode()).digest(),
        # Keyed: a name or a position could be guessed back from a plain hash.
        request_hash=secrets.ring().blind("idempotency_keys.request_hash", canonical(what).decode()),
        operation=operation,
        permanent=permanent,
    )


# Who calls and what they were answered before: one statement, since every write pays it.
_CALLER_AND_ANSWER = Prepared(
    PRINCIPAL.add_columns(
        IdempotencyKey.request_hash, IdempotencyKey.status, IdempotencyKey.answer
    ).outerjoin(
        IdempotencyKey,
        (IdempotencyKey.person_id == LoginSession.person_id)
        & (IdempotencyKey.key_hash == bindparam("key_hash")),
    )
)
_REMEMBER = Prepared(insert(IdempotencyKey))


def look_up(session: Session, key: Key, *, session_id: int, now: datetime) -> tuple[Principal, Answer | None]:
    """Return who calls, and the answer stored under `key`, if any.

    Raises SessionEnded, or KeyReused when the key answered another request of this person.
    """
    parameters = {"session_id": session_id, "now": now, "key_hash": key.key_hash}
    rows = _CALLER_AND_ANSWER.all(session, parameters)
    caller = principal_of(rows)
    request_hash, status, body = rows[0][-3:]
    if request_hash is None:
        return caller, None
    if request_hash != key.request_hash:
        raise KeyReused("take a new key for a new request; a key is for repeating the very same one")
    return caller, Answer(status, body, replayed=True)


def remember(session: Session, key: Key, person_id: int, answer: Answer, now: datetime) -> None:
    """Store `answer`; the transaction is played again if another has answered under this key meanwhile."""
    row: Mapping[str, Any] = {
        "person_id": person_id,
        "key_hash": key.key_hash,
        "request_hash": key.request_hash,
        "operation": key.operation,
        "status": answer.status,
        "answer": answer.body,
        "permanent": key.permanent,
        "created_at": now,
    }
    _REMEMBER.write_later(session, row, lost=Replay)


def purge(session: Session, *, now: datetime, keep: timedelta, limit: int = 1000) -> int:
    """Delete at most `limit` answers older than `keep` that no money hangs on; return how many."""
    old = (
        select(IdempotencyKey.person_id, IdempotencyKey.key_hash)
        .where(IdempotencyKey.permanent.is_(False), IdempotencyKey.created_at < now - keep)
        .limit(limit)
    )
    rows = session.connection().execute(old).all()
    for row in rows:
        session.connection().execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.person_id == row.person_id, IdempotencyKey.key_hash == row.key_hash
            )
        )
    return len(rows)
