"""What proves the platform's messages to an app: Token and EncodingAESKey, and those of until lately.

They are exchanged in the platform's console and here, never at the same moment, and what was pushed under the
former pair is repeated after that. So the former pair counts for a while. For a day only, less than a payer's
former keys: whoever knows a Token and its key can forge a message, while a payer's keys only open what
WeChat Pay has signed. A pair that has leaked is exchanged without any overlap.
Sources: SEC-03, platform contracts 2.1, 2.2.
"""

import re
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.kernel.ids import new_id
from app.organisation.errors import InvalidMessageKeys, UnknownApp
from app.organisation.interfaces import MessageKeys
from app.organisation.models import App, AppOldMessageKeys

OVERLAP = timedelta(days=1)
_TOKEN = re.compile(r"[A-Za-z0-9]{3,32}")
_ENCODING_KEY = re.compile(r"[A-Za-z0-9]{43}")


def set_message_keys(
    session: Session, *, appid: str, token: str, encoding_key: str, now: datetime, at_once: bool = False
) -> datetime | None:
    """Keep what proves the platform's messages to an app; return until when the former pair counts as well.

    None where there was none, or the same. `at_once`: no former pair counts any more, from now on.
    Raises UnknownApp, InvalidMessageKeys.
    """
    if not _TOKEN.fullmatch(token) or not _ENCODING_KEY.fullmatch(encoding_key):
        raise InvalidMessageKeys("a token has 3 to 32 letters and digits, an EncodingAESKey 43 of them")
    known = _locked(session, appid)
    connection = session.connection()
    ended = AppOldMessageKeys.app_id == known.app_id
    if not at_once:
        ended &= AppOldMessageKeys.until <= now
    connection.execute(delete(AppOldMessageKeys).where(ended))
    if (known.token, known.encoding_key) == (token, encoding_key):
        return None
    kept = update(App).where(App.id == known.app_id).values(message_token=token, message_key=encoding_key)
    connection.execute(kept)
    if at_once or not known.token or not known.encoding_key:
        return None
    row = {
        "id": new_id(),
        "app_id": known.app_id,
        "token": known.token,
        "encoding_key": known.encoding_key,
        "until": now + OVERLAP,
    }
    connection.execute(insert(AppOldMessageKeys), row)
    return now + OVERLAP


def _locked(session: Session, appid: str) -> MessageKeys:
    """Return the keys of an app, "" for none, and let nobody else exchange them meanwhile."""
    wanted = select(App.id, App.message_token, App.message_key).where(App.appid == appid).with_for_update()
    row = session.connection().execute(wanted).first()
    if row is None:
        raise UnknownApp("there is no app with this appid")
    return MessageKeys(row.id, appid, row.message_token or "", row.message_key or "")


def message_keys(session: Session, *, appid: str) -> MessageKeys:
    """Return what proves the platform's messages to an app; raise UnknownApp, also when nothing does."""
    wanted = select(App.id, App.appid, App.message_token, App.message_key).where(App.appid == appid)
    row = session.connection().execute(wanted).first()
    if row is None or row.message_token is None or row.message_key is None:
        raise UnknownApp("no app of ours takes messages under this appid")
    return MessageKeys(row.id, row.appid, row.message_token, row.message_key)


def former_message_keys(session: Session, present: MessageKeys, *, now: datetime) -> list[MessageKeys]:
    """Return the pairs with which a message to the app may come as well at `now`, the latest first."""
    wanted = (
        select(AppOldMessageKeys.token, AppOldMessageKeys.encoding_key)
        .where(AppOldMessageKeys.app_id == present.app_id, AppOldMessageKeys.until > now)
        .order_by(AppOldMessageKeys.id.desc())
    )
    rows = session.connection().execute(wanted)
    return [MessageKeys(present.app_id, present.appid, token, key) for token, key in rows]


def forget_message_keys(session: Session, *, now: datetime) -> int:
    """Remove pairs that count no more; return how many."""
    ended = delete(AppOldMessageKeys).where(AppOldMessageKeys.until <= now)
    return session.connection().execute(ended).rowcount
