"""Tickets of captchas: each is good for one person's draw of one scan, and is asked about once (RISK-08).

The platform takes a ticket once, and forgets who showed it. So the ticket is written down with its person and
its scan before the platform is asked, in a transaction of its own: whoever shows it for another draw is
refused, and two who show it at once do not both ask. What the platform said is kept with it: a shopper whose
answer got lost shows the same ticket again and goes on where they stood. No answer is no pass and no refusal:
the ticket stays open, and so does the chance; after MOST_ASKS questions another captcha is to be solved.

A ticket that passed and whose answer we never wrote down (the process died) is refused by the platform as
used when it is asked about again; the shopper then solves another one.
"""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.db import secrets
from app.db.engine import Replay
from app.db.once import insert_once
from app.kernel.actor import SYSTEM
from app.risk.errors import TooManyCaptchas
from app.risk.interfaces import Check, Finding
from app.risk.models import TICKETS, CaptchaTicket, TicketState

CAPTCHA_ALERT = "risk.captcha"
MOST_FAILED = 20
"""So many tickets a person and day may be refused: each question costs the brand money."""

MOST_ASKS = 5
"""So often the platform is asked about one ticket while it gives no answer."""

GOOD_FOR = timedelta(minutes=10)
"""How long after it passed a ticket counts for its draw."""

LEASE = timedelta(seconds=10)
"""Longer than a question to the platform takes: whoever asked before that is gone."""

_DAY = timedelta(days=1)
KEEP = timedelta(days=2)
_STATES = {
    Finding.PASSED: TicketState.PASSED,
    Finding.REFUSED: TicketState.REFUSED,
    Finding.DOUBTFUL: TicketState.REFUSED,
    Finding.UNKNOWN: TicketState.OPEN,
    Finding.BROKEN: TicketState.OPEN,
}
_CONTEXT = "captcha_tickets.digest"


def take_ticket(
    session: Session, *, ticket: str, person_id: int, scan_id: int, now: datetime
) -> TicketState | None:
    """Take a ticket for a person's draw of a scan; None: the caller is the one to ask the platform now.

    Otherwise how it stands: PASSED or REFUSED, also for a ticket of another draw, one that passed too long
    ago, or one that was asked about MOST_ASKS times; ASKED while somebody else is asking. Three statements at
    most.

    Raises TooManyCaptchas after MOST_FAILED tickets of this person within a day that were refused; Replay
    when somebody else took it at the same moment.
    """
    digest = secrets.ring().blind(_CONTEXT, ticket)
    known = session.connection().execute(_KNOWN, {"ticket": digest}).first()
    if known is None:
        _require_patience(session, person_id, now)
        _write_down(session, digest, person_id, scan_id, now)
        return None
    if (known.person_id, known.scan_id) != (person_id, scan_id):
        return TicketState.REFUSED
    if known.passed_at is not None:
        return TicketState.PASSED if known.passed_at > now - GOOD_FOR else TicketState.REFUSED
    if known.state is TicketState.REFUSED:
        return TicketState.REFUSED
    if known.state is TicketState.ASKED and known.asked_at > now - LEASE:
        return TicketState.ASKED
    if known.asks >= MOST_ASKS:
        return TicketState.REFUSED
    return None if _ask_again(session, digest, now) else TicketState.ASKED


_KNOWN = select(
    CaptchaTicket.person_id,
    CaptchaTicket.scan_id,
    CaptchaTicket.state,
    CaptchaTicket.asked_at,
    CaptchaTicket.asks,
    CaptchaTicket.passed_at,
).where(CaptchaTicket.digest == bindparam("ticket"))


def _require_patience(session: Session, person_id: int, now: datetime) -> None:
    failed = select(func.count()).where(
        CaptchaTicket.person_id == person_id,
        CaptchaTicket.taken_at > now - _DAY,
        CaptchaTicket.state == TicketState.REFUSED,
    )
    if session.connection().execute(failed).scalar_one() >= MOST_FAILED:
        raise TooManyCaptchas(
            "too many captchas were not solved; come back tomorrow, the code keeps its chance"
        )


