"""The effects notices.digest and notices.text: a letter by e-mail, a text to phones (RISK-06). Blind: what
may have left is not sent again; everything that is still open stands in the next one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.notices.digest import MOST_LINES, shorten, write
from app.notices.interfaces import Letter, Mailer, NotSent, Texter
from app.notices.operations import TEXT_TOPIC, TOPIC
from app.outbox.contracts import Call, Done, EffectKind, Failed, Message, Park, RetryLater, Settlement, Skip


@dataclass(frozen=True, slots=True)
class _Unsent:
    """The letter certainly did not leave."""

    reason: str


class SendDigest:
    """Writes the letter when it is about to leave, so that it tells what is open then."""

    topic: str = TOPIC
    kind: EffectKind = EffectKind.BLIND
    batch_size: int = 1
    concurrency: int = 1
    deadline_seconds: float = 30.0

    def __init__(self, mailer: Mailer, recipients: Sequence[str]) -> None:
        self._mailer = mailer
        self._recipients = tuple(recipients)

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        """Write the letter; nothing is sent when all was settled meanwhile, or nobody wants letters."""
        alerts = open_alerts(session, limit=10 * MOST_LINES)
        if not alerts or not self._recipients:
            return [Skip(Done("nothing to tell")) for _ in messages]
        return [Call(write(alerts, fresh=int(message.payload["fresh"]))) for message in messages]

    def perform(self, request: Letter) -> object:
        """Hand the letter over."""
        try:
            self._mailer.send(request, self._recipients)
        except NotSent as error:
            return _Unsent(str(error)[:200])
        return None

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> list[Settlement]:
        """Try again what certainly did not leave; park what may have."""
        return [_settled(result) for _, result in results]


@dataclass(frozen=True, slots=True)
class TextCall:
    """A text, and our number for it."""

    text: str
    number: str


class SendText:
    """Tells phones how much is open; what it is stands in the letter and at the desk."""

    topic: str = TEXT_TOPIC
    kind: EffectKind = EffectKind.BLIND
    batch_size: int = 1
    concurrency: int = 1
    deadline_seconds: float = 30.0

    def __init__(self, texter: Texter, phones: Sequence[str]) -> None:
        self._texter = texter
        self._phones = tuple(phones)

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        """Write the text; nothing is sent when all was settled meanwhile, or nobody wants texts."""
        alerts = open_alerts(session, limit=10 * MOST_LINES)
        if not alerts or not self._phones:
            return [Skip(Done("nothing to tell")) for _ in messages]
        return [
            Call(TextCall(shorten(alerts, fresh=int(message.payload["fresh"])), str(message.id)))
            for message in messages
        ]

    def perform(self, request: TextCall) -> object:
        """Hand the text over."""
        try:
            self._texter.send(request.text, self._phones, number=request.number)
        except NotSent as error:
            return _Unsent(str(error)[:200])
        return None

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> list[Settlement]:
        """Try again what certainly did not leave; park what may have."""
        return [_settled(result) for _, result in results]


def _settled(result: object) -> Settlement:
    if isinstance(result, _Unsent):
        return RetryLater(result.reason)
    if isinstance(result, Failed):
        return (
            Park(f"{result.reason}; the letter may have left")
            if result.unknown
            else RetryLater(result.reason)
        )
    return Done("sent")
