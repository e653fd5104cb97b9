"""A number that travels in the hands of strangers: sealed, with an end (pure, standard library).

Session tokens and member codes are both this. The bytes are a synthetic-IV construction over HMAC-SHA256:
a tag over purpose, number and expiry, then number and expiry hidden under a pad that the tag selects. So
nobody reads a running id from a code shown at a till, nobody alters one, and the same number sealed twice
for the same moment looks the same, which a client may rely on when it compares tokens.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

_NUMBER_BYTES = 8
_EXPIRY_BYTES = 5
_TAG_BYTES = 16
SEALED_BYTES = _TAG_BYTES + _NUMBER_BYTES + _EXPIRY_BYTES


class NotSealed(ValueError):
    """The bytes were not made with one of the keys for this purpose, or their time is over."""


def seal(keys: Sequence[bytes], *, purpose: str, number: int, expires_at: datetime) -> bytes:
    """Return `number` (63 bits) sealed with the first key until `expires_at`, in whole seconds."""
    plain = number.to_bytes(_NUMBER_BYTES) + int(expires_at.timestamp()).to_bytes(_EXPIRY_BYTES)
    tag = _tag(keys[0], purpose, plain)
    return tag + _pad(keys[0], tag, plain)


def open_sealed(keys: Sequence[bytes], *, purpose: str, sealed: bytes, now: datetime) -> int:
    """Return the number in `sealed`; raise NotSealed."""
    number, ends_at = unseal(keys, purpose=purpose, sealed=sealed)
    if ends_at <= now.timestamp():
        raise NotSealed("its time is over")
    return number


def unseal(keys: Sequence[bytes], *, purpose: str, sealed: bytes) -> tuple[int, int]:
    """Return the number in `sealed` and its end, in Unix seconds, whether or not that is over.

    Every key is tried, so that one can be rotated; tags are compared in constant time. Raises NotSealed.
    """
    if len(sealed) != SEALED_BYTES:
        raise NotSealed("not of the right length")
    tag, hidden = sealed[:_TAG_BYTES], sealed[_TAG_BYTES:]
    for key in keys:
        plain = _pad(key, tag, hidden)
        if hmac.compare_digest(_tag(key, purpose, plain), tag):
            return int.from_bytes(plain[:_NUMBER_BYTES]), int.from_bytes(plain[_NUMBER_BYTES:])
    raise NotSealed("not made here")


def _tag(key: bytes, purpose: str, plain: bytes) -> bytes:
    return hmac.digest(key, b"tag/" + purpose.encode() + b"/" + plain, hashlib.sha256)[:_TAG_BYTES]


def _pad(key: bytes, tag: bytes, text: bytes) -> bytes:
    pad = hmac.digest(key, b"pad/" + tag, hashlib.sha256)[: len(text)]
    return (int.from_bytes(text) ^ int.from_bytes(pad)).to_bytes(len(text))
