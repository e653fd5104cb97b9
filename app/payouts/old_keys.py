"""The keys that a merchant number had until lately: callbacks may still come with them.

Public key and APIv3 key are exchanged on the merchant platform and here, never at the same moment, and
WeChat Pay repeats a callback for a day. Neither old key lets anybody forge: only WeChat Pay signs, and the
APIv3 key only opens what was signed. What we send is always signed and asked for with the present keys.
Sources: SEC-03, platform contracts 4.1, 4.2.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from app.kernel.ids import new_id
from app.payouts.interfaces import PayerCredentials
from app.payouts.models import Payer, PayerOldKeys

OVERLAP = timedelta(days=7)


def keep_old_keys(session: Session, known: Payer, new: tuple[str, str, str], *, now: datetime) -> None:
    """Keep what `known` has now for the overlap, if `new` (APIv3 key, public key id, public key) differs.

    Removes what has been kept for long enough.
    """
    connection = session.connection()
    connection.execute(
        delete(PayerOldKeys).where(PayerOldKeys.payer_id == known.id, PayerOldKeys.until <= now)
    )
    if (known.apiv3_key, known.public_key_id, known.public_key) == new:
        return
    connection.execute(
        insert(PayerOldKeys),
        {
            "id": new_id(),
            "payer_id": known.id,
            "apiv3_key": known.apiv3_key,
            "public_key_id": known.public_key_id,
            "public_key": known.public_key,
            "until": now + OVERLAP,
        },
    )


def former_credentials(
    session: Session, payer_id: int, present: PayerCredentials, *, now: datetime
) -> list[PayerCredentials]:
    """Return the other pairs of public key and APIv3 key with which a callback may come at `now`."""
    kept = session.scalars(
        select(PayerOldKeys)
        .where(PayerOldKeys.payer_id == payer_id, PayerOldKeys.until > now)
        .order_by(PayerOldKeys.id.desc())
    ).all()
    signing = dict.fromkeys(
        [(present.public_key_id, present.public_key_pem)]
        + [(old.public_key_id, old.public_key) for old in kept]
    )
    opening = dict.fromkeys([present.apiv3_key] + [old.apiv3_key for old in kept])
    pairs = [
        replace(present, public_key_id=key_id, public_key_pem=pem, apiv3_key=apiv3_key)
        for (key_id, pem), apiv3_key in product(signing, opening)
    ]
    return [pair for pair in pairs if pair != present]