def _write_down(session: Session, digest: bytes, person_id: int, scan_id: int, now: datetime) -> None:
    row = {
        "digest": digest,
        "person_id": person_id,
        "scan_id": scan_id,
        "state": TicketState.ASKED,
        "taken_at": now,
        "asked_at": now,
        "asks": 1,
        "passed_at": None,
    }
    if not insert_once(session, insert(CaptchaTicket), row):
        raise Replay


def _ask_again(session: Session, digest: bytes, now: datetime) -> bool:
    """Take the asking over where nobody does: of several at once one gets it."""
    free = (CaptchaTicket.state == TicketState.OPEN) | (
        (CaptchaTicket.state == TicketState.ASKED) & (CaptchaTicket.asked_at <= now - LEASE)
    )
    mine = (
        update(CaptchaTicket)
        .where(CaptchaTicket.digest == digest, free, CaptchaTicket.asks < MOST_ASKS)
        .values(state=TicketState.ASKED, asked_at=now, asks=CaptchaTicket.asks + 1)
    )
    return session.connection().execute(mine).rowcount == 1


def settle_ticket(session: Session, *, ticket: str, check: Check, now: datetime) -> TicketState:
    """Keep what the platform said of a ticket; return the state it has come to.

    Where another answer came first that may differ from what was said now: a pass stays a pass. Raises the
    alert `risk.captcha` where our own account or keys are at fault, and settles it when a ticket passes.
    """
    state = _STATES[check.finding]
    digest = secrets.ring().blind(_CONTEXT, ticket)
    kept = (
        update(CaptchaTicket)
        .where(CaptchaTicket.digest == digest, CaptchaTicket.state.in_(TICKETS.sources(state)))
        .values(state=state, passed_at=now if state is TicketState.PASSED else None)
    )
    if not session.connection().execute(kept).rowcount:
        state = session.connection().execute(_KNOWN, {"ticket": digest}).one().state
    if check.finding is Finding.PASSED:
        resolve_alert(session, kind=CAPTCHA_ALERT, subject="account", by=SYSTEM.label, now=now)
    elif check.finding is Finding.BROKEN or (
        check.finding is Finding.DOUBTFUL and not _passed_lately(session, now)
    ):
        _warn(session, check, now)
    return state


def _passed_lately(session: Session, now: datetime) -> bool:
    """Tell whether a ticket has passed within a day: then our settings are right, and the doubt is forged."""
    wanted = select(CaptchaTicket.digest).where(
        CaptchaTicket.taken_at > now - _DAY, CaptchaTicket.state == TicketState.PASSED
    )
    return session.connection().execute(wanted.limit(1)).first() is not None


def _warn(session: Session, check: Check, now: datetime) -> None:
    broken = check.finding is Finding.BROKEN
    told = (
        "Captchas cannot be checked, and draws that ask for one do not go on"
        if broken
        else "A captcha's ticket was not of our captcha app, and none has passed within a day"
    )
    raise_alert(
        session,
        kind=CAPTCHA_ALERT,
        subject="account",
        severity=Severity.CRITICAL if broken else Severity.WARNING,
        detail=f"{told} ({check.reason}). `saoma doctor` tries the account; docs/risk.md says what each code"
        " means. Rules without captcha steps can be enforced meanwhile.",
        now=now,
    )


def purge_captcha_tickets(session: Session, *, now: datetime, limit: int = 1000) -> int:
    """Forget tickets that the platform would not take any more; return how many."""
    old = select(CaptchaTicket.digest).where(CaptchaTicket.taken_at < now - KEEP).limit(limit)
    digests = session.connection().execute(old).scalars().all()
    if digests:
        session.connection().execute(delete(CaptchaTicket).where(CaptchaTicket.digest.in_(digests)))
    return len(digests)
