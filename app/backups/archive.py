"""The file of a backup: a zip archive of the database, its manifest and the manifest's seal.

Any unpacking program opens it, for the day on which nothing else is at hand. The manifest says what the
content must be, down to its SHA-256; the seal is an HMAC under a key of the installation, so that neither
can be altered by whoever keeps the file. The file is not encrypted once more: what is personal or secret
lies sealed in its columns, under keys that are in no backup (ADR 13).
"""

import hashlib
import hmac
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Protocol

from app.backups.errors import BadBackup, FileExists
from app.backups.figures import Figures
from app.db.secrets import KeyRing
from app.kernel.json import canonical

FORMAT = 1
SQLITE, MYSQL = "sqlite", "mysql"
_CONTENT = {SQLITE: "database.sqlite", MYSQL: "database.sql"}
_MANIFEST, _SEAL = "manifest.json", "manifest.seal"
_LARGEST_MANIFEST = 1 << 20
_PIECE_BYTES = 1 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)

Progress = Callable[[int], None]
"""Told how many bytes of the database have been handled so far."""


class Sink(Protocol):
    """Takes the bytes of a database."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `key_versions` are those that its sealed values may need; never keys."""

    database: str
    schema: str
    made_at: str
    key_versions: tuple[int, ...]
    size_bytes: int
    sha256: str
    figures: Figures
    format: int = FORMAT

    def document(self) -> bytes:
        """Return the bytes that are written and sealed."""
        return canonical(asdict(self))

    @classmethod
    def parse(cls, document: bytes) -> "Manifest":
        """Return the manifest in `document`; raise BadBackup for what no release of ours wrote."""
        try:
            said = json.loads(document)
            if said["format"] != FORMAT or said["database"] not in _CONTENT:
                raise BadBackup("the backup was made by a newer release; restore it with that one")
            figures = Figures(**said.pop("figures"))
            return cls(**{**said, "key_versions": tuple(said["key_versions"])}, figures=figures)
        except (ValueError, KeyError, TypeError):
            raise BadBackup("the backup's manifest cannot be read") from None


class Writer:
    """Takes the content of one backup, and counts and hashes it on the way."""

    def __init__(self, member: IO[bytes], progress: Progress) -> None:
        self._member = member
        self._progress = progress
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes, /) -> None:
        """Write the next bytes of the database."""
        self._member.write(data)
        self._hash.update(data)
        self.size_bytes += len(data)
        self._progress(self.size_bytes)

    @property
    def sha256(self) -> str:
        """The hash of what has been written so far."""
        return self._hash.hexdigest()


def write(
    path: Path, database: str, ring: KeyRing, fill: Callable[[Writer], Manifest], *, progress: Progress
) -> Manifest:
    """Write the backup `path`: `fill` writes the content and returns the manifest.

    It appears whole, on the disk, readable by its owner alone, or not at all. Raises FileExists.
    """
    if path.exists():
        raise FileExists(f"{path} exists; a backup never overwrites another one")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                with archive.open(_CONTENT[database], "w", force_zip64=True) as member:
                    manifest = fill(Writer(member, progress))
                document = manifest.document()
                archive.writestr(_MANIFEST, document)
                archive.writestr(_SEAL, _seal(ring, document))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return manifest


@dataclass(frozen=True, slots=True)
class Reader:
    """A backup whose manifest is genuine; whether its content is, `verify` tells."""

    archive: zipfile.ZipFile
    manifest: Manifest

    def verify(self, progress: Progress) -> None:
        """Read the whole content once; raise BadBackup unless it is what the manifest says."""
        self.copy(_Nowhere(), progress)

    def copy(self, into: Sink, progress: Progress) -> None:
        """Copy the content; raise BadBackup, too late for what was written, unless it is right."""
        hashed, size = hashlib.sha256(), 0
        with self.content() as stream:
            while piece := _read(stream):
                hashed.update(piece)
                size += len(piece)
                into.write(piece)
                progress(size)
        if size != self.manifest.size_bytes or not hmac.compare_digest(
            hashed.hexdigest(), self.manifest.sha256
        ):
            raise BadBackup("the backup's content is not what was written; take another copy of the file")

    @contextmanager
    def content(self) -> Iterator[IO[bytes]]:
        """Yield the database as a stream of bytes."""
        with self.archive.open(_CONTENT[self.manifest.database]) as stream:
            yield stream


@contextmanager
def opened(path: Path, ring: KeyRing) -> Iterator[Reader]:
    """Yield the backup at `path`; raise BadBackup when it is cut off, altered or of another installation."""
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGED:
        raise BadBackup(f"{path} is no backup, or only a part of one") from None
    with archive:
        names = set(archive.namelist())
        if not {_MANIFEST, _SEAL} <= names or archive.getinfo(_MANIFEST).file_size > _LARGEST_MANIFEST:
            raise BadBackup(f"{path} is no backup")
        try:
            document, seal = archive.read(_MANIFEST), archive.read(_SEAL)
        except _DAMAGED:
            raise BadBackup(f"{path} is damaged; take another copy of it") from None
        if not hmac.compare_digest(seal, _seal(ring, document)):
            raise BadBackup(
                f"{path} was altered, or made with other master keys: SAOMA_MASTER_KEYS must hold those of"
                " the installation that it was made on"
            )
        manifest = Manifest.parse(document)
        if _CONTENT[manifest.database] not in names:
            raise BadBackup(f"{path} holds no database")
        yield Reader(archive, manifest)


class _Nowhere:
    def write(self, data: bytes, /) -> None:
        """Forget the bytes."""


def _read(stream: IO[bytes]) -> bytes:
    try:
        return stream.read(_PIECE_BYTES)
    except _DAMAGED:
        raise BadBackup("the backup's content is damaged; take another copy of the file") from None


def _seal(ring: KeyRing, document: bytes) -> bytes:
    return hmac.digest(ring.derive("backups"), document, hashlib.sha256).hex().encode()


def _sync_folder(folder: Path) -> None:
    """Bring a new name in `folder` to the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
