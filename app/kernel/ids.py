"""Ids made by the application, and the public form of them.

An id is 63 bits: 41 bits of milliseconds since 2024, 12 bits of node, 10 bits of sequence. Ids grow with
time, so a B-tree appends; no round trip to the database is needed to know one. Two processes share no
state: each has its own node number, which the database hands out (app.db.nodes), and should two ever
collide, the primary key refuses the row.

Sequential ids tell a competitor how many members joined last week. What leaves the house is therefore a
keyed permutation of the id (a four-round Feistel network over 64 bits, the kind of thing as tweak): it is
reversible, so no second column and no second index is needed, and a draw's public id is never a valid
award's.
"""

import base64
import hashlib
import os
import secrets
import threading
import time
from functools import lru_cache
from typing import Any

from app.kernel.errors import NotFound

EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
NODE_COUNT = 1 << 12
_SEQUENCE_BITS = 10
_NODE_BITS = 12
_ROUNDS = 4
_TEXT_LENGTH = 13
# Base32 of 64 bits: six pairs of letters and one whose last bit is not used.
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
_SHIFTS = (55, 45, 35, 25, 15, 5)


class UnknownPublicId(NotFound):
    """A public id that this installation never gave out."""

    code = "not_found"


class IdMaker:
    """Makes ids for one process; thread-safe; never goes back when the clock does."""

    def __init__(self, node: int) -> None:
        if not 0 <= node < NODE_COUNT:
            raise ValueError("a node number has 12 bits")
        self._node = node
        self._lock = threading.Lock()
        self._last = 0

    def new(self) -> int:
        """Return an id larger than every one that this maker returned before."""
        with self._lock:
            tick = (time.time_ns() // 1_000_000 - EPOCH_MS) << _SEQUENCE_BITS
            # A burst of more than 1,024 ids in a millisecond borrows from the next one.
            self._last = max(self._last + 1, tick)
            milliseconds, sequence = divmod(self._last, 1 << _SEQUENCE_BITS)
        return (milliseconds << (_NODE_BITS + _SEQUENCE_BITS)) | (self._node << _SEQUENCE_BITS) | sequence


_maker = IdMaker(secrets.randbelow(NODE_COUNT))


def use_node(node: int) -> None:
    """Make this process number its ids with `node`, which no other living process has."""
    global _maker  # noqa: PLW0603 - one id maker per process is the point
    _maker = IdMaker(node)


def new_id() -> int:
    """Return a new 63-bit id, ordered by time."""
    return _maker.new()


def id_before(seconds: float) -> int:
    """Return an id below every one that was made in the last `seconds`, and above all earlier ones."""
    milliseconds = int((time.time() - seconds) * 1000) - EPOCH_MS
    return milliseconds << (_NODE_BITS + _SEQUENCE_BITS)


def id_distance(seconds: int) -> int:
    """Return how far apart ids are that were made `seconds` apart."""
    return seconds * 1000 << (_NODE_BITS + _SEQUENCE_BITS)


def _after_fork() -> None:
    use_node(secrets.randbelow(NODE_COUNT))


# A forked child would otherwise repeat its parent's next ids.
os.register_at_fork(after_in_child=_after_fork)


_REMEMBERED = 4096


class PublicIds:
    """Turns ids into the form that leaves the house, and back."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._rounds: dict[str, list[Any]] = {}
        # Campaigns and products are in every answer, a person's visits come close together.
        self._encoded = lru_cache(maxsize=_REMEMBERED)(self._encode)

    def encode(self, kind: str, number: int) -> str:
        """Return the public form of id `number` of `kind`, such as "aw_3x7…" (architecture section 4)."""
        return self._encoded(kind, number)

    def _encode(self, kind: str, number: int) -> str:
        left, right = number >> 32, number & 0xFFFFFFFF
        for keyed in self._keyed(kind):
            left, right = right, left ^ _mix(keyed, right)
        bits = ((left << 32) | right) << 1
        return f"{kind}_{''.join([_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])}{_LETTERS[bits & 31]}"

    def decode(self, kind: str, text: str) -> int:
        """Return the id behind public id `text`; raise UnknownPublicId when it is not one of `kind`."""
        prefix, _, body = text.partition("_")
        try:
            if prefix != kind or len(body) != _TEXT_LENGTH or not body.isascii():
                raise ValueError
            raw = int.from_bytes(base64.b32decode(body.upper() + "==="))
        except ValueError:
            raise UnknownPublicId("there is nothing with this id") from None
        left, right = raw >> 32, raw & 0xFFFFFFFF
        for keyed in reversed(self._keyed(kind)):
            left, right = right ^ _mix(keyed, left), left
        number = (left << 32) | right
        # 63 bits go in: a set top bit was never given out. The second test refuses the spellings that
        # base32 has for one number (its last letter carries one bit that is not used).
        if number >> 63 or self.encode(kind, number) != text:
            raise UnknownPublicId("there is nothing with this id")
        return number

    def _keyed(self, kind: str) -> list[Any]:
        """Return the hash of each round, keyed and ready to be copied: keying costs more than hashing."""
        found = self._rounds.get(kind)
        if found is None:
            found = self._rounds[kind] = [
                hashlib.blake2b(digest_size=4, key=self._key, salt=kind.encode(), person=bytes([step]))
                for step in range(_ROUNDS)
            ]
        return found


def _mix(keyed: Any, half: int) -> int:
    digest = keyed.copy()
    digest.update(half.to_bytes(4))
    return int.from_bytes(digest.digest())
