"""Identity against a plain model: persons as nodes, merges as edges that can be taken out again.

The model knows nothing of pointers, locks or tables: clusters are recomputed from the edges each time they
are asked for. After every step the database must say the same: who is one, who has what, what is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity import operations as identity
from app.identity import queries
from app.identity.errors import AlreadyMerged, AlreadyUnmerged, ConflictDecided, MergeRefused, MoveRefused
from app.identity.models import (
    ConflictState,
    Identifier,
    IdentifierState,
    IdentityConflict,
    Merge,
    Person,
)
from app.identity.operations import Decision
from app.identity.values import Claimed, IdentifierKind, openid_claim
from app.kernel.clock import ManualClock
from tests.conftest import NOON
from tests.factories.people import EVERYTHING, OPERATOR, People, card, device, phone, unionid

STRENGTH = [
    IdentifierKind.UNIONID,
    IdentifierKind.OPENID,
    IdentifierKind.MEMBER_CARD,
    IdentifierKind.PHONE,
    IdentifierKind.DEVICE,
]
UNIQUE = {IdentifierKind.UNIONID, IdentifierKind.OPENID}
PHONE_PERSONS = 5

Link = tuple[frozenset[int], Claimed | None]


@dataclass
class Model:
    """What the identity room promises, in sets and dictionaries."""

    persons: list[int] = field(default_factory=list)
    links: dict[int, tuple[int, int, Claimed | None]] = field(default_factory=dict)
    owner: dict[Claimed, int] = field(default_factory=dict)
    seen: dict[Claimed, set[int]] = field(default_factory=dict)
    demoted: set[Claimed] = field(default_factory=set)
    asked: dict[Link, ConflictState] = field(default_factory=dict)

    def cluster(self, person: int) -> frozenset[int]:
        """Everybody who can be reached over the links."""
        found, grown = {person}, True
        while grown:
            near = {p for one, other, _ in self.links.values() for p in (one, other) if {one, other} & found}
            grown = not near <= found
            found |= near
        return frozenset(found)

    def held(self, cluster: frozenset[int], like: Claimed) -> set[Claimed]:
        """The active identifiers of a cluster that have the kind and scope of `like`."""
        return {
            claim
            for claim, owner in self.owner.items()
            if owner in cluster and claim not in self.demoted and _slot(claim) == _slot(like)
        }

    def disagree(self, left: frozenset[int], right: frozenset[int]) -> bool:
        """Whether two clusters have different values of what one person has one of."""
        for claim, owner in self.owner.items():
            if claim.kind in UNIQUE and owner in left and claim not in self.demoted:
                one, other = self.held(left, claim), self.held(right, claim)
                if other and len(one | other) > max(1, len(one), len(other)):
                    return True
        return False

    def barred(self, left: frozenset[int], right: frozenset[int]) -> bool:
        """Whether somebody said that two clusters are two human beings."""
        return any(
            state in (ConflictState.KEPT_APART, ConflictState.MOVED) and pair & left and pair & right
            for (pair, _), state in self.asked.items()
        )

    def link(self, merge_id: int, one: int, other: int, claim: Claimed | None) -> None:
        """Make two clusters one; every question between them is answered."""
        left, right = self.cluster(one), self.cluster(other)
        for pair, about in self.asked:
            if pair & left and pair & right:
                self.asked[pair, about] = ConflictState.MERGED
        self.links[merge_id] = (one, other, claim)

    def unlink(self, merge_id: int) -> None:
        """Take a link out, and remember that these are two."""
        one, other, claim = self.links.pop(merge_id)
        self.asked[frozenset((one, other)), claim] = ConflictState.KEPT_APART

    def ask(self, one: int, other: int, claim: Claimed) -> None:
        """Ask about two persons and an identifier, unless the answer is known."""
        link = frozenset((one, other)), claim
        if self.asked.get(link) not in (ConflictState.KEPT_APART, ConflictState.MOVED):
            self.asked[link] = ConflictState.OPEN

    def show(self, claim: Claimed, person: int) -> None:
        """Note who showed an identifier; demote a phone that too many did."""
        new = person not in self.seen[claim]
        self.seen[claim].add(person)
        if new:
            self.demote_if_overused(claim)

    def demote_if_overused(self, claim: Claimed) -> bool:
        """Take a phone its say when too many persons showed it."""
        limited = claim.kind in (IdentifierKind.PHONE, IdentifierKind.MEMBER_CARD)
        if claim in self.demoted or not limited or len(self.seen[claim]) <= PHONE_PERSONS:
            return False
        self.demoted.add(claim)
        for (pair, about), state in self.asked.items():
            if about == claim and state is ConflictState.OPEN:
                self.asked[pair, about] = ConflictState.VOID
        return True


def _slot(claim: Claimed) -> tuple[IdentifierKind, str]:
    return claim.kind, claim.scope


def _strength(claim: Claimed) -> tuple[int, str, str]:
    return STRENGTH.index(claim.kind), claim.scope, claim.value


def _joins(claim: Claimed) -> bool:
    return claim.kind is not IdentifierKind.DEVICE


# Normalised spellings, so that the model need not know how a phone is written.
_CLAIMS = st.one_of(
    st.integers(1, 3).map(lambda n: unionid(f"u-{n}")),
    st.integers(1, 3).map(lambda n: Claimed(IdentifierKind.PHONE, "", f"+86{phone(n).value}")),
    st.integers(1, 3).map(lambda n: card(f"c-{n}")),
    st.integers(1, 2).map(lambda n: device(f"d-{n}")),
)
_RECORDS = st.lists(_CLAIMS, min_size=1, max_size=3, unique=True)
_PICKS = st.integers(0, 1 << 16)


class IdentityMachine(RuleBasedStateMachine):
    """Random walks through the identity room, the model walking along."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.connection = self.database.engine.connect()
        self.connection.begin()
        self.session = Session(self.connection, join_transaction_mode="create_savepoint")
        self.people = People.build(self.session, ManualClock(NOON))
        self.model = Model()
        self.merge_ids: list[int] = []
        self._claims: dict[int, Claimed] = {}

    def teardown(self) -> None:
        self.session.close()
        self.connection.close()

    @rule(app=st.integers(0, 1), number=st.integers(1, 4), union=st.none() | st.integers(1, 3))
    def login(self, app: int, number: int, union: int | None) -> None:
        app_id = (self.people.app_id, self.people.other_app_id)[app]
        named = openid_claim(app_id, f"o-{number}")
        claims = [named] + ([unionid(f"u-{union}")] if union else [])
        result = self.people.login(named.value, f"u-{union}" if union else None, app_id=app_id)

        if named in self.model.owner and all(
            claim in self.model.owner
            and self.model.cluster(self.model.owner[claim]) == self.model.cluster(self.model.owner[named])
            for claim in claims
        ):
            assert not result.is_new
        else:
            before = set(self.model.persons)
            self._settle(claims, self.model.owner.get(named))
            assert result.is_new == (result.person_id not in before)
        assert result.person_id == self.model.owner[named]
        assert result.root_id == min(self.model.cluster(result.person_id))

    @precondition(lambda self: self.model.persons)
    @rule(pick=_PICKS, record=_RECORDS)
    def attach(self, pick: int, record: list[Claimed]) -> None:
        person = self._person(pick)
        result = self.people.attach(person, *record)
        assert self._settle(record, person) == person
        self._check_result(result)

    @rule(record=_RECORDS)
    def recognise(self, record: list[Claimed]) -> None:
        result = self.people.recognise(*record)
        assert result.person_id == self._settle(record, None)
        self._check_result(result)

    @precondition(lambda self: len(self.model.persons) > 1)
    @rule(one=_PICKS, other=_PICKS, force=st.booleans())
    def merge(self, one: int, other: int, force: bool) -> None:
        left, right = self._person(one), self._person(other)
        sides = self.model.cluster(left), self.model.cluster(right)
        try:
            merge_id = self.people.merge(left, right, although=EVERYTHING if force else ())
        except AlreadyMerged:
            assert sides[0] == sides[1]
        except MergeRefused:
            assert not force
            assert self.model.disagree(*sides) or self.model.barred(*sides)
        else:
            assert sides[0] != sides[1]
            assert force or not (self.model.disagree(*sides) or self.model.barred(*sides))
            self.model.link(merge_id, left, right, None)
            self.merge_ids.append(merge_id)

    @precondition(lambda self: self.merge_ids)
    @rule(pick=_PICKS)
    def unmerge(self, pick: int) -> None:
        merge_id = self.merge_ids[pick % len(self.merge_ids)]
        try:
            roots = self.people.unmerge(merge_id)
        except AlreadyUnmerged:
            assert merge_id not in self.model.links
        else:
            one, other, _ = self.model.links[merge_id]
            self.model.unlink(merge_id)
            assert set(roots) == {min(self.model.cluster(one)), min(self.model.cluster(other))}
            assert roots[0] != roots[1]

    @precondition(lambda self: self.model.asked)
    @rule(pick=_PICKS, decision=st.sampled_from(list(Decision)))
    def resolve(self, pick: int, decision: Decision) -> None:
        rows = self.session.execute(select(IdentityConflict.id).order_by(IdentityConflict.id)).scalars().all()
        conflict_id = rows[pick % len(rows)]
        link, claimant = self._link_of(conflict_id)
        try:
            identity.resolve_conflict(
                self.session,
                conflict_id=conflict_id,
                decision=decision,
                now=NOON,
                actor=OPERATOR,
                although=EVERYTHING,
            )
        except ConflictDecided:
            assert self.model.asked[link] is not ConflictState.OPEN
        except MoveRefused:
            assert decision is Decision.MOVE
            assert not self._movable(link, claimant)
        else:
            assert self.model.asked[link] is ConflictState.OPEN
            self._decided(link, claimant, decision)

    @rule()
    def reconcile(self) -> None:
        self.people.reconcile(limit=3)
        wanted = select(Identifier.kind, Identifier.scope, Identifier.value).order_by(Identifier.id)
        for claim in [Claimed(*row) for row in self.session.execute(wanted)]:
            if not _joins(claim) or claim in self.model.demoted:
                continue
            owner = self.model.owner[claim]
            if len({self.model.cluster(person) for person in self.model.seen[claim]}) < 2:
                continue
            if self.model.demote_if_overused(claim):
                continue
            for person in sorted(self.model.seen[claim]):
                self._join_or_ask(person, owner, claim)

    @invariant()
    def pointers_are_those_of_the_model(self) -> None:
        found = dict(self.session.execute(select(Person.id, Person.one_id)).all())
        assert found == {person: min(self.model.cluster(person)) for person in self.model.persons}

    @invariant()
    def everybody_has_what_they_have_in_the_model(self) -> None:
        wanted = select(
            Identifier.kind, Identifier.scope, Identifier.value, Identifier.person_id, Identifier.state
        )
        found = {Claimed(*row[:3]): (row[3], row[4]) for row in self.session.execute(wanted)}
        assert found == {
            claim: (
                owner,
                IdentifierState.DEMOTED if claim in self.model.demoted else IdentifierState.ACTIVE,
            )
            for claim, owner in self.model.owner.items()
        }

    @invariant()
    def the_same_questions_are_open(self) -> None:
        found = {
            (frozenset((view.person_a, view.person_b)), self._claim(view.identifier_id))
            for view in queries.open_conflicts(self.session, limit=1000)
        }
        assert found == {link for link, state in self.model.asked.items() if state is ConflictState.OPEN}

    # What the model does, told the ids that the database gave out.

    def _settle(self, record: list[Claimed], person: int | None) -> int:
        model = self.model
        claims = sorted(record, key=_strength)
        known = {claim: model.owner[claim] for claim in claims if claim in model.owner}
        if person is None:
            person = self._choose(claims)
        if person is None:
            person = self._new_person()
        cluster = model.cluster(person)
        for claim in claims:
            if claim in known:
                continue
            taken = model.held(cluster, claim)
            if claim.kind in UNIQUE and taken:
                stranger = self._owner_in_database(claim)
                model.persons.append(stranger)
                model.owner[claim], model.seen[claim] = stranger, {stranger, person}
                model.ask(person, stranger, claim)
            else:
                model.owner[claim], model.seen[claim] = person, {person}
        for claim in claims:
            if claim in known:
                model.show(claim, person)
                if _joins(claim) and claim not in model.demoted:
                    self._join_or_ask(person, known[claim], claim)
        return person

    def _choose(self, claims: list[Claimed]) -> int | None:
        model = self.model
        stronger: list[Claimed] = []
        for claim in claims:
            owner = model.owner.get(claim)
            if owner is None:
                stronger.append(claim)
            elif _joins(claim) and claim not in model.demoted:
                cluster = model.cluster(owner)
                if not any(new.kind in UNIQUE and model.held(cluster, new) for new in stronger):
                    return owner
        return None

    def _new_person(self) -> int:
        # The first person whom the model does not know; strangers of the same record are younger.
        rows = self.session.execute(select(Person.id).order_by(Person.id)).scalars().all()
        person = next(row for row in rows if row not in self.model.persons)
        self.model.persons.append(person)
        return person

    def _join_or_ask(self, person: int, owner: int, claim: Claimed) -> None:
        left, right = self.model.cluster(person), self.model.cluster(owner)
        if left == right:
            return
        if self.model.disagree(left, right) or self.model.barred(left, right):
            self.model.ask(person, owner, claim)
            return
        merge_id = self._merge_in_database(person, owner)
        self.model.link(merge_id, person, owner, claim)
        self.merge_ids.append(merge_id)

    def _merge_in_database(self, one: int, other: int) -> int:
        # The database must have merged exactly this pair; if not, there is no such row.
        low, high = sorted((one, other))
        wanted = select(Merge.id).where(
            Merge.person_a == low, Merge.person_b == high, Merge.undone_at.is_(None)
        )
        return self.session.execute(wanted).scalar_one()

    def _movable(self, link: Link, claimant: int) -> bool:
        pair, claim = link
        (owner,) = pair - {claimant}
        if claim is None or self.model.owner[claim] not in self.model.cluster(owner):
            return False
        return not (claim.kind in UNIQUE and self.model.held(self.model.cluster(claimant), claim))

    def _decided(self, link: Link, claimant: int, decision: Decision) -> None:
        model, (pair, claim) = self.model, link
        one, other = sorted(pair)
        if decision is Decision.MERGE:
            merge_id = self._merge_in_database(one, other)
            model.link(merge_id, one, other, claim)
            self.merge_ids.append(merge_id)
        elif decision is Decision.KEEP_APART:
            model.asked[link] = ConflictState.KEPT_APART
        else:
            assert claim is not None
            assert self._movable(link, claimant)
            (owner,) = pair - {claimant}
            model.seen[claim] -= model.cluster(owner)
            model.owner[claim] = claimant
            model.asked[link] = ConflictState.MOVED

    def _link_of(self, conflict_id: int) -> tuple[Link, int]:
        row = self.session.execute(
            select(
                IdentityConflict.person_a,
                IdentityConflict.person_b,
                IdentityConflict.identifier_id,
                IdentityConflict.claimant_id,
            ).where(IdentityConflict.id == conflict_id)
        ).one()
        return (frozenset(row[:2]), self._claim(row.identifier_id)), row.claimant_id

    def _claim(self, identifier_id: int | None) -> Claimed | None:
        if identifier_id is None:
            return None
        if identifier_id not in self._claims:
            wanted = select(Identifier.kind, Identifier.scope, Identifier.value).where(
                Identifier.id == identifier_id
            )
            self._claims[identifier_id] = Claimed(*self.session.execute(wanted).one())
        return self._claims[identifier_id]

    def _owner_in_database(self, claim: Claimed) -> int:
        found = queries.person_by_identifier(self.session, claim=claim)
        assert found is not None
        assert found not in self.model.persons
        return found

    def _person(self, pick: int) -> int:
        return self.model.persons[pick % len(self.model.persons)]

    def _check_result(self, result: identity.Attached) -> None:
        assert result.root_id == min(self.model.cluster(result.person_id))


def test_identity_does_what_the_model_does(sqlite_db: Database) -> None:
    machine: Callable[[], Any] = type("Machine", (IdentityMachine,), {"database": sqlite_db})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=80,
            stateful_step_count=35,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
