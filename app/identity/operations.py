"""What can be done to identities: log in, attach, merge, take back, decide, recompute.

Facts come in, pointers change, and every change is logged. Upper rooms lock a cluster (app.identity.clusters)
before they book anything for it, and expand it (`queries.cluster`) before they read.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.identity import clusters, conflicts, matching, queries
from app.identity.errors import (
    AlreadyMerged,
    AlreadyUnmerged,
    ConflictDecided,
    InvalidRule,
    MergeRefused,
    MoveRefused,
    NotWhatWasSeen,
    UnknownMerge,
    UnknownPerson,
    UnusableIdentifier,
    VirtualPerson,
)
from app.identity.interfaces import Witness
from app.identity.models import (
    BY_LINK,
    ConflictReason,
    ConflictState,
    Identifier,
    IdentifierState,
    IdentityConflict,
    IdentityRule,
    IdentitySettings,
    IdentitySource,
    LogAction,
    LoginSession,
    Merge,
    Person,
    Sighting,
)
from app.identity.queries import ConflictView
from app.identity.rules import Rule, Rules
from app.identity.trail import log
from app.identity.values import Claimed, IdentifierKind, openid_claim
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.kernel.ids import new_id
from app.organisation import queries as organisation

SESSION_LIFETIME = timedelta(hours=24)
CERTAIN_BPS = 10_000
_DIGEST_LENGTH = 12
_WECHAT = Actor(ActorKind.PLATFORM, "wechat")


class Decision(StrEnum):
    """What an operator says about a conflict."""

    MERGE = "merge"  # the same human being, whatever the rules say
    KEEP_APART = "keep_apart"  # two human beings; the identifier stays where it is
    MOVE = "move"  # two human beings; the identifier (a phone given out again) is the claimant's now


_STATE_AFTER = {
    Decision.MERGE: ConflictState.MERGED,
    Decision.KEEP_APART: ConflictState.KEPT_APART,
    Decision.MOVE: ConflictState.MOVED,
}


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A login: whose it is, and the session whose token the edge signs."""

    person_id: int
    root_id: int
    session_id: int
    is_new: bool
    virtual: bool
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Attached:
    """What a record came to. `ignored` names the kinds whose values stand for nobody."""

    person_id: int
    root_id: int
    merged: bool
    conflict_id: int | None
    is_new: bool = False
    ignored: tuple[IdentifierKind, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One step of the offline batch; `next_after_id` None when the last identifier has been looked at."""

    next_after_id: int | None
    examined: int
    merged: int
    conflicts: int


def login(
    session: Session,
    *,
    app_id: int,
    openid: str,
    unionid: str | None,
    virtual: bool,
    session_key: str,
    now: datetime,
    lifetime: timedelta = SESSION_LIFETIME,
) -> LoginResult:
    """Log a user of an app in: find or make the person, open a session (ID-01).

    `unionid` None means not known yet; known later, it joins what it must. A `virtual` identity (snapshot
    mode, platform contracts 12.8) is never stored as an identifier: it gets a person of its own, marked,
    to whom upper rooms award nothing. `session_key` is kept encrypted and never given out. Raises
    UnknownApp, and UnusableIdentifier for an openid that stands for nobody.
    """
    if virtual:
        person_id = matching.create_person(session, now=now, virtual=True)
        matched = matching.Settled(person_id, person_id, created=True)
        identifier_id = None
    else:
        matched, identifier_id = _match_login(session, app_id=app_id, openid=openid, unionid=unionid, now=now)
    session_id = new_id()
    row = {
        "id": session_id,
        "person_id": matched.person_id,
        "app_id": app_id,
        "identifier_id": identifier_id,
        "virtual": virtual,
        "session_key": session_key,
        "created_at": now,
        "expires_at": now + lifetime,
    }
    # Person before identifier, the order in which `attach` locks them.
    session.connection().execute(insert(LoginSession), row)
    if identifier_id is not None:
        matching.touch(session, identifier_id, now=now)
    return LoginResult(
        person_id=matched.person_id,
        root_id=matched.root_id,
        session_id=session_id,
        is_new=matched.created,
        virtual=virtual,
        expires_at=now + lifetime,
    )


def attach(
    session: Session,
    *,
    person_id: int,
    identifiers: Sequence[Claimed],
    source: IdentitySource,
    now: datetime,
    actor: Actor,
) -> Attached:
    """Attach identifiers to a person whom we know, merging or asking where others have them (ID-06).

    Blocked and senseless values are left out and named in `ignored`. Raises UnknownPerson, and
    VirtualPerson for an account that belongs to nobody.
    """
    root_id = require_real(session, person_id=person_id)
    rules = queries.rules(session)
    usable = rules.sift(identifiers)
    ignored = _ignored(identifiers, usable)
    if not usable:
        return Attached(person_id, root_id, merged=False, conflict_id=None, ignored=ignored)
    record = matching.Record(session, rules, usable, source=source, now=now, actor=actor, person_id=person_id)
    return _attached(record.settle(), ignored)


def recognise(
    session: Session,
    *,
    identifiers: Sequence[Claimed],
    source: IdentitySource,
    now: datetime,
    actor: Actor,
) -> Attached:
    """Find or make the person of a record that names nobody: an order, a till receipt, a follow (ID-22).

    The strongest known identifier says whose the record is. Raises UnusableIdentifier when no identifier
    in it could stand for anybody.
    """
    rules = queries.rules(session)
    usable = rules.sift(identifiers)
    if not usable:
        raise UnusableIdentifier("the record shows no identifier that could stand for somebody")
    settled = matching.Record(session, rules, usable, source=source, now=now, actor=actor).settle()
    return _attached(settled, _ignored(identifiers, usable))


def require_real(session: Session, *, person_id: int) -> int:
    """Return the root of a person who is somebody; raise UnknownPerson, or VirtualPerson for an account of
    snapshot mode: the one guard that keeps such an account from joining, being merged and being awarded.
    """
    wanted = select(Person.one_id, Person.virtual).where(Person.id == person_id)
    row = session.connection().execute(wanted).first()
    if row is None:
        raise UnknownPerson("there is no such person")
    if row.virtual:
        raise VirtualPerson("this is a virtual account; open the mini-program itself and log in there")
    return int(row.one_id)


def revoke_session(session: Session, *, session_id: int, now: datetime) -> bool:
    """End a session and forget its session_key; return False when it had ended before."""
    ended = (
        update(LoginSession)
        .where(LoginSession.id == session_id, LoginSession.revoked_at.is_(None))
        .values(revoked_at=now, session_key=None)
    )
    return session.connection().execute(ended).rowcount > 0


def purge_sessions(session: Session, *, ended_before: datetime, limit: int = 1000) -> int:
    """Delete at most `limit` sessions that were over before a moment; return how many."""
    old = select(LoginSession.id).where(LoginSession.expires_at < ended_before).limit(limit)
    ids = list(session.connection().execute(old).scalars())
    if ids:
        session.connection().execute(delete(LoginSession).where(LoginSession.id.in_(ids)))
    return len(ids)


def merge(
    session: Session,
    *,
    person_id: int,
    other_id: int,
    reason: str,
    now: datetime,
    actor: Actor,
    although: Collection[str] = (),
    seen: str | None = None,
    witnesses: Sequence[Witness] = (),
) -> int:
    """Make two persons one by an operator's hand; return the merge's id.

    Args: although acknowledges, each by its name, what speaks against it: the rules, an earlier decision to
        keep the two apart, and what `witnesses` know. It is kept with the merge. seen is what MergeRefused
        gave along with these names: a name holds for what was shown with it. None where nobody was shown it.
    Raises UnknownPerson, VirtualPerson, AlreadyMerged, MergeRefused with what is not acknowledged, or
    NotWhatWasSeen.
    """
    require_real(session, person_id=person_id)
    require_real(session, person_id=other_id)
    roots = clusters.lock_roots(session, [person_id, other_id])
    return _merge_locked(
        session,
        pair=(person_id, other_id),
        roots=roots,
        identifier_id=None,
        although=although,
        seen=seen,
        known=(),
        witnesses=witnesses,
        detail={"reason": reason},
        now=now,
        actor=actor,
    )


def unmerge(session: Session, *, merge_id: int, reason: str, now: datetime, actor: Actor) -> tuple[int, int]:
    """Take one merge back, in whatever order; return the roots of the two clusters that it held together.

    Every person goes with those whom the remaining merges tie to them, and everything they had is theirs
    again, since nothing but the pointer had moved. The two sides are kept apart from now on: only an
    operator can make them one again. Raises UnknownMerge or AlreadyUnmerged.
    """
    wanted = select(Merge.person_a, Merge.person_b, Merge.identifier_id).where(Merge.id == merge_id)
    found = session.connection().execute(wanted).first()
    if found is None:
        raise UnknownMerge("there is no such merge; `saoma persons show` lists a person's merges")
    pair = (found.person_a, found.person_b)
    root_id = clusters.lock_roots(session, pair)[pair[0]]
    undone = update(Merge).where(Merge.id == merge_id, Merge.undone_at.is_(None)).values(undone_at=now)
    if session.connection().execute(undone).rowcount == 0:
        raise AlreadyUnmerged("this merge has been taken back already")
    roots = clusters.split(session, pair=pair, root_id=root_id)
    conflicts.keep_apart(session, pair=pair, identifier_id=found.identifier_id, now=now, actor=actor)
    log(
        session,
        LogAction.UNMERGE,
        now=now,
        actor=actor,
        person_id=pair[0],
        other_person_id=pair[1],
        identifier_id=found.identifier_id,
        subject_id=merge_id,
        detail={"reason": reason, "roots": list(roots)},
    )
    return roots


def resolve_conflict(
    session: Session,
    *,
    conflict_id: int,
    decision: Decision,
    now: datetime,
    actor: Actor,
    although: Collection[str] = (),
    seen: str | None = None,
    witnesses: Sequence[Witness] = (),
) -> ConflictState:
    """Carry out what an operator decided about an open conflict; return the conflict's new state.

    Args: although, seen and witnesses are those of `merge`, for that decision alone.
    Raises UnknownConflict, ConflictDecided when it is not open any more, MergeRefused as `merge` does, and
    MoveRefused when the claimant cannot take the identifier.
    """
    asked = queries.conflict(session, conflict_id=conflict_id)
    roots = clusters.lock_roots(session, [asked.person_a, asked.person_b])
    asked = queries.conflict(session, conflict_id=conflict_id)
    if asked.state is not ConflictState.OPEN:
        raise ConflictDecided("this conflict has been decided; `saoma persons conflicts` lists the open ones")
    pair = (asked.person_a, asked.person_b)
    if decision is Decision.MERGE:
        # It settles this conflict too, with every other one between the two.
        _merge_locked(
            session,
            pair=pair,
            roots=roots,
            identifier_id=asked.identifier_id,
            although=although,
            seen=seen,
            # No rule says so, and where none does it is the whole question: one tap is all that ties the two.
            known=[ConflictReason.LINK_ALONE.value] if _link_alone(session, asked) else [],
            witnesses=witnesses,
            detail={"conflict": conflict_id},
            now=now,
            actor=actor,
        )
    elif decision is Decision.MOVE:
        _move(session, asked, roots, now=now, actor=actor)
    new_state = _STATE_AFTER[decision]
    answer = {"state": new_state, "resolved_at": now, "resolved_by": actor.label}
    session.connection().execute(
        update(IdentityConflict).where(IdentityConflict.id == conflict_id).values(answer)
    )
    log(
        session,
        LogAction.RESOLVE,
        now=now,
        actor=actor,
        person_id=pair[0],
        other_person_id=pair[1],
        identifier_id=asked.identifier_id,
        subject_id=conflict_id,
        detail={"decision": decision},
    )
    return new_state


def set_rule(session: Session, *, rule: Rule, now: datetime, actor: Actor) -> None:
    """Change how far one kind of identifier is trusted (ID-07); raise InvalidRule.

    It holds for what comes from now on; `reconcile_batch` applies it to what is there.
    """
    limits = (rule.per_person, rule.persons_limit, rule.window.days, rule.priority)
    if not 0 <= rule.confidence_bps <= CERTAIN_BPS or any(
        limit is not None and limit < 1 for limit in limits
    ):
        raise InvalidRule("confidence goes from 0 to 10000 basis points; limits, window and priority from 1")
    values = {
        "priority": rule.priority,
        "confidence_bps": rule.confidence_bps,
        "per_person": rule.per_person,
        "persons_limit": rule.persons_limit,
        "window_days": rule.window.days,
        "blocked": sorted({value.strip().lower() for value in rule.blocked}),
    }
    session.execute(update(IdentityRule).where(IdentityRule.kind == rule.kind).values(values))
    log(session, LogAction.RULE, now=now, actor=actor, detail={"kind": rule.kind, **values})


def set_threshold(session: Session, *, threshold_bps: int, now: datetime, actor: Actor) -> None:
    """Change the confidence from which on an identifier joins persons (ID-08); raise InvalidRule."""
    if not 1 <= threshold_bps <= CERTAIN_BPS:
        raise InvalidRule("the threshold goes from 1 to 10000 basis points")
    session.execute(update(IdentitySettings).values(merge_threshold_bps=threshold_bps))
    log(session, LogAction.RULE, now=now, actor=actor, detail={"threshold_bps": threshold_bps})


def reconcile_batch(
    session: Session, *, after_id: int, limit: int, now: datetime, actor: Actor = SYSTEM
) -> Reconciled:
    """Recompute clusters over the next `limit` identifiers: the offline half of the OneID engine (ID-08).

    The graph has persons and identifiers as nodes and sightings as edges; the clusters are its connected
    components over identifiers that are trusted enough, as far as the rules allow. Real time misses what a
    changed rule would now join. Start with `after_id` 0 and go on with `next_after_id`, a transaction each:
    it can stop and resume anywhere, and a second run finds nothing left to do.
    """
    window = select(Identifier.id).where(Identifier.id > after_id).order_by(Identifier.id).limit(limit)
    ids = list(session.connection().execute(window).scalars())
    if not ids:
        return Reconciled(None, 0, 0, 0)
    rules = queries.rules(session)
    merged = asked = 0
    for identifier_id, owner in _shared(session, rules, ids):
        joined, questions = matching.rejoin(
            session, rules, identifier_id=identifier_id, owner=owner, now=now, actor=actor
        )
        merged += joined
        asked += questions
    return Reconciled(ids[-1] if len(ids) == limit else None, len(ids), merged, asked)


def _shared(session: Session, rules: Rules, ids: Sequence[int]) -> list[tuple[int, int]]:
    # Identifiers that persons of several clusters have shown, with their owners.
    wanted = (
        select(Identifier.id, Identifier.person_id)
        .join_from(Identifier, Sighting, Sighting.identifier_id == Identifier.id)
        .join(Person, Person.id == Sighting.person_id)
        .where(
            Identifier.id.in_(ids),
            Identifier.state == IdentifierState.ACTIVE,
            Identifier.kind.in_(rules.joining_kinds()),
        )
        .group_by(Identifier.id, Identifier.person_id)
        .having(func.count(Person.one_id.distinct()) > 1)
        .order_by(Identifier.id)
    )
    return [(row.id, row.person_id) for row in session.connection().execute(wanted)]


def _match_login(
    session: Session, *, app_id: int, openid: str, unionid: str | None, now: datetime
) -> tuple[matching.Settled, int]:
    named = openid_claim(app_id, openid)
    claims = [named]
    if unionid:
        platform = organisation.open_platform(session, app_id=app_id)
        claims.append(Claimed(IdentifierKind.UNIONID, platform, unionid))
    known = matching.find(session, claims)
    by_openid = known.get(matching.key_of(named))
    if by_openid is not None and (
        # Nothing new: the way of nearly every login, without a lock.
        (len(known) == len(claims) and len({it.root for it in known.values()}) == 1)
        # It may be a friend's, so the unionid that came with it says nothing of its owner (ID-07).
        or by_openid.state is IdentifierState.DEMOTED
    ):
        return matching.Settled(by_openid.person_id, by_openid.root), by_openid.id
    rules = queries.rules(session)
    usable = rules.sift(claims)
    if named not in usable:
        raise UnusableIdentifier("this openid stands for nobody")
    record = matching.Record(
        session,
        rules,
        usable,
        source=IdentitySource.MINIPROGRAM_LOGIN,
        now=now,
        actor=_WECHAT,
        person_id=by_openid.person_id if by_openid else None,
    )
    record.settle()
    # Whoever has the openid is logged in, be it a stranger whom a disagreeing unionid made of them.
    mine = matching.find(session, [named])[matching.key_of(named)]
    before = {it.person_id for it in known.values()}
    return matching.Settled(mine.person_id, mine.root, created=mine.person_id not in before), mine.id


def _merge_locked(
    session: Session,
    *,
    pair: tuple[int, int],
    roots: Mapping[int, int],
    identifier_id: int | None,
    although: Collection[str],
    seen: str | None,
    known: Collection[str],
    witnesses: Sequence[Witness],
    detail: Mapping[str, object],
    now: datetime,
    actor: Actor,
) -> int:
    one, other = roots[pair[0]], roots[pair[1]]
    if one == other:
        raise AlreadyMerged("these two are one person already")
    rules, sides = queries.rules(session), [clusters.members(session, root) for root in (one, other)]
    against = [*known, *(found.name for found in matching.objections(session, rules, one, other))]
    shown: list[int] = []
    for witness in witnesses:
        testimony = witness(session, left=sides[0], right=sides[1])
        against += testimony.against
        shown += testimony.shown
    there = _digest(session, sides, shown, against)
    if not set(against) <= set(although):
        raise MergeRefused(
            f"against it speaks {', '.join(against)}; to make the two one all the same, acknowledge each of"
            f" these (--although) and what is shown of both (--seen {there})",
            against=against,
            seen=there,
        )
    if against and seen not in (None, there):
        raise NotWhatWasSeen(
            "an acknowledgement holds for what was shown with it, and that is not what there is now: look at"
            f" both once more, then say --seen {there}",
            against=against,
            seen=there,
        )
    return clusters.join(
        session,
        pair=pair,
        roots=(one, other),
        identifier_id=identifier_id,
        forced=bool(against),
        now=now,
        actor=actor,
        detail={**detail, "although": against},
    )


def _digest(
    session: Session, sides: Sequence[Collection[int]], shown: Collection[int], against: Collection[str]
) -> str:
    """Return what stands for all that an operator is shown of two clusters: another one after any change."""
    known = [
        session.scalars(
            select(Identifier.id).where(
                Identifier.person_id.in_(persons), Identifier.state == IdentifierState.ACTIVE
            )
        ).all()
        for persons in sides
    ]
    both = sorted([sorted(persons), sorted(ids)] for persons, ids in zip(sides, known, strict=True))
    facts = json.dumps([both, sorted(shown), sorted(against)])
    return hashlib.sha256(facts.encode()).hexdigest()[:_DIGEST_LENGTH]


def _link_alone(session: Session, asked: ConflictView) -> bool:
    """Tell whether a claimant showed the identifier by opening a link, which anybody can be sent (ADR 16)."""
    by_link = select(Sighting.person_id).where(
        Sighting.identifier_id == asked.identifier_id,
        Sighting.person_id == asked.claimant_id,
        Sighting.source.in_(BY_LINK),
    )
    return session.connection().execute(by_link).first() is not None


def _move(
    session: Session, asked: ConflictView, roots: Mapping[int, int], *, now: datetime, actor: Actor
) -> None:
    if asked.identifier_id is None:
        raise MoveRefused("this conflict is not about an identifier")
    owner = asked.person_a if asked.claimant_id == asked.person_b else asked.person_b
    found = queries.identifier(session, identifier_id=asked.identifier_id)
    if found.person_id not in clusters.members(session, roots[owner]):
        raise MoveRefused("the identifier belongs to a third person by now")
    claimant_root = roots[asked.claimant_id]
    held = matching.holdings(session, {claimant_root}).get(claimant_root, {})
    if not queries.rules(session).room(held, (found.kind, found.scope)):
        raise MoveRefused("the claimant has as many of this kind as the rules allow")
    connection = session.connection()
    moved = update(Identifier).where(Identifier.id == found.id).values(person_id=asked.claimant_id)
    connection.execute(moved)
    former = clusters.members(session, roots[owner])
    connection.execute(
        delete(Sighting).where(Sighting.identifier_id == found.id, Sighting.person_id.in_(former))
    )
    log(
        session,
        LogAction.MOVE,
        now=now,
        actor=actor,
        person_id=asked.claimant_id,
        other_person_id=found.person_id,
        identifier_id=found.id,
        subject_id=asked.id,
    )


def _ignored(claims: Sequence[Claimed], usable: Sequence[Claimed]) -> tuple[IdentifierKind, ...]:
    return tuple(sorted({claim.kind for claim in claims} - {claim.kind for claim in usable}))


def _attached(settled: matching.Settled, ignored: tuple[IdentifierKind, ...]) -> Attached:
    return Attached(
        person_id=settled.person_id,
        root_id=settled.root_id,
        merged=settled.merged,
        conflict_id=settled.conflict_id,
        is_new=settled.created,
        ignored=ignored,
    )
