"""Print packs: the codes of a range as a CSV file for the printer, with a manifest.

A pack of a hundred million codes is 8 GB, so it is streamed: memory stays the same, rows have one fixed
width, and numpy fills thousands of them at once into two buffers while a helper thread hashes and writes
(both let Python's lock go, so they run beside the filling).

A kill must not cost an hour of work nor leave a file that looks whole. The rows go to `<name>.part`; every
million rows it is synced and `<name>.state` notes how far it is and the SHA-256 up to there. A
new start reads that part again and compares the hash: the state of a hash cannot be stored, reading runs at
ten million rows a second and more, and what lies on the disk is proven instead of believed. The state also
holds the first code, so a pack never mixes two keys. Then it goes on, and the finished file is byte for
byte what an uninterrupted run writes. Only a synced file gets its final name, and the
manifest comes last: who sees a manifest has a whole pack.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeAlias

import numpy as np

from app.codes import files
from app.codes.blocks import encode_block
from app.codes.format import CODE_LETTERS, VERSION
from app.codes.pack import INDEX_DIGITS, Pack
from app.kernel.json import Json

Progress: TypeAlias = Callable[[int], None]
HEADER = b"index,code,url\r\n"

_BLOCK_ROWS = 1 << 15
_BUFFERS = 3  # one is filled, one is hashed and written, one waits
_SYNC_BLOCKS = 32
_RUN = 10_000
_FOUR_DIGITS = np.array([list(b"%04d" % number) for number in range(_RUN)], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class PackFile:
    """One finished file of a pack."""

    name: str
    first_index: int
    rows: int
    bytes: int
    sha256: str

    def as_json(self) -> dict[str, Json]:
        """Return the entry of the manifest."""
        return {
            "name": self.name,
            "first_index": self.first_index,
            "rows": self.rows,
            "bytes": self.bytes,
            "sha256": self.sha256,
        }

    def is_intact(self, folder: Path) -> bool:
        """Tell whether the file is there with the bytes that were written."""
        path = folder / self.name
        return path.is_file() and path.stat().st_size == self.bytes and files.sha256(path) == self.sha256


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished pack consists of."""

    pack: Pack
    kind: str
    files: tuple[PackFile, ...]

    def path(self, folder: Path) -> Path:
        """Return where the manifest lies."""
        return folder / f"{self.pack.name}.{self.kind}.manifest.json"

    def write(self, folder: Path) -> None:
        """Store the manifest; the last act of writing a pack."""
        pack = self.pack
        content: dict[str, Json] = {
            "kind": self.kind,
            "format_version": VERSION,
            "created_at": pack.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "batch": dict(pack.about),
            "url_prefix": pack.link.prefix,
            "first_index": pack.first_index,
            "rows": pack.count,
            "files": [file.as_json() for file in self.files],
        }
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        files.replace(self.path(folder), text.encode())


def write_state(path: Path, pack: Pack, progress: Mapping[str, object]) -> None:
    """Note how far an unfinished pack is."""
    files.replace(path, json.dumps({**_identity(pack), **progress}).encode())


def read_state(path: Path, pack: Pack) -> dict[str, Any] | None:
    """Return what `write_state` noted; None when there is nothing, or it is of another pack or key."""
    try:
        state: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return state if state.items() >= _identity(pack).items() else None


def _identity(pack: Pack) -> dict[str, Json]:
    first_code = pack.code(pack.first_index)
    return {"format_version": VERSION, "url_prefix": pack.link.prefix, "first_code": first_code}


