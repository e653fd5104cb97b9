"""The token of a login (pure): the session's id and the end of the session, sealed and URL-safe.

The token alone decides nothing: the session's row must be alive too, so a session can be revoked. What the
seal saves is a database look-up for every made-up token.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from app.identity.errors import InvalidToken
from app.identity.sealed_numbers import NotSealed, seal, unseal

PURPOSE = "session"
_PREFIX = "s1."
_LONGEST = 64


def sign(keys: Sequence[bytes], *, session_id: int, expires_at: datetime) -> str:
    """Return the token of a session; `keys` are `keyring.signing_keys("session")`, the first one signs."""
    sealed = seal(keys, purpose=PURPOSE, number=session_id, expires_at=expires_at)
    return _PREFIX + base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def verify(keys: Sequence[bytes], *, token: str, now: datetime) -> int:
    """Return the session id of a token; raise InvalidToken for a forged, altered or outlived one."""
    session_id, ends_at = _opened(tuple(keys), token)
    if ends_at <= now.timestamp():
        raise InvalidToken("the token is not valid; log in again")
    return session_id


# A shopper sends the same token with each request of a visit. What was refused is not kept, so nobody can
# crowd out what was genuine.
@lru_cache(maxsize=10_000)
def _opened(keys: tuple[bytes, ...], token: str) -> tuple[int, int]:
    """Return the session id in a token and its end, in Unix seconds; raise InvalidToken."""
    try:
        if not token.startswith(_PREFIX) or len(token) > _LONGEST:
            raise NotSealed("not a session token")
        body = token.removeprefix(_PREFIX)
        sealed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        # base64 has several spellings of the same bytes; only ours is a token.
        if base64.urlsafe_b64encode(sealed).decode().rstrip("=") != body:
            raise NotSealed("not our spelling")
        return unseal(keys, purpose=PURPOSE, sealed=sealed)
    except (NotSealed, binascii.Error, ValueError):
        raise InvalidToken("the token is not valid; log in again") from None
