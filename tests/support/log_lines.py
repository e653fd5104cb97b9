"""The log of a process, as a test reads it."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from app.http import logs


@contextmanager
def log_lines() -> Iterator[io.StringIO]:
    """Yield what is logged from INFO on; every logger is afterwards as it was, for the tests that follow."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    levels = {logger: logger.level for logger in (root, *map(logging.getLogger, logs._QUIET))}
    stream = io.StringIO()
    logs.configure("INFO", stream)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        for logger, level in levels.items():
            logger.setLevel(level)
        logs.request_id.set(None)
