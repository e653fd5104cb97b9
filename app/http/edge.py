"""Where a request becomes one transaction: the session's row is asked for, the work done, the answer kept.

Only this edge commits. `write` plays the whole transaction again after a deadlock, so the work touches
nothing but its database session; calls to platforms happen before or after it.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from flask import Response, g, request
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.http import problems
from app.http.access import rule_of
from app.http.idempotency import Answer, Key, KeyReused, look_up, read_key, remember
from app.http.limits import Gate
from app.identity.queries import Principal, principal
from app.kernel.boundaries import reach
from app.kernel.clock import Clock
from app.kernel.errors import DomainError, Unauthenticated

T = TypeVar("T")
Work = Callable[[Session, Principal, datetime], T]

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

# Decisions about the request itself. A missing session, a rate or an outage says nothing about it.
_STORED_REFUSALS = frozenset({403, 404, 409, 410, 422})


class Edge:
    """Runs the work of requests in transactions of `db`."""

    def __init__(self, db: Database, clock: Clock, gate: Gate) -> None:
        self._db = db
        self._clock = clock
        self._gate = gate

    def read(self, work: Work[T]) -> T:
        """Return what `work` reads for the caller; raise Unauthenticated when the session has ended."""
        now = self._clock.now()
        with self._db.read() as session:
            return work(session, self._known(principal(session, session_id=_session_id(), now=now)), now)

    def write(self, work: Work[Answer], *, operation: str, permanent: bool = False) -> Answer:
        """Run `work` and commit; return its answer, or the one stored under the request's key.

        A refusal under a key is stored as the answer; without a key it is raised. Either way it rolls the
        work back. `permanent` keeps the answer for ever: for what moves money.
        """
        key = _key(operation, permanent=permanent)
        if key is None:
            answer = self._db.transact(lambda session: _reached(self._plain(session, work)))
        else:
            try:
                answer = self._db.transact(lambda session: _reached(self._once(session, key, work)))
            except DomainError as refusal:
                if refusal.status not in _STORED_REFUSALS or isinstance(refusal, KeyReused):
                    raise
                # In a transaction of its own: a savepoint for the few that are refused would cost everybody
                # a round trip. Should another request under the key have been answered meanwhile, that is it.
                refused = Answer(refusal.status, problems.document(refusal))
                answer = self._db.transact(
                    lambda session: _reached(self._once(session, key, lambda *_: refused))
                )
        reach("edge.committed")
        return answer

    def _plain(self, session: Session, work: Work[Answer]) -> Answer:
        now = self._clock.now()
        return work(session, self._known(principal(session, session_id=_session_id(), now=now)), now)

    def _once(self, session: Session, key: Key, work: Work[Answer]) -> Answer:
        now = self._clock.now()
        caller, stored = look_up(session, key, session_id=_session_id(), now=now)
        self._known(caller)
        if stored is not None:
            return stored
        answer = work(session, caller, now)
        remember(session, key, caller.person_id, answer, now)
        return answer

    def ask_first(self, *, operation: str) -> tuple[Principal, Answer | None]:
        """Return who calls, and the answer stored under the request's key, if any.

        For operations that call a platform before their transaction: the call may cost money, so the
        session is made sure of first, and a repeat does not call again.
        """
        key, now = _key(operation, permanent=False), self._clock.now()
        with self._db.read() as session:
            if key is None:
                return self._known(principal(session, session_id=_session_id(), now=now)), None
            caller, stored = look_up(session, key, session_id=_session_id(), now=now)
            return self._known(caller), stored

    def _known(self, caller: Principal) -> Principal:
        g.caller = caller
        self._gate.remember(caller.session_id, caller.person_id)
        return caller


def _key(operation: str, *, permanent: bool) -> Key | None:
    rule = rule_of(g.view)
    if rule is None or rule.idempotency is None:
        return None
    needed = rule.idempotency == "needed"
    return read_key(request, operation=operation, body=g.get("json_body"), needed=needed, permanent=permanent)


def _session_id() -> int:
    session_id: int | None = g.get("session_id")
    if session_id is None:
        raise Unauthenticated("send a bearer token that still runs; POST /sessions gives one")
    return session_id


def _reached(answer: Answer) -> Answer:
    reach("edge.committing")
    return answer


def respond(answer: Answer) -> Response:
    """Return the HTTP response of `answer`."""
    if answer.refused and answer.body is not None:
        g.problem = answer.body["code"]
        response = problems.respond(answer.body)
    elif answer.body is None:
        response = Response(status=answer.status)
    else:
        response = respond_json(answer.status, answer.body)
    if answer.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def respond_json(status: int, body: object) -> Response:
    """Return `body` as a JSON response."""
    return Response(_to_json(body), status=status, content_type="application/json")