def write_csv(pack: Pack, folder: Path, *, progress: Progress | None = None) -> Manifest:
    """Write `pack` as `<name>.csv` with its manifest into `folder`: index, code and link, CRLF (CODE-01, 02).

    A run that was killed is taken up where it was. `progress` is called with the number of rows done, some
    hundred times a second at most. Raise PackBusy while another process writes into `folder`, and OSError
    when the disk does not do its part; started again, it goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with files.only_writer(folder):
        with _CsvFile(pack, folder) as target:
            _stream(pack, target, progress)
            finished = target.finish()
        manifest = Manifest(pack, "csv", (finished,))
        manifest.write(folder)
        target.state_path.unlink()
        return manifest


def _stream(pack: Pack, target: "_CsvFile", progress: Progress | None) -> None:
    buffers = [_CsvRows(pack) for _ in range(min(_BUFFERS, pack.count // _BLOCK_ROWS + 1))]
    pending: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="pack") as helper:
        for number, start in enumerate(range(target.rows, pack.count, _BLOCK_ROWS)):
            if len(pending) == len(buffers):
                pending.popleft().result()
            count = min(_BLOCK_ROWS, pack.count - start)
            block = buffers[number % len(buffers)].fill(pack.first_index + start, count)
            pending.append(helper.submit(target.append, start, block, count))
            if progress:
                progress(start + count)
        for job in pending:
            job.result()


class _CsvRows:
    """A block of rows that is filled again and again; what never changes is written once."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        pattern = (
            b"0" * INDEX_DIGITS
            + b","
            + b"0" * CODE_LETTERS
            + b","
            + pack.link.url("0" * CODE_LETTERS).encode()
        )
        self._rows = np.tile(np.frombuffer(pattern + b"\r\n", dtype=np.uint8), (_BLOCK_ROWS, 1))
        self._digits = self._rows[:, :INDEX_DIGITS]
        self._code = self._rows[:, INDEX_DIGITS + 1 : INDEX_DIGITS + 1 + CODE_LETTERS]
        self._url_code = self._rows[:, -2 - CODE_LETTERS : -2]

    def fill(self, first_index: int, count: int) -> memoryview:
        """Return `count` rows from `first_index` on; they are valid until the next call."""
        pack = self._pack
        row = 0
        while row < count:
            # Indexes run on, so up to ten thousand rows share their upper digits.
            upper, lower = divmod(first_index + row, _RUN)
            length = min(_RUN - lower, count - row)
            self._digits[row : row + length, :-4] = np.frombuffer(b"%05d" % upper, dtype=np.uint8)
            self._digits[row : row + length, -4:] = _FOUR_DIGITS[lower : lower + length]
            row += length
        codes = encode_block(pack.keys, pack.batch_id, first_index, count, pack.batch_key)
        self._code[:count] = codes
        self._url_code[:count] = codes
        return self._rows[:count].ravel().data


class _CsvFile:
    """The file that grows: hashed as it is written, synced now and then, finished by its final name."""

    def __init__(self, pack: Pack, folder: Path) -> None:
        self._pack = pack
        self._path = folder / f"{pack.name}.csv"
        self._part = folder / f"{pack.name}.csv.part"
        self.state_path = folder / f"{pack.name}.csv.state"
        self._file: BinaryIO
        self._hash = hashlib.sha256()
        self._blocks = 0
        self.rows = 0

    def __enter__(self) -> Self:
        state = read_state(self.state_path, self._pack)
        if state and self._path.exists() and not self._part.exists():
            # Killed between the final name and the manifest.
            self._path.replace(self._part)
        self._file = files.open_private(self._part)
        try:
            if not (state and self._take_up(state)):
                self._start_over()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, start: int, block: memoryview, count: int) -> None:
        """Hash and write `count` rows that follow the first `start`; runs in the helper thread, in order."""
        if start != self.rows:
            return  # the block before this one failed, and nothing may take its place
        self._file.write(block)
        self._hash.update(block)
        self.rows += count
        self._blocks += 1
        if self._blocks % _SYNC_BLOCKS == 0:
            self._sync()

    def finish(self) -> PackFile:
        """Give the whole and synced file its name."""
        self._sync()
        size = self._file.tell()
        self._part.replace(self._path)
        files.sync_folder(self._path.parent)
        return PackFile(self._path.name, self._pack.first_index, self.rows, size, self._hash.hexdigest())

    def _sync(self) -> None:
        self._file.flush()
        os.fdatasync(self._file.fileno())
        state = {"rows": self.rows, "bytes": self._file.tell(), "sha256": self._hash.hexdigest()}
        write_state(self.state_path, self._pack, state)

    def _take_up(self, state: dict[str, Any]) -> bool:
        """Read again what is there; tell whether it is what the state says."""
        left = state["bytes"]
        while left and (piece := self._file.read(min(left, 1 << 20))):
            self._hash.update(piece)
            left -= len(piece)
        if left or self._hash.hexdigest() != state["sha256"]:
            return False
        self._file.truncate()
        self.rows = state["rows"]
        return True

    def _start_over(self) -> None:
        self._hash = hashlib.sha256(HEADER)
        self._file.seek(0)
        self._file.truncate()
        self._file.write(HEADER)
        self._sync()
