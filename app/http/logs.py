"""Structured logs: one JSON object a line, with the request's id, without personal data.

Rooms log through the standard library with an event's name and fields in `extra`. An exception is recorded by
its type and the places it passed through, never by its words: a database's message quotes the values that it
stumbled over.
"""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered: each line about it carries it."""

_FRAMES = 12
_CAUSES = 5
# They name addresses, tokens or whole URLs when they may say more.
_QUIET = {
    "werkzeug": logging.WARNING,
    "urllib3": logging.WARNING,
    "flask-limiter": logging.ERROR,
    "sqlalchemy": logging.WARNING,
    "alembic": logging.WARNING,
    "apscheduler": logging.WARNING,
    "wechatpy": logging.ERROR,
    "wechatpayv3": logging.ERROR,
}


_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
# What a field holds is JSON, or shown as Python shows it.
_to_json = json.JSONEncoder(ensure_ascii=False, default=repr).encode


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send this process's logs to `stream` (standard error) from `level` on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Lines())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))


class _Lines(logging.Formatter):
    """Writes a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"event": record.getMessage()}
        asked = request_id.get()
        if asked is not None:
            line["request_id"] = asked
        line["level"] = record.levelname.lower()
        line["logger"] = record.name
        line |= {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        at = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        line["timestamp"] = f"{at.isoformat(timespec='microseconds')}Z"
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["exception"] = _types(error)
            line["frames"] = _frames(error.__traceback__)
        return _to_json(line)


def _types(error: BaseException) -> list[str]:
    types: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(types) < _CAUSES:
        types.append(type(seen).__name__)
        seen = seen.__cause__ or seen.__context__
    return types


def _frames(trace: TracebackType | None) -> list[str]:
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)[-_FRAMES:]
    ]
