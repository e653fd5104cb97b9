"""Chance that nobody can steer and everybody can check afterwards.

A campaign gets 32 random bytes before it starts. Their SHA-256 together with a salt is published with the
rules; the seed itself is stored encrypted and published after the end. Each roll is an HMAC under the
seed over the campaign, the chance that is drawn (batch, index, number of the chance) and what is rolled.
So an outcome depends on nothing that a shopper or an operator can vary: not the time of the request, not
how often it is repeated, not the version of the rules. Without the seed the rolls look random even to
somebody who reads the whole database.

Integers come by rejection, so every value is equally likely; a modulo alone would favour the small ones.
The published formats below are frozen by test vectors: a third party's checker must go on working.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

SEED_BYTES = 32
_SPACE = 1 << 64


@dataclass(frozen=True, slots=True)
class Commitment:
    """A seed with its salt, secret until the end, and the hash by which it was promised."""

    seed: bytes
    salt: bytes
    sha256: str

    @property
    def holds(self) -> bool:
        """Tell whether seed and salt are those that were promised."""
        return len(self.seed) == SEED_BYTES and hmac.compare_digest(commit(self.seed, self.salt), self.sha256)


def commit(seed: bytes, salt: bytes) -> str:
    """Return the promise for a seed: SHA-256 over seed followed by salt, in hex."""
    return hashlib.sha256(seed + salt).hexdigest()


def make_commitment(random_bytes: Callable[[int], bytes]) -> Commitment:
    """Return a fresh seed and its promise. `random_bytes(n)` gives n bytes nobody can predict."""
    seed, salt = random_bytes(SEED_BYTES), random_bytes(SEED_BYTES)
    return Commitment(seed, salt, commit(seed, salt))


@dataclass(frozen=True, slots=True)
class Chance:
    """What a draw consumes: a numbered chance that a code gives in a campaign; codes give one, number 1."""

    campaign_id: int
    batch_id: int
    code_index: int
    number: int = 1

    @property
    def text(self) -> str:
        """Return the identity that goes into every roll: four decimal numbers, not to be confused."""
        return f"{self.campaign_id}|{self.batch_id}|{self.code_index}|{self.number}"


@dataclass(frozen=True, slots=True)
class Roll:
    """One rolled number: what for, below which bound, and what came."""

    purpose: str
    bound: int
    value: int


class DrawStream:
    """The random numbers of one chance. The same purpose and bound always give the same number."""

    __slots__ = ("_prefix", "_seed")

    def __init__(self, seed: bytes, chance: Chance) -> None:
        self._seed = seed
        self._prefix = f"saoma.draw.v1|{chance.text}|"

    def roll(self, purpose: str, bound: int) -> Roll:
        """Return an unbiased number from 0 to `bound` - 1.

        Attempt n reads the first 64 bits, big endian, of HMAC-SHA256(seed, prefix + purpose + "|" + n), from
        n = 0; numbers in the incomplete last stretch of the 64-bit space are rejected, and the next
        attempt is read.
        """
        if not 0 < bound <= _SPACE:
            raise ValueError("a bound lies between 1 and 2 to the 64th")
        limit = _SPACE - _SPACE % bound
        attempt = 0
        while (number := self._number(purpose, attempt)) >= limit:
            attempt += 1
        return Roll(purpose, bound, number % bound)

    def _number(self, purpose: str, attempt: int) -> int:
        message = f"{self._prefix}{purpose}|{attempt}".encode()
        return int.from_bytes(hmac.digest(self._seed, message, "sha256")[:8])


def seal(seed: bytes, record: bytes) -> str:
    """Return the seal over a draw's whole record, in hex.

    Recomputing an outcome shows that it follows from the recorded facts; the seal shows that the facts are
    the recorded ones. While the seed is secret, writing to the database is not enough to forge it.
    """
    return hmac.digest(seed, b"saoma.draw.seal.v1|" + record, "sha256").hex()
