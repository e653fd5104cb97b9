"""The link with which a winner asks friends for help (pure): which award, until its deadline, signed."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime

from app.campaigns.errors import BadHelpLink
from app.identity.sealed_numbers import NotSealed, open_sealed, seal

KEY_PURPOSE = "help_link"
"""The keys are `keyring.signing_keys(KEY_PURPOSE)`."""

_PREFIX = "H1"
_LENGTH = 49
_SEAL = "award/help"


def sign(keys: Sequence[bytes], *, award_id: int, deadline_at: datetime) -> str:
    """Return the token of an award: 49 capital letters and digits, good until the award's deadline."""
    sealed = seal(keys, purpose=_SEAL, number=award_id, expires_at=deadline_at)
    return _PREFIX + base64.b32encode(sealed).decode().rstrip("=")


def verify(keys: Sequence[bytes], *, text: str, now: datetime) -> int:
    """Return the award that help is asked for; raise BadHelpLink."""
    try:
        if len(text) != _LENGTH or not text.startswith(_PREFIX):
            raise NotSealed("not a help link")
        body = text.removeprefix(_PREFIX)
        return open_sealed(
            keys, purpose=_SEAL, sealed=base64.b32decode(body + "=" * (-len(body) % 8)), now=now
        )
    except (NotSealed, binascii.Error, ValueError):
        raise BadHelpLink("the link is too old or not for this; ask your friend for a new one") from None
