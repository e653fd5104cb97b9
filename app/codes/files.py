"""Files that survive a kill: whole and under their name, or not there; one writer at a time.

Print packs hold codes that are worth money, so every file is readable by its owner only.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.codes.errors import PackBusy

_READ_BYTES = 1 << 20


def open_private(path: Path) -> BinaryIO:
    """Open `path` for reading and writing, made if need be, for its owner only, as it was left."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")


def sync_folder(folder: Path) -> None:
    """Make new names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes) -> None:
    """Put `content` under the name `path`, all of it or nothing."""
    temporary = path.with_name(path.name + ".new")
    with open_private(temporary) as file:
        file.truncate()
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for writing packs; raise PackBusy while another process does.

    The system lets go of the lock when its holder dies, so a kill leaves nothing to clear away.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PackBusy(f"another process is writing into {folder}; wait for it or stop it") from None
        yield
    finally:
        os.close(descriptor)
