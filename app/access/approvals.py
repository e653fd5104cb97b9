"""What takes two: one account proposes, another one decides (SEC-01).

A proposal says exactly what is to happen, and its hash is what the second account approves: another amount is
another proposal, which takes the place of the first. Who proposed cannot decide, by a condition of the UPDATE
and by a CHECK. This room keeps the proposals; what follows from an approval is done by whoever asked for it,
in the same transaction (`app.approving`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from app.access.errors import (
    ApprovalExpired,
    InvalidApproval,
    NotYourProposal,
    PayloadChanged,
    SecondAccountNeeded,
    UnknownApproval,
)
from app.access.models import APPROVAL_TRANSITIONS, Approval, ApprovalState
from app.access.roles import ApprovalKind
from app.db.engine import Replay
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.kernel.json import Json, canonical

LIFE = timedelta(days=7)
_MAX_REASON = 500

_COLUMNS = (
    Approval.id,
    Approval.kind,
    Approval.subject,
    Approval.payload,
    Approval.sha256,
    Approval.reason,
    Approval.proposed_by,
    Approval.proposed_label,
    Approval.proposed_at,
    Approval.expires_at,
    Approval.state,
)
_BY_ID = select(*_COLUMNS).where(Approval.id == bindparam("wanted"))
_APPROVE = (
    update(Approval)
    .where(
        Approval.id == bindparam("wanted"),
        Approval.state == ApprovalState.PROPOSED,
        Approval.proposed_by != bindparam("by"),
        Approval.sha256 == bindparam("read"),
        Approval.expires_at > bindparam("at"),
    )
    .values(
        state=ApprovalState.APPROVED,
        decided_by=bindparam("by"),
        decided_at=bindparam("at"),
        open_subject=None,
    )
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as it is shown and carried out. `payload` is canonical JSON; `sha256` its hash."""

    id: int
    kind: ApprovalKind
    subject: str
    payload: str
    sha256: str
    reason: str
    proposed_by: int
    proposed_label: str
    proposed_at: datetime
    expires_at: datetime
    state: ApprovalState

    @property
    def facts(self) -> dict[str, Any]:
        """The payload, read."""
        read: dict[str, Any] = json.loads(self.payload)
        return read


def propose(
    session: Session,
    *,
    kind: ApprovalKind,
    subject: str,
    payload: Mapping[str, Json],
    reason: str | None,
    now: datetime,
    actor: Actor,
) -> Proposal:
    """Ask for a second account's approval; an open proposal for the same subject ends by it.

    Args: payload is all that carrying it out needs, without personal data; it expires after seven days.
    Raises InvalidApproval (no reason), SecondAccountNeeded (nobody is signed in).
    """
    words = (reason or "").strip()
    if not 1 <= len(words) <= _MAX_REASON:
        raise InvalidApproval(f"somebody else must approve this: say why, in 1 to {_MAX_REASON} characters")
    by = _account(actor)
    text = canonical(dict(payload)).decode()
    open_subject = f"{kind}/{subject}"
    _supersede(session, open_subject, now)
    approval_id = new_id()
    row = {
        "id": approval_id,
        "kind": kind,
        "subject": subject,
        "open_subject": open_subject,
        "payload": text,
        "sha256": _digest(text),
        "reason": words,
        "state": ApprovalState.PROPOSED,
        "proposed_by": by,
        "proposed_label": actor.label[:64],
        "proposed_at": now,
        "expires_at": now + LIFE,
    }
    if not insert_once(session, insert(Approval), row):
        raise Replay
    return proposal(session, approval_id=approval_id)


def approve(session: Session, *, approval_id: int, sha256: str, now: datetime, actor: Actor) -> Proposal:
    """Approve a proposal as another account than its proposer, and return what is to be done now.

    Args: sha256 is the hash of what the approver has read. Raises UnknownApproval, TransitionRefused (decided
    already), SecondAccountNeeded, PayloadChanged (another hash, or the row was altered), ApprovalExpired.
    """
    by = _account(actor)
    found = proposal(session, approval_id=approval_id)
    if _digest(found.payload) != found.sha256:
        raise PayloadChanged("the stored proposal is not the one that was made; refuse it and look into it")
    decided = {"wanted": approval_id, "by": by, "read": sha256, "at": now}
    if session.connection().execute(_APPROVE, decided).rowcount:
        return found
    found = proposal(session, approval_id=approval_id)
    APPROVAL_TRANSITIONS.require(found.state, ApprovalState.APPROVED)
    _require_another(found, by)
    if found.sha256 != sha256:
        raise PayloadChanged("the proposal is not the one that was read", sha256=found.sha256)
    raise ApprovalExpired("it waited for more than seven days; propose it again")


def refuse(session: Session, *, approval_id: int, now: datetime, actor: Actor) -> Proposal:
    """Turn a proposal down, as another account; raise what `approve` raises of these."""
    found = proposal(session, approval_id=approval_id)
    _require_another(found, _account(actor))
    return _end(session, found, ApprovalState.REFUSED, now=now, actor=actor)


def withdraw(session: Session, *, approval_id: int, now: datetime, actor: Actor) -> Proposal:
    """Take one's own proposal back; raise UnknownApproval, TransitionRefused, NotYourProposal."""
    found = proposal(session, approval_id=approval_id)
    if found.proposed_by != _account(actor):
        raise NotYourProposal("somebody else proposed it; refuse it instead")
    return _end(session, found, ApprovalState.WITHDRAWN, now=now, actor=actor)


def proposal(session: Session, *, approval_id: int) -> Proposal:
    """Return a proposal; raise UnknownApproval."""
    row = session.connection().execute(_BY_ID, {"wanted": approval_id}).first()
    if row is None:
        raise UnknownApproval("`saoma approvals list` shows what waits")
    return Proposal(*row)


def pending(session: Session, *, now: datetime) -> list[Proposal]:
    """Return what waits for a second account, the oldest first."""
    waiting = (Approval.state == ApprovalState.PROPOSED, Approval.expires_at > now)
    wanted = select(*_COLUMNS).where(*waiting).order_by(Approval.id)
    return [Proposal(*row) for row in session.connection().execute(wanted)]


def _supersede(session: Session, open_subject: str, now: datetime) -> None:
    """End an open proposal for the same subject: as expired when its time is over."""
    for state, is_over in ((ApprovalState.EXPIRED, True), (ApprovalState.WITHDRAWN, False)):
        due = (Approval.expires_at <= now,) if is_over else ()
        ended = update(Approval).where(Approval.open_subject == open_subject, *due)
        session.connection().execute(ended.values(state=state, decided_at=now, open_subject=None))


def _end(session: Session, found: Proposal, state: ApprovalState, *, now: datetime, actor: Actor) -> Proposal:
    APPROVAL_TRANSITIONS.require(found.state, state)
    ended = (
        update(Approval)
        .where(Approval.id == found.id, Approval.state == ApprovalState.PROPOSED)
        .values(state=state, decided_by=actor.account_id, decided_at=now, open_subject=None)
    )
    if not session.connection().execute(ended).rowcount:
        raise Replay
    return found


def _require_another(found: Proposal, by: int) -> None:
    if by == found.proposed_by:
        raise SecondAccountNeeded("another account than the one that proposed it decides")


def _account(actor: Actor) -> int:
    if actor.account_id is None:
        raise SecondAccountNeeded("only somebody who is signed in proposes and decides")
    return actor.account_id


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
