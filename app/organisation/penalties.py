"""What the platform pushes about an app of ours: its penalties, and what is paused until somebody resumes it.

The platform punishes what it takes for induced sharing, first with a warning and days to mend it. Its reasons
are words for people, so whatever it punishes for, everything that could be the cause stops at once: friends
helping friends. A person looks, mends, and resumes. Source: platform contracts 13.7.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.organisation.errors import NothingPaused
from app.organisation.interfaces import AppMessage
from app.organisation.models import App, AppPenalty, PenaltyKind
from app.organisation.queries import app_by_appid
from app.outbox.operations import receive

MESSAGE_SOURCE = "miniprogram"
PENALTY_EVENT = "wxa_punish_event"
PENALTY_ALERT = "app.penalty"

_LONGEST = 200
_LONGEST_ID = 64
_MOST_SECONDS = 4_102_444_800  # the year 2100: what is later is no Unix time in seconds
# A blocked page is 5 in the platform's table and 10 in its sample.
_KINDS = {
    1: PenaltyKind.WARNING,
    2: PenaltyKind.FUNCTIONS_BLOCKED,
    3: PenaltyKind.TAKEN_DOWN,
    4: PenaltyKind.BANNED,
    5: PenaltyKind.PAGE_BLOCKED,
    10: PenaltyKind.PAGE_BLOCKED,
}


def record_message(session: Session, *, message: AppMessage, now: datetime) -> bool:
    """Put a genuine message into the inbox, once; return False when it has come before."""
    body = {"appid": message.appid, "event": message.event, "content": dict(message.content)}
    return receive(
        session,
        source=MESSAGE_SOURCE,
        dedupe_key=f"{message.appid}:{message.key}"[:128],
        body=json.dumps(body),
        now=now,
    )


def note_penalty(session: Session, *, appid: str, content: Mapping[str, Any], now: datetime) -> bool:
    """Note a penalty and pause what may be its cause, once; return False when it was known.

    What cannot be read of it is left out: a penalty that is not understood pauses, too.
    """
    app_id = app_by_appid(session, appid=appid).id
    told = {**_detail(content), **content}
    kind = _KINDS.get(_number(told.get("event_type")), PenaltyKind.UNKNOWN)
    deadline = _number(told.get("rectify_deadline"))
    row = {
        "id": new_id(),
        "app_id": app_id,
        "punish_id": _text(told.get("punish_id"), _LONGEST_ID) or _digest(content),
        "kind": kind,
        "reason": _text(told.get("illegal_reason")),
        "rule": _text(told.get("rule_name")),
        "rectify_by": datetime.fromtimestamp(deadline, UTC) if deadline else None,
        "received_at": now,
    }
    if not insert_once(session, insert(AppPenalty), row):
        return False
    until = f" The platform wants it mended by {row['rectify_by']:%Y-%m-%d %H:%M} UTC." if deadline else ""
    raise_alert(
        session,
        kind=PENALTY_ALERT,
        subject=appid,
        severity=Severity.CRITICAL,
        detail=f"WeChat punishes the mini-program ({kind}): {row['reason'] or 'no reason told'}.{until}"
        " Friends cannot help friends in it now; what waits for them does not lapse. Look at the platform's"
        " console, mend it, then `saoma apps resume`.",
        now=now,
    )
    return True


def is_paused(session: Session, *, app_id: int) -> bool:
    """Tell whether a penalty pauses what friends do for each other in an app."""
    wanted = select(AppPenalty.id).where(AppPenalty.app_id == app_id, AppPenalty.resumed_at.is_(None))
    return session.connection().execute(wanted.limit(1)).first() is not None


def paused_brands(session: Session) -> frozenset[int | None]:
    """Return the brands whose app is paused; None stands for an app that serves them all."""
    wanted = select(App.brand_id).join(AppPenalty, AppPenalty.app_id == App.id)
    rows = session.connection().execute(wanted.where(AppPenalty.resumed_at.is_(None)).distinct())
    return frozenset(rows.scalars())


def resume(session: Session, *, appid: str, reason: str, now: datetime, actor: Actor) -> int:
    """Let friends help again in an app; return how many penalties this settles.

    Raises UnknownApp, NothingPaused.
    """
    app_id = app_by_appid(session, appid=appid).id
    settled = (
        update(AppPenalty)
        .where(AppPenalty.app_id == app_id, AppPenalty.resumed_at.is_(None))
        .values(resumed_at=now, resumed_by=actor.label[:64], resume_reason=reason[:500])
    )
    count = session.connection().execute(settled).rowcount
    if not count:
        raise NothingPaused("no penalty is open; `saoma apps penalties` shows those that were")
    resolve_alert(session, kind=PENALTY_ALERT, subject=appid, by=actor.label, now=now)
    return count


@dataclass(frozen=True, slots=True)
class PenaltyView:
    """A penalty of the platform against an app, and who resumed what it paused."""

    appid: str
    kind: PenaltyKind
    reason: str
    rule: str
    rectify_by: datetime | None
    received_at: datetime
    resumed_at: datetime | None
    resumed_by: str | None
    resume_reason: str | None


def penalties(session: Session, *, limit: int = 100) -> Sequence[PenaltyView]:
    """Return the platform's penalties, the newest first."""
    row = AppPenalty
    wanted = (
        select(
            App.appid,
            row.kind,
            row.reason,
            row.rule,
            row.rectify_by,
            row.received_at,
            row.resumed_at,
            row.resumed_by,
            row.resume_reason,
        )
        .join(App, App.id == row.app_id)
        .order_by(row.id.desc())
        .limit(limit)
    )
    return [PenaltyView(*found) for found in session.connection().execute(wanted)]


def _detail(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `detail` says: JSON inside a string."""
    try:
        read = json.loads(str(content.get("detail") or "{}"))
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _number(value: object) -> int:
    """Return a whole number as the platform writes it, as a number or as text; 0 for anything else."""
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _MOST_SECONDS:
        return 0
    return int(text)


def _text(value: object, longest: int = _LONGEST) -> str:
    """Return what can be stored of a text; JSON can say surrogates that no database can."""
    return str(value or "").encode(errors="replace").decode()[:longest]


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dict(content), sort_keys=True).encode()).hexdigest()[:32]
