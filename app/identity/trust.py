"""An operator takes an identifier its say in who is who, and gives it back.

A demoted identifier stays with its owner but is no evidence any more, neither that two persons are one nor
that they are two.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.db.engine import Replay
from app.identity import clusters, conflicts, matching, queries
from app.identity.errors import AlreadyDemoted, DemotionRefused, ReinstateRefused
from app.identity.models import Identifier, IdentifierState, LogAction
from app.identity.queries import IdentifierView
from app.identity.trail import log
from app.kernel.actor import Actor


def demote(session: Session, *, identifier_id: int, reason: str, now: datetime, actor: Actor) -> None:
    """Take an identifier its say by an operator's hand: it says nothing of who somebody is (ID-07).

    It stays with its owner, joins nobody, holds nobody apart, raises no question; its open questions lapse.
    No new bill pays to it, those that are open do. Merges that it caused stay. `reinstate` gives it back.
    Raises UnknownIdentifier, AlreadyDemoted, and DemotionRefused while an open question rests on another
    value of its kind: without it the next record would answer that question, and nobody had decided.
    """
    found, root_id = _locked(session, identifier_id)
    if found.state is IdentifierState.DEMOTED:
        raise AlreadyDemoted("this identifier has no say already; nothing was changed, no reason kept")
    everyone = clusters.members(session, root_id)
    resting = conflicts.resting_on(session, everyone, kind=found.kind, but=identifier_id)
    if resting:
        raise DemotionRefused(
            f"its owner and somebody else are held apart by their {found.kind.value}s, which is an open"
            " conflict; decide that first",
            conflicts=resting,
        )
    why = {"reason": reason}
    matching.demote(session, found.id, person_id=found.person_id, why=why, now=now, actor=actor)


def reinstate(
    session: Session, *, identifier_id: int, now: datetime, actor: Actor, although: Collection[str] = ()
) -> None:
    """Give a demoted identifier its say back; the next record that shows it joins or asks again.

    Args: although acknowledges, by its name, that its owner has more of the kind than the rules believe (a
        merge by hand may have made them so). It is kept.
    Raises UnknownIdentifier, and ReinstateRefused for a limit that is not acknowledged, or while more persons
    showed it within the window than its rule believes: reconciling would only demote it again.
    """
    found, root_id = _locked(session, identifier_id)
    if found.state is IdentifierState.ACTIVE:
        return
    rules = queries.rules(session)
    persons = matching.crowd(session, rules, identifier_id, found.kind, now=now)
    if persons is not None:
        rule = rules[found.kind]
        raise ReinstateRefused(
            f"{persons} persons showed it within {rule.window.days} days, and the rules believe"
            f" {rule.persons_limit}: they would demote it again at once"
        )
    held = matching.holdings(session, {root_id}).get(root_id, {})
    against = [] if rules.room(held, (found.kind, found.scope)) else [rules.excess(found.kind).name]
    if not set(against) <= set(although):
        raise ReinstateRefused(
            "its owner has as many of this kind as the rules believe;"
            f" acknowledge {', '.join(against)} to reinstate it all the same",
            against=against,
        )
    active = update(Identifier).where(Identifier.id == identifier_id).values(state=IdentifierState.ACTIVE)
    session.connection().execute(active)
    log(
        session,
        LogAction.REINSTATE,
        now=now,
        actor=actor,
        person_id=found.person_id,
        identifier_id=identifier_id,
        detail={"although": against},
    )


def _locked(session: Session, identifier_id: int) -> tuple[IdentifierView, int]:
    """Return an identifier and the root of its owner, whose cluster is locked from here on."""
    owner = queries.identifier(session, identifier_id=identifier_id).person_id
    root_id = clusters.lock_roots(session, [owner])[owner]
    found = queries.identifier(session, identifier_id=identifier_id)
    if found.person_id != owner:
        raise Replay("the identifier moved")
    return found, root_id
