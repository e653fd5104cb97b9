"""Questions that the rules cannot answer: whether two persons are the same human being.

A conflict that was answered "no" (kept apart, or its identifier moved) is also the memory of that answer: it
bars every later merge across the pair, so neither the next record nor the nightly batch undoes what somebody
decided. Only a merge by an operator's hand lifts it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import and_, insert, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from app.db.once import insert_once
from app.identity.models import ConflictReason, ConflictState, IdentityConflict, LogAction
from app.identity.rules import Objection
from app.identity.trail import log
from app.identity.values import IdentifierKind
from app.kernel.actor import Actor
from app.kernel.ids import new_id
from app.kernel.transitions import TransitionTable

STATES = TransitionTable(
    {
        ConflictState.OPEN: {
            ConflictState.MERGED,
            ConflictState.KEPT_APART,
            ConflictState.MOVED,
            ConflictState.VOID,
        },
        ConflictState.MERGED: {ConflictState.OPEN, ConflictState.KEPT_APART},
        ConflictState.KEPT_APART: {ConflictState.MERGED},
        ConflictState.MOVED: {ConflictState.MERGED},
        ConflictState.VOID: {ConflictState.OPEN, ConflictState.MERGED},
    }
)

_BARRING = (ConflictState.KEPT_APART, ConflictState.MOVED)


def ask(
    session: Session,
    objection: Objection,
    *,
    claimant: int,
    owner: int,
    identifier_id: int,
    now: datetime,
    actor: Actor,
) -> int | None:
    """Open a conflict, or find the open one; return its id, or None when it has been answered with no."""
    first, second = sorted((claimant, owner))
    key = _link_key(first, second, identifier_id)
    conflict_id = new_id()
    row = {
        "id": conflict_id,
        "link_key": key,
        "person_a": first,
        "person_b": second,
        "claimant_id": claimant,
        "identifier_id": identifier_id,
        "reason": objection.reason,
        "disagreeing_kind": objection.kind,
        "state": ConflictState.OPEN,
        "opened_at": now,
    }
    if not insert_once(session, insert(IdentityConflict), row):
        wanted = select(IdentityConflict.id, IdentityConflict.state).where(IdentityConflict.link_key == key)
        found = session.connection().execute(wanted).one()
        if found.state is ConflictState.OPEN:
            return int(found.id)
        if not STATES.allows(found.state, ConflictState.OPEN):
            return None
        conflict_id = found.id
        again = {**row, "id": conflict_id, "resolved_at": None, "resolved_by": None}
        session.connection().execute(
            update(IdentityConflict).where(IdentityConflict.id == conflict_id).values(again)
        )
    log(
        session,
        LogAction.CONFLICT,
        now=now,
        actor=actor,
        person_id=claimant,
        other_person_id=owner,
        identifier_id=identifier_id,
        subject_id=conflict_id,
        detail={"reason": objection.reason, "kind": objection.kind},
    )
    return conflict_id


def keep_apart(
    session: Session, *, pair: tuple[int, int], identifier_id: int | None, now: datetime, actor: Actor
) -> None:
    """Remember that the persons of `pair`, merged because of an identifier, are two after all."""
    key = _link_key(*pair, identifier_id)
    answer = {"state": ConflictState.KEPT_APART, "resolved_at": now, "resolved_by": actor.label}
    row = {
        "id": new_id(),
        "link_key": key,
        "person_a": min(pair),
        "person_b": max(pair),
        "claimant_id": max(pair),
        "identifier_id": identifier_id,
        "reason": ConflictReason.UNMERGED,
        "opened_at": now,
        **answer,
    }
    if insert_once(session, insert(IdentityConflict), row):
        return
    known = update(IdentityConflict).where(
        IdentityConflict.link_key == key,
        IdentityConflict.state.in_(STATES.sources(ConflictState.KEPT_APART)),
    )
    session.connection().execute(known.values(answer))


def settle_between(
    session: Session, left: Collection[int], right: Collection[int], *, now: datetime, actor: Actor
) -> None:
    """Mark every question between two clusters' persons as answered by their merge."""
    answered = update(IdentityConflict).where(
        IdentityConflict.state.in_(STATES.sources(ConflictState.MERGED)), _between(left, right)
    )
    answer = {"state": ConflictState.MERGED, "resolved_at": now, "resolved_by": actor.label}
    session.connection().execute(answered.values(answer))


def barred(session: Session, left: Collection[int], right: Collection[int]) -> bool:
    """Tell whether somebody decided that persons of two clusters are different human beings."""
    wanted = select(IdentityConflict.id).where(IdentityConflict.state.in_(_BARRING), _between(left, right))
    return session.connection().execute(wanted.limit(1)).first() is not None


def resting_on(
    session: Session, person_ids: Collection[int], *, kind: IdentifierKind, but: int
) -> Sequence[int]:
    """Return the open questions about a cluster that a disagreement in `kind` keeps from being a merge.

    Args: but is an identifier whose own questions do not count: they lapse with its say.
    """
    wanted = select(IdentityConflict.id).where(
        IdentityConflict.state == ConflictState.OPEN,
        IdentityConflict.disagreeing_kind == kind,
        IdentityConflict.identifier_id != but,
        or_(IdentityConflict.person_a.in_(person_ids), IdentityConflict.person_b.in_(person_ids)),
    )
    return list(session.connection().execute(wanted.order_by(IdentityConflict.id)).scalars())


def lapse(session: Session, *, identifier_id: int, now: datetime, actor: Actor) -> None:
    """Withdraw the open questions that an identifier raised: it has lost its say."""
    lapsed = update(IdentityConflict).where(
        IdentityConflict.identifier_id == identifier_id,
        IdentityConflict.state.in_(STATES.sources(ConflictState.VOID)),
    )
    answer = {"state": ConflictState.VOID, "resolved_at": now, "resolved_by": actor.label}
    session.connection().execute(lapsed.values(answer))


def _link_key(one: int, other: int, identifier_id: int | None) -> str:
    first, second = sorted((one, other))
    return f"{first}/{second}/{identifier_id or '-'}"


def _between(left: Collection[int], right: Collection[int]) -> ColumnElement[bool]:
    first, second = IdentityConflict.person_a, IdentityConflict.person_b
    return or_(
        and_(first.in_(left), second.in_(right)),
        and_(first.in_(right), second.in_(left)),
    )
