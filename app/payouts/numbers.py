"""The numbers under which our bills are known at WeChat Pay."""

import re

from app.db import secrets
from app.kernel.ids import PublicIds

_NUMBER = re.compile(r"SB[A-Z2-7]{13}[0-9]{2,5}")


def bill_number(award_id: int, generation: int) -> str:
    """Return the number of an award's bill: 17 letters and digits that tell nobody how many there are.

    It follows from the award and from which of its bills it is, and from nothing else. Should a backup be
    restored that does not know a bill, the next tap on Collect names the number that the bill had, and the
    platform answers how it ended instead of paying again.
    """
    public = PublicIds(secrets.ring().derive("payouts.bill_no"))
    return f"SB{public.encode('bl', award_id).removeprefix('bl_').upper()}{generation:02d}"


def is_bill_number(text: str) -> bool:
    """Tell whether `text` has the form of our bill numbers; only the book tells whether it is one."""
    return _NUMBER.fullmatch(text) is not None
