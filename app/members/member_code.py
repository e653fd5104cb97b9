"""The code that a member shows (pure): who it is, for a minute, signed (ID-15).

At the till it identifies the member; a screenshot of it is worthless soon after. For inviting friends the
same code is made for longer and for that purpose alone, so that nobody collects a member's benefits with an
invitation found on a poster. Store staff show a third one, which brings their store along (JOIN-18), for a
shift: it is for who stands before them. Upper-case letters and digits only: a QR code holds those in fewer
modules.
"""

import base64
import binascii
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from app.identity.sealed_numbers import NotSealed, open_sealed, seal
from app.members.errors import InvalidMemberCode

KEY_PURPOSE = "member_code"
"""The keys are `keyring.signing_keys(KEY_PURPOSE)`."""

_PREFIX = "M1"
_LENGTH = 49


class Purpose(StrEnum):
    """What a code is good for."""

    IDENTIFY = "identify"
    INVITE = "invite"
    RECRUIT = "recruit"


LIFETIME = {
    Purpose.IDENTIFY: timedelta(seconds=60),
    Purpose.INVITE: timedelta(days=30),
    Purpose.RECRUIT: timedelta(hours=12),
}


def sign(
    keys: Sequence[bytes],
    *,
    person_id: int,
    now: datetime,
    purpose: Purpose = Purpose.IDENTIFY,
    valid_for: timedelta | None = None,
) -> str:
    """Return the code of a person: 49 characters, good for `valid_for`, else for `LIFETIME[purpose]`."""
    expires_at = now + (valid_for or LIFETIME[purpose])
    sealed = seal(keys, purpose=f"member/{purpose}", number=person_id, expires_at=expires_at)
    return _PREFIX + base64.b32encode(sealed).decode().rstrip("=")


def verify(
    keys: Sequence[bytes],
    *,
    text: str,
    now: datetime,
    purposes: Collection[Purpose] = (Purpose.IDENTIFY,),
) -> int:
    """Return the person id of a code made for one of `purposes`; raise InvalidMemberCode."""
    try:
        if len(text) != _LENGTH or not text.startswith(_PREFIX):
            raise NotSealed("not a member code")
        body = text.removeprefix(_PREFIX)
        sealed = base64.b32decode(body + "=" * (-len(body) % 8))
        # The last letter has bits that base32 does not use; only our spelling is a code.
        if base64.b32encode(sealed).decode().rstrip("=") != body:
            raise NotSealed("not our spelling")
    except (NotSealed, binascii.Error, ValueError):
        raise InvalidMemberCode("this is not a member code") from None
    for purpose in purposes:
        try:
            return open_sealed(keys, purpose=f"member/{purpose}", sealed=sealed, now=now)
        except NotSealed:
            continue
    raise InvalidMemberCode("the code is too old or not for this; show a fresh one")
