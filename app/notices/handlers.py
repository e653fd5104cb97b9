"""The effects notices.digest and notices.text: a letter by e-mail, a text to phones (RISK-06). Blind: what
may have left is not sent again; everything that is still open stands in the next one."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.alerts.models import Alert
from app.alerts.queries import open_alerts
from app.notices.digest import MOST_LINES, shorten, write
from app.notices.interfaces import Letter, Mailer, NotSent, Texter
from app.notices.operations import TEXT_TOPIC, TOPIC
from app.outbox.contracts import Call, Done, EffectKind, Failed, Message, Park, RetryLater, Settlement, Skip
from app.outbox.one_by_one import OneByOne


@dataclass(frozen=True, slots=True)
class _Unsent:
    """It certainly did not leave."""

    reason: str


class _Notice(OneByOne):
    """What is written when it is about to leave, so that it tells what is open then."""

    kind: EffectKind = EffectKind.BLIND
    batch_size: int = 1
    concurrency: int = 1
    deadline_seconds: float = 30.0

    def __init__(self, recipients: Sequence[str]) -> None:
        self._recipients = tuple(recipients)

    def prepare_one(self, session: Session, message: Message, now: datetime) -> Call | Skip:
        """Write it; nothing is sent when all was settled meanwhile, or nobody wants it."""
        alerts = open_alerts(session, limit=10 * MOST_LINES)
        if not alerts or not self._recipients:
            return Skip(Done("nothing to tell"))
        return Call(self._written(alerts, message))

    def perform(self, request: Any) -> object:
        """Hand it over."""
        try:
            self._send(request)
        except NotSent as error:
            return _Unsent(str(error)[:200])
        return None

    def settle_one(self, session: Session, message: Message, result: object, now: datetime) -> Settlement:
        """Try again what certainly did not leave; park what may have."""
        if isinstance(result, _Unsent) or (isinstance(result, Failed) and not result.unknown):
            return RetryLater(result.reason)
        if isinstance(result, Failed):
            return Park(f"{result.reason}; it may have left")
        return Done("sent")

    @abstractmethod
    def _written(self, alerts: Sequence[Alert], message: Message) -> object:
        """Return what `_send` is to be called with."""

    @abstractmethod
    def _send(self, request: Any) -> None:
        """Hand it over; raise NotSent when it certainly did not leave."""


class SendDigest(_Notice):
    """A letter that lists what is open."""

    topic: str = TOPIC

    def __init__(self, mailer: Mailer, recipients: Sequence[str]) -> None:
        super().__init__(recipients)
        self._mailer = mailer

    def _written(self, alerts: Sequence[Alert], message: Message) -> Letter:
        return write(alerts, fresh=int(message.payload["fresh"]))

    def _send(self, request: Letter) -> None:
        self._mailer.send(request, self._recipients)


@dataclass(frozen=True, slots=True)
class TextCall:
    """A text, and our number for it."""

    text: str
    number: str


class SendText(_Notice):
    """Tells phones how much is open; what it is stands in the letter and at the desk."""

    topic: str = TEXT_TOPIC

    def __init__(self, texter: Texter, phones: Sequence[str]) -> None:
        super().__init__(phones)
        self._texter = texter

    def _written(self, alerts: Sequence[Alert], message: Message) -> TextCall:
        return TextCall(shorten(alerts, fresh=int(message.payload["fresh"])), str(message.id))

    def _send(self, request: TextCall) -> None:
        self._texter.send(request.text, self._recipients, number=request.number)
