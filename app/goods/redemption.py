"""The code that a winner shows in a store (pure): which award, for some minutes, signed.

Nothing is stored for it. A screenshot is worthless soon after, and a code that is shown twice is redeemed
once: what is redeemed is the award, not the code.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.goods.errors import BadRedemptionCode
from app.identity.sealed_numbers import NotSealed, open_sealed, seal

KEY_PURPOSE = "redemption_code"
"""The keys are `keyring.signing_keys(KEY_PURPOSE)`."""
LIFETIME = timedelta(minutes=5)

_PREFIX = "R1"
_LENGTH = 49
_SEAL = "award/redeem"


def sign(keys: Sequence[bytes], *, award_id: int, now: datetime) -> str:
    """Return the code of an award: 49 capital letters and digits, good for five minutes."""
    sealed = seal(keys, purpose=_SEAL, number=award_id, expires_at=now + LIFETIME)
    return _PREFIX + base64.b32encode(sealed).decode().rstrip("=")


def verify(keys: Sequence[bytes], *, text: str, now: datetime) -> int:
    """Return the award that a code is for; raise BadRedemptionCode."""
    try:
        if len(text) != _LENGTH or not text.startswith(_PREFIX):
            raise NotSealed("not a redemption code")
        body = text.removeprefix(_PREFIX)
        sealed = base64.b32decode(body + "=" * (-len(body) % 8))
        return open_sealed(keys, purpose=_SEAL, sealed=sealed, now=now)
    except (NotSealed, binascii.Error, ValueError):
        raise BadRedemptionCode("the code is too old or not for this; ask for a fresh one") from None
