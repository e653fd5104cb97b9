"""An effect whose messages have nothing to share: each is prepared and settled by itself."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.outbox.contracts import Call, Message, Settlement, Skip


class OneByOne(ABC):
    """The batch phases of an effect, over the phases of one message; a batch of many rows does without."""

    def prepare(self, session: Session, messages: Sequence[Message], now: datetime) -> list[Call | Skip]:
        """Prepare each message."""
        return [self.prepare_one(session, message, now) for message in messages]

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> list[Settlement]:
        """Settle each result."""
        return [self.settle_one(session, message, result, now) for message, result in results]

    @abstractmethod
    def prepare_one(self, session: Session, message: Message, now: datetime) -> Call | Skip:
        """Say what to call for a message, or why there is nothing to call."""

    @abstractmethod
    def settle_one(self, session: Session, message: Message, result: object, now: datetime) -> Settlement:
        """Write what came of a call."""
