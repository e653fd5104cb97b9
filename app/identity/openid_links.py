"""The four forms in which the number of an openid link travels (pure): sealed, each for its own place.

In the link itself; in a cookie of the browser that opened it, and in another once it was tapped on there;
and in the `state` that WeChat hands back, which takes letters and digits only. One is no use in
the place of another.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from app.identity.errors import LinkOver
from app.identity.sealed_numbers import NotSealed, open_sealed, seal

KEY_PURPOSE = "openid_link"
"""The keys are `keyring.signing_keys(KEY_PURPOSE)`."""

_LENGTH = 47


class Place(StrEnum):
    """Where a sealed number is."""

    LINK = "openid_link/link"
    BROWSER = "openid_link/browser"
    TAPPED = "openid_link/tapped"
    STATE = "openid_link/state"


def write(keys: Sequence[bytes], *, place: Place, link_id: int, expires_at: datetime) -> str:
    """Return 47 capital letters and digits that stand for a link in one place until it ends."""
    sealed = seal(keys, purpose=place, number=link_id, expires_at=expires_at)
    return base64.b32encode(sealed).decode().rstrip("=")


def read(keys: Sequence[bytes], *, place: Place, text: str, now: datetime) -> int:
    """Return the link that `text` stands for in its place; raise LinkOver."""
    try:
        if len(text) != _LENGTH:
            raise NotSealed("not of the right length")
        return open_sealed(keys, purpose=place, sealed=base64.b32decode(text + "="), now=now)
    except (NotSealed, binascii.Error, ValueError):
        raise LinkOver("the link is too old or not ours: get a new one in the mini-program") from None
