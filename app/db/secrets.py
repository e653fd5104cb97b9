"""One key ring for everything that is sealed, signed or looked up blind.

The installation holds master keys under version numbers; one of them seals, all of them open, so a key is
rotated without stopping: first every process learns the new key, then it takes over sealing. Every purpose
gets a key of its own by HKDF. Blind indexes and public ids must give the same answer for ever, so they hang
from the lowest version, which must never be removed (ADR 14).
"""

import hashlib
import hmac
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12
_KEY_BYTES = 32


class SealBroken(Exception):
    """A sealed value was altered, belongs to another column, or its key is gone."""


class KeyRing:
    """Versioned master keys (version -> 32 bytes); `sealing` seals and signs, the highest unless given."""

    def __init__(self, masters: dict[int, bytes], *, sealing: int | None = None) -> None:
        if not masters or any(len(key) != _KEY_BYTES for key in masters.values()):
            raise ValueError("a key ring has at least one key, each of 32 bytes")
        if any(not 0 < version < 1 << 16 for version in masters):
            raise ValueError("key versions go from 1 to 65535")
        if sealing is not None and sealing not in masters:
            raise ValueError("the key that seals is one of the ring")
        self._masters = dict(masters)
        self.sealing = max(masters) if sealing is None else sealing
        self._oldest = min(masters)
        self._derive = lru_cache(maxsize=256)(self._derive_uncached)
        self._cipher = lru_cache(maxsize=64)(self._cipher_uncached)

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions of the keys, lowest first."""
        return tuple(sorted(self._masters))

    def seal(self, context: str, plaintext: bytes) -> bytes:
        """Encrypt `plaintext` for `context` (table.column): version, nonce, ciphertext and tag."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        body = self._cipher(self.sealing).encrypt(nonce, plaintext, context.encode())
        return self.sealing.to_bytes(2) + nonce + body

    def open(self, context: str, sealed: bytes) -> bytes:
        """Decrypt what `seal` made for the same `context`; raise SealBroken for anything else."""
        version = int.from_bytes(sealed[:2])
        if version not in self._masters:
            raise SealBroken(f"no key of version {version}")
        nonce, body = sealed[2 : 2 + _NONCE_BYTES], sealed[2 + _NONCE_BYTES :]
        try:
            return self._cipher(version).decrypt(nonce, body, context.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(f"not sealed for {context}") from None

    def blind(self, context: str, value: str) -> bytes:
        """Return the 32-byte blind index of `value`: equal values are found, none can be read."""
        return hmac.digest(self.derive(f"blind/{context}"), value.encode(), hashlib.sha256)

    def derive(self, purpose: str) -> bytes:
        """Return the 32-byte key of a `purpose` that must never change (public ids, blind indexes)."""
        return self._derive(self._oldest, purpose)

    def signing_keys(self, purpose: str) -> list[bytes]:
        """Return the keys of a `purpose` that may rotate: the first signs, all verify."""
        others = sorted(self._masters.keys() - {self.sealing}, reverse=True)
        return [self._derive(version, purpose) for version in (self.sealing, *others)]

    def proof(self, version: int) -> bytes:
        """Return 32 bytes that only the key of `version` makes, and that tell nothing about it."""
        return self._derive(version, "key-proof")

    def _derive_uncached(self, version: int, purpose: str) -> bytes:
        kdf = HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=b"saoma/1", info=purpose.encode())
        return kdf.derive(self._masters[version])

    def _cipher_uncached(self, version: int) -> AESGCM:
        return AESGCM(self._derive(version, "seal"))


_ring: KeyRing | None = None


def bind(ring: KeyRing) -> None:
    """Make `ring` the one with which this process opens encrypted columns."""
    global _ring  # noqa: PLW0603 - column types have no other way to reach the settings
    _ring = ring


def ring() -> KeyRing:
    """Return the key ring of this process."""
    if _ring is None:
        raise RuntimeError("no key ring is bound; the factory binds it at the start")
    return _ring
