"""What one record does to the identity graph: find, attach, merge, demote, or ask somebody.

A record (a login, an order, a phone shown) carries identifiers. Each is unknown, or has an owner. Known
ones that are trusted enough join their owner's cluster with the record's person; where a rule forbids it a
conflict is opened and everybody stays who they were: nobody is dropped, no identifier is lost.

Two records may race for one new identifier. Its unique key lets one insert win; the other one is played
again whole (`Replay`) and finds an owner. Clusters are locked before they are judged, and what was read
before is read again under the lock.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import bindparam, func, insert, select, union_all, update
from sqlalchemy.orm import Session

from app.db.engine import Replay
from app.db.once import insert_once
from app.identity import clusters, conflicts, queries
from app.identity.models import (
    BY_LINK,
    ConflictReason,
    Identifier,
    IdentifierState,
    IdentitySource,
    LogAction,
    Person,
    Sighting,
)
from app.identity.rules import Holdings, Objection, Rules, Slot
from app.identity.trail import log
from app.identity.values import Claimed, IdentifierKind
from app.kernel.actor import Actor
from app.kernel.ids import new_id

Key: TypeAlias = tuple[IdentifierKind, str, bytes]

_KNOWN = (
    select(
        Identifier.id,
        Identifier.kind,
        Identifier.scope,
        Identifier.value_hash,
        Identifier.person_id,
        Identifier.state,
        Person.one_id,
    )
    .join_from(Identifier, Person, Person.id == Identifier.person_id)
    .where(Identifier.value_hash.in_(bindparam("hashes", expanding=True)))
)
_HELD = (
    select(Person.one_id, Identifier.kind, Identifier.scope, Identifier.value_hash)
    .join_from(Identifier, Person, Person.id == Identifier.person_id)
    .where(
        Person.one_id.in_(bindparam("roots", expanding=True)),
        Identifier.state == IdentifierState.ACTIVE,
    )
)
_SEEN_BY = select(func.count()).where(
    Sighting.identifier_id == bindparam("identifier"), Sighting.last_seen_at > bindparam("since")
)
_TOUCH = (
    update(Identifier)
    .where(Identifier.id == bindparam("identifier"), Identifier.last_seen_at < bindparam("now"))
    .values(last_seen_at=bindparam("now"))
)
_SEE_AGAIN = (
    update(Sighting)
    .where(Sighting.identifier_id == bindparam("identifier"), Sighting.person_id == bindparam("person"))
    .values(last_seen_at=bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class Known:
    """An identifier that has an owner; `root` as read last."""

    id: int
    kind: IdentifierKind
    scope: str
    person_id: int
    state: IdentifierState
    root: int


@dataclass(slots=True)
class Settled:
    """What a record came to. `person_id` is whom it belongs to; `conflict_id` the first open question."""

    person_id: int
    root_id: int
    created: bool = False
    merged: bool = False
    conflict_id: int | None = None


def find(session: Session, claims: Sequence[Claimed]) -> dict[Key, Known]:
    """Return those of `claims`, each in its one spelling, that have an owner."""
    wanted = {key_of(claim) for claim in claims}
    rows = session.connection().execute(_KNOWN, {"hashes": [key[2] for key in wanted]})
    found = {
        (row.kind, row.scope, row.value_hash): Known(
            row.id, row.kind, row.scope, row.person_id, row.state, row.one_id
        )
        for row in rows
    }
    return {key: known for key, known in found.items() if key in wanted}


def key_of(claim: Claimed) -> Key:
    """Return the key by which an identifier is unique."""
    return claim.kind, claim.scope, queries.digest(claim)


def create_person(session: Session, *, now: datetime, virtual: bool = False) -> int:
    """Add a person who is a cluster of one; return the id (ID-22: from the first contact on)."""
    person_id = new_id()
    row = {"id": person_id, "one_id": person_id, "virtual": virtual, "created_at": now}
    session.connection().execute(insert(Person), row)
    return person_id


class Record:
    """One record on its way into the identity graph; `settle` does it all."""

    def __init__(
        self,
        session: Session,
        rules: Rules,
        claims: Sequence[Claimed],
        *,
        source: IdentitySource,
        now: datetime,
        actor: Actor,
        person_id: int | None = None,
    ) -> None:
        self._session = session
        self._rules = rules
        self._claims = claims
        self._source = source
        self._now = now
        self._actor = actor
        self._person_id = person_id
        self._conflict_id: int | None = None

    def settle(self) -> Settled:
        """Attach what is new, merge or ask about what is known; return what came of it.

        Without a `person_id` the record goes to the owner of its strongest known identifier that can take
        the rest, else to a new person. Raises Replay when rivals kept getting in between.
        """
        for _ in range(clusters.ATTEMPTS):
            known = find(self._session, self._claims)
            roots = clusters.lock_roots(self._session, self._concerned(known))
            again = find(self._session, self._claims)
            if _owners(known) == _owners(again):
                return self._settle_locked(again, roots)
        raise Replay("rivals kept getting in between")

    def _settle_locked(self, known: Mapping[Key, Known], roots: dict[int, int]) -> Settled:
        person_id = self._person_id or self._choose(known, roots)
        created = person_id is None
        if person_id is None:
            person_id = create_person(self._session, now=self._now)
            roots[person_id] = person_id
        self._attach_new(known, roots[person_id], person_id)
        settled = Settled(person_id, roots[person_id], created)
        self._follow_known(known, roots, settled)
        settled.conflict_id = self._conflict_id
        return settled

    def _concerned(self, known: Mapping[Key, Known]) -> set[int]:
        persons = {it.person_id for it in known.values() if self._may_join(it)}
        return persons if self._person_id is None else persons | {self._person_id}

    def _may_join(self, known: Known) -> bool:
        return known.state is IdentifierState.ACTIVE and self._rules.joins(known.kind)

    def _choose(self, known: Mapping[Key, Known], roots: Mapping[int, int]) -> int | None:
        # The strongest link comes first. One whose cluster has another value of what is stronger than the
        # link, and new (another unionid, where the link is a phone), becomes a question instead.
        held = holdings(self._session, set(roots.values()))
        stronger: dict[Slot, frozenset[bytes]] = {}
        for claim in self._claims:
            key = key_of(claim)
            it = known.get(key)
            if it is None:
                stronger[key[:2]] = stronger.get(key[:2], frozenset()) | {key[2]}
            elif self._may_join(it):
                cluster = held.get(roots[it.person_id], {})
                objection = self._rules.objection(cluster, stronger, kept_apart=False)
                if objection is None or objection.reason is not ConflictReason.UNIQUE_DISAGREES:
                    return it.person_id
        return None

    def _attach_new(self, known: Mapping[Key, Known], root: int, person_id: int) -> None:
        own = dict(holdings(self._session, {root}).get(root, {}))
        for claim in self._claims:
            key = key_of(claim)
            if key in known:
                continue
            slot = key[:2]
            if self._rules.room(own, slot):
                self._insert(claim, key, person_id, IdentifierState.ACTIVE)
                own[slot] = own.get(slot, frozenset()) | {key[2]}
            elif self._rules[claim.kind].per_person == 1:
                self._insert_stranger(claim, key, person_id)
            else:
                self._insert(claim, key, person_id, IdentifierState.DEMOTED)

    def _insert(self, claim: Claimed, key: Key, person_id: int, state: IdentifierState) -> int:
        identifier_id = new_id()
        row = {
            "id": identifier_id,
            "kind": claim.kind,
            "scope": claim.scope,
            "value_hash": key[2],
            "value": claim.value,
            "person_id": person_id,
            "source": self._source,
            "confidence_bps": self._rules[claim.kind].confidence_bps,
            "state": state,
            "first_seen_at": self._now,
            "last_seen_at": self._now,
        }
        if not insert_once(self._session, insert(Identifier), row):
            # A rival was faster. The refused insert left a shared lock on the rival's row, and two who
            # hold one and want to write are a deadlock: so everything is given back and played again.
            raise Replay("a rival was faster with an identifier")
        self._see(identifier_id, person_id)
        action = LogAction.ATTACH if state is IdentifierState.ACTIVE else LogAction.DEMOTE
        log(
            self._session,
            action,
            now=self._now,
            actor=self._actor,
            person_id=person_id,
            identifier_id=identifier_id,
            detail={"kind": claim.kind, "source": self._source},
        )
        return identifier_id

    def _insert_stranger(self, claim: Claimed, key: Key, claimant: int) -> None:
        # The person has another value of a kind that everybody has only one of. Whoever this value belongs
        # to is kept as somebody else, and an operator is asked.
        stranger = create_person(self._session, now=self._now)
        identifier_id = self._insert(claim, key, stranger, IdentifierState.ACTIVE)
        self._see(identifier_id, claimant)
        objection = Objection(ConflictReason.UNIQUE_DISAGREES, claim.kind)
        self._ask(objection, identifier_id, owner=stranger, claimant=claimant)

    def _follow_known(self, known: Mapping[Key, Known], roots: dict[int, int], settled: Settled) -> None:
        for claim in self._claims:
            it = known.get(key_of(claim))
            if it is None:
                continue
            shown_anew = self._see(it.id, settled.person_id)
            trusted = self._may_join(it) and not (shown_anew and self._overused(it))
            if trusted and roots[settled.person_id] != roots[it.person_id]:
                self._link(it, known, roots, settled)
            if roots.get(it.person_id, it.root) == roots[settled.person_id]:
                # What somebody else shows is not theirs: the openid seen last is the one that is paid.
                touch(self._session, it.id, now=self._now)

    def _overused(self, it: Known) -> bool:
        return _overused(
            self._session, self._rules, it.id, it.kind, it.person_id, now=self._now, actor=self._actor
        )

    def _link(self, it: Known, known: Mapping[Key, Known], roots: dict[int, int], settled: Settled) -> None:
        own_root, other_root = roots[settled.person_id], roots[it.person_id]
        objection = judge(self._session, self._rules, own_root, other_root)
        if objection is None and self._source in BY_LINK:
            objection = doubt(self._session, other_root, shown={each.id for each in known.values()})
        if objection is not None:
            self._ask(objection, it.id, owner=it.person_id, claimant=settled.person_id)
            return
        clusters.join(
            self._session,
            pair=(settled.person_id, it.person_id),
            roots=(own_root, other_root),
            identifier_id=it.id,
            forced=False,
            now=self._now,
            actor=self._actor,
            detail={"kind": it.kind, "source": self._source},
        )
        settled.merged, settled.root_id = True, min(own_root, other_root)
        _repoint(roots, own_root, other_root)

    def _ask(self, objection: Objection, identifier_id: int, *, owner: int, claimant: int) -> None:
        conflict_id = conflicts.ask(
            self._session,
            objection,
            claimant=claimant,
            owner=owner,
            identifier_id=identifier_id,
            now=self._now,
            actor=self._actor,
        )
        if self._conflict_id is None:
            self._conflict_id = conflict_id

    def _see(self, identifier_id: int, person_id: int) -> bool:
        return see(self._session, identifier_id, person_id, source=self._source, now=self._now)


def _owners(known: Mapping[Key, Known]) -> dict[Key, tuple[int, IdentifierState]]:
    return {key: (it.person_id, it.state) for key, it in known.items()}


def touch(session: Session, identifier_id: int, *, now: datetime) -> None:
    """Note that an identifier was seen just now."""
    session.connection().execute(_TOUCH, {"identifier": identifier_id, "now": now})


def see(
    session: Session, identifier_id: int, person_id: int, *, source: IdentitySource, now: datetime
) -> bool:
    """Note that a person showed an identifier; return whether it is the first time."""
    again = {"identifier": identifier_id, "person": person_id, "now": now}
    if session.connection().execute(_SEE_AGAIN, again).rowcount:
        return False
    row = {
        "identifier_id": identifier_id,
        "person_id": person_id,
        "source": source,
        "first_seen_at": now,
        "last_seen_at": now,
    }
    return insert_once(session, insert(Sighting), row)


def holdings(session: Session, roots: set[int]) -> dict[int, Holdings]:
    """Return what each cluster of `roots` is known by."""
    found: dict[int, dict[Slot, frozenset[bytes]]] = {}
    for row in session.connection().execute(_HELD, {"roots": sorted(roots)}):
        held = found.setdefault(row.one_id, {})
        slot = (row.kind, row.scope)
        held[slot] = held.get(slot, frozenset()) | {row.value_hash}
    return dict(found)


def judge(session: Session, rules: Rules, left_root: int, right_root: int) -> Objection | None:
    """Return the first of what speaks against making two locked clusters one, or None."""
    return next(iter(objections(session, rules, left_root, right_root)), None)


def objections(session: Session, rules: Rules, left_root: int, right_root: int) -> list[Objection]:
    """Return all that the rules have against making two locked clusters one."""
    held = holdings(session, {left_root, right_root})
    apart = clusters.kept_apart(session, left_root, right_root)
    return rules.objections(held.get(left_root, {}), held.get(right_root, {}), kept_apart=apart)


def doubt(session: Session, root_id: int, *, shown: Collection[int]) -> Objection | None:
    """Return what speaks against taking the owner of `shown` for the member whose link they opened.

    Anybody can be sent a link, and one tap must not make two people one (ADR 16). So it joins only somebody
    whom nothing is known of but the identifiers `shown`: who has or has shown another is an operator's.
    """
    everyone = clusters.members(session, root_id)
    more = union_all(
        select(Identifier.id).where(Identifier.person_id.in_(everyone), Identifier.id.not_in(shown)),
        select(Sighting.identifier_id).where(
            Sighting.person_id.in_(everyone), Sighting.identifier_id.not_in(shown)
        ),
    )
    if session.connection().execute(more.limit(1)).first() is None:
        return None
    return Objection(ConflictReason.LINK_ALONE, None)


def rejoin(
    session: Session, rules: Rules, *, identifier_id: int, owner: int, now: datetime, actor: Actor
) -> tuple[int, int]:
    """Judge again all who showed an identifier; return how many merges and open questions came of it."""
    shown = select(Sighting.person_id, Sighting.source).where(Sighting.identifier_id == identifier_id)
    rows = session.connection().execute(shown.order_by(Sighting.person_id)).all()
    persons: dict[int, IdentitySource] = {row.person_id: row.source for row in rows}
    roots = clusters.lock_roots(session, {owner, *persons})
    wanted = select(Identifier.person_id, Identifier.state, Identifier.kind).where(
        Identifier.id == identifier_id
    )
    found = session.connection().execute(wanted).one()
    if found.person_id != owner or found.state is not IdentifierState.ACTIVE:
        return 0, 0
    if _overused(session, rules, identifier_id, found.kind, owner, now=now, actor=actor):
        return 0, 0
    merged = asked = 0
    for person, source in persons.items():
        if roots[person] == roots[owner]:
            continue
        objection = judge(session, rules, roots[owner], roots[person])
        if objection is None and source in BY_LINK:
            objection = doubt(session, roots[owner], shown=[identifier_id])
        if objection is not None:
            question = conflicts.ask(
                session,
                objection,
                claimant=person,
                owner=owner,
                identifier_id=identifier_id,
                now=now,
                actor=actor,
            )
            asked += question is not None
            continue
        clusters.join(
            session,
            pair=(owner, person),
            roots=(roots[owner], roots[person]),
            identifier_id=identifier_id,
            forced=False,
            now=now,
            actor=actor,
            detail={"kind": found.kind, "source": "reconcile"},
        )
        _repoint(roots, roots[owner], roots[person])
        merged += 1
    return merged, asked


def _repoint(roots: dict[int, int], one: int, other: int) -> None:
    # What `join` did to the pointers, in the caller's copy of them.
    for person, root in roots.items():
        if root in (one, other):
            roots[person] = min(one, other)


def _overused(
    session: Session,
    rules: Rules,
    identifier_id: int,
    kind: IdentifierKind,
    owner: int,
    *,
    now: datetime,
    actor: Actor,
) -> bool:
    # Demotes an identifier that more persons showed within the window than its rule believes.
    persons = crowd(session, rules, identifier_id, kind, now=now)
    if persons is None:
        return False
    demote(session, identifier_id, person_id=owner, why={"persons": persons}, now=now, actor=actor)
    return True


def crowd(
    session: Session, rules: Rules, identifier_id: int, kind: IdentifierKind, *, now: datetime
) -> int | None:
    """Return how many persons showed an identifier in the window, if its rule believes fewer; else None."""
    rule = rules[kind]
    if rule.persons_limit is None:
        return None
    parameters = {"identifier": identifier_id, "since": now - rule.window}
    persons = int(session.connection().execute(_SEEN_BY, parameters).scalar_one())
    return persons if persons > rule.persons_limit else None


def demote(
    session: Session,
    identifier_id: int,
    *,
    person_id: int,
    why: Mapping[str, object],
    now: datetime,
    actor: Actor,
) -> None:
    """Take an identifier its say in who is who; questions that only it raised lapse."""
    demoted = update(Identifier).where(Identifier.id == identifier_id)
    session.connection().execute(demoted.values(state=IdentifierState.DEMOTED))
    conflicts.lapse(session, identifier_id=identifier_id, now=now, actor=actor)
    log(
        session,
        LogAction.DEMOTE,
        now=now,
        actor=actor,
        person_id=person_id,
        identifier_id=identifier_id,
        detail=why,
    )
