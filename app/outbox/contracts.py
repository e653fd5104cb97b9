"""What a handler of effects, facts or callbacks looks like, and what it may answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from sqlalchemy.orm import Session


class EffectKind(StrEnum):
    """What a repeat of the call does (architecture section 1)."""

    IDEMPOTENT = "idempotent"  # the platform de-duplicates on our number
    QUERYABLE = "queryable"  # ask before repeating: `Message.interrupted` says when
    BLIND = "blind"  # after a crash in mid-call it ends as unknown and is never repeated


class Message(NamedTuple):
    """A claimed message. `interrupted`: an earlier attempt began and never reported back."""

    id: int
    topic: str
    key: str
    group: str
    payload: Mapping[str, Any]
    attempt: int
    failures: int
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The message is finished; `detail` is for the record, without personal data."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at `at`; `counts` tells whether this was a failure that leads towards parking."""

    at: datetime
    reason: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Try again after the usual back-off (exponential, jitter, cap)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Park:
    """Stop; a person must look. The reason says why and what to do."""

    reason: str


Settlement = Done | RetryAt | RetryLater | Park


@dataclass(frozen=True, slots=True)
class Skip:
    """Answer of `prepare` for a message that needs no call."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class Call:
    """Answer of `prepare`: what `perform` is to be called with."""

    request: object


@dataclass(frozen=True, slots=True)
class Failed:
    """What `settle` gets instead of a result when `perform` raised or overran its deadline.

    `unknown` is True when the platform may have done the work all the same.
    """

    reason: str
    unknown: bool


class Effect(Protocol):
    """A kind of call to the outside world, in three phases, batch-first."""

    topic: str
    kind: EffectKind
    batch_size: int
    concurrency: int
    deadline_seconds: float

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> Sequence[Call | Skip]:
        """Read what the calls need and write attempt rows; one answer per message, in order."""

    def perform(self, request: Any) -> object:
        """Make the call; no database. Must end by itself before `deadline_seconds`."""

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> Sequence[Settlement]:
        """Write what came of it; one answer per result, in order. A result may be `Failed`."""


@dataclass(frozen=True, slots=True)
class FactEnvelope:
    """A fact as a handler gets it."""

    id: int
    name: str
    version: int
    brand_id: int | None
    person_id: int | None
    payload: Mapping[str, Any]
    occurred_at: datetime
    cause: str


class FactHandler(Protocol):
    """What a room does when a fact of a lower room is due; at least once, so it is idempotent."""

    name: str
    fact: str
    versions: frozenset[int]

    def handle(self, session: Session, facts: Sequence[FactEnvelope], now: datetime) -> None:
        """Act on the facts in the session's transaction; any exception isolates the culprit."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback out of the inbox."""

    id: int
    source: str
    body: str


class CallbackHandler(Protocol):
    """What a room does with a recorded callback; at least once, so it is idempotent."""

    source: str

    def handle(self, session: Session, callbacks: Sequence[Callback], now: datetime) -> None:
        """Act on the callbacks in the session's transaction; any exception isolates the culprit."""
