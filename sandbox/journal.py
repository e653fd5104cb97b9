"""An append-only file of what happened, so that a restart of the whole product keeps the sandbox's book.

One JSON object a line, written and fsynced before the event takes effect. The file holds the sandbox's own
secrets (app secrets, platform private keys), hence mode 0600. Only one process may hold it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class JournalError(Exception):
    """The journal cannot be used; the text says why and what to do."""


class Journal:
    """The file, held exclusively. ``path`` None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor: int | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise JournalError(
                f"{path} is in use by another sandbox; stop it or give another --journal"
            ) from error
        self._descriptor = descriptor

    def replay(self) -> Iterator[dict[str, Any]]:
        """Every event of the file, oldest first. A last line torn by a crash is cut off; other damage
        raises."""
        if self._descriptor is None or self._path is None:
            return
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            # The event of a torn line never took effect: effects follow the fsync.
            os.ftruncate(self._descriptor, whole)
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                event = json.loads(line)
            except ValueError as error:
                raise JournalError(
                    f"{self._path} line {number} is not JSON; move the file away to start with an empty book"
                ) from error
            yield event

    def append(self, event: Mapping[str, Any]) -> None:
        """Writes one event and waits until it is on the disk."""
        if self._descriptor is None:
            return
        line = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        written = os.write(self._descriptor, line)
        if written != len(line):
            raise JournalError(f"{self._path} could not be written whole; is the disk full?")
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Lets go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
