"""What becomes of the messages that the platform pushes to our apps."""

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.organisation.penalties import MESSAGE_SOURCE, PENALTY_EVENT, note_penalty
from app.outbox.contracts import Callback


class AppMessages:
    """Penalties are noted; messages of other kinds are let be, since the platform adds kinds as it likes."""

    source: str = MESSAGE_SOURCE

    def handle(self, session: Session, callbacks: Sequence[Callback], now: datetime) -> None:
        """Act on each message once, however often it comes."""
        for callback in callbacks:
            message = json.loads(callback.body)
            if message["event"] == PENALTY_EVENT:
                note_penalty(session, appid=message["appid"], content=message["content"], now=now)
