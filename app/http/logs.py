"""Structured logs: one JSON object a line, with the request's id, without personal data.

Rooms log through the standard library with an event's name and fields in `extra`; structlog renders it
all. An exception is recorded by its type and the places it passed through, never by its words: a
database's message quotes the values that it stumbled over.
"""

import logging
import sys
import traceback
from types import TracebackType
from typing import Any, TextIO

import structlog

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


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send this process's logs to `stream` (standard error) from `level` on."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        trace_without_words,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))


def trace_without_words(
    _logger: Any, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Replace `exc_info` by the types of the chain of exceptions and the last frames."""
    exc_info = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(error, BaseException):
        event["exception"] = _types(error)
        event["frames"] = _frames(error.__traceback__)
    return event


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
