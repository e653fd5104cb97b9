"""Merging and taking back, in any order: only pointers change, and they come back exactly (ID-04)."""

from collections.abc import Callable, Collection
from itertools import permutations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.engine import Replay
from app.identity import clusters, queries, trust
from app.identity import operations as identity
from app.identity.errors import AlreadyMerged, AlreadyUnmerged, MergeRefused, NotWhatWasSeen, UnknownMerge
from app.identity.interfaces import Evidence
from app.identity.models import Identifier, MergeMove, Person
from app.identity.values import IdentifierKind
from tests.factories.people import EVERYTHING, OPERATOR, People, card, phone


def _pointers(people: People) -> dict[int, int]:
    return dict(people.session.execute(select(Person.id, Person.one_id)).all())


def _owners(people: People) -> dict[int, int]:
    return dict(people.session.execute(select(Identifier.id, Identifier.person_id)).all())


def _strangers(people: People, count: int) -> list[int]:
    return [people.recognise(card(f"c-{number}")).person_id for number in range(count)]


def test_a_merge_changes_one_pointer_and_nothing_else(people: People) -> None:
    a, b, c = _strangers(people, 3)
    owners = _owners(people)
    merge_id = people.merge(b, a)

    assert _pointers(people) == {a: a, b: a, c: c}
    assert _owners(people) == owners
    moves = people.session.execute(select(MergeMove.person_id, MergeMove.previous_one_id)).all()
    assert [tuple(move) for move in moves] == [(b, b)]
    (view,) = queries.merges(people.session, person_ids=[a, b])
    assert (view.id, view.person_a, view.person_b, view.undone_at) == (merge_id, a, b, None)


def test_the_oldest_person_is_the_root_whoever_merges_whom(people: People) -> None:
    a, b, c = _strangers(people, 3)
    people.merge(c, b)
    assert people.cluster(c).root_id == b
    people.merge(a, c)
    assert _pointers(people) == {a: a, b: a, c: a}


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize(
    "pairs", [[(0, 1), (2, 0), (3, 1)], [(3, 2), (2, 1), (1, 0)], [(0, 1), (2, 3), (1, 3)]]
)
def test_taking_back_restores_the_pointers_in_any_order(
    people: People, pairs: list[tuple[int, int]], order: tuple[int, ...]
) -> None:
    persons = _strangers(people, 4)
    merges = [people.merge(persons[one], persons[other]) for one, other in pairs]
    assert people.one(*persons)

    left = dict(enumerate(pairs))
    for number in order:
        people.unmerge(merges[number])
        del left[number]
        assert _pointers(people) == _expected(persons, list(left.values()))
    assert _pointers(people) == {person: person for person in persons}


def _expected(persons: list[int], links: list[tuple[int, int]]) -> dict[int, int]:
    root = {person: person for person in persons}
    for one, other in links:
        old, new = sorted((root[persons[one]], root[persons[other]]), reverse=True)
        root = {person: new if held == old else held for person, held in root.items()}
    return root


def test_a_later_guest_goes_with_whom_the_evidence_names(people: People) -> None:
    # a and b are merged by hand, then c joins b by a card: taking back a-b must leave c with b.
    a, b, c = _strangers(people, 3)
    by_hand = people.merge(a, b)
    people.attach(b, card("shared"))
    assert people.attach(c, card("shared")).merged

    roots = people.unmerge(by_hand)

    assert roots == (a, b)
    assert _pointers(people) == {a: a, b: b, c: b}


def test_a_merge_is_taken_back_once(people: People) -> None:
    a, b = _strangers(people, 2)
    merge_id = people.merge(a, b)
    people.unmerge(merge_id)
    with pytest.raises(AlreadyUnmerged):
        people.unmerge(merge_id)
    with pytest.raises(UnknownMerge):
        people.unmerge(5)
    undone = queries.merges(people.session, person_ids=[a], undone=True)
    assert [view.undone_at is not None for view in undone] == [True]
    assert queries.merges(people.session, person_ids=[a]) == []


def test_after_taking_back_no_record_and_no_batch_merges_again(people: People) -> None:
    a = people.recognise(phone(1)).person_id
    b = people.login("o-1").person_id
    people.attach(b, phone(1))
    people.unmerge(people.last_merge(a))

    again = people.attach(b, phone(1))
    assert (again.merged, again.conflict_id) == (False, None)
    assert people.reconcile() == 0
    assert not people.one(a, b)

    with pytest.raises(MergeRefused) as refused:
        people.merge(a, b)
    assert refused.value.extra["against"] == ["kept_apart"]


def test_new_evidence_after_taking_back_is_a_new_question(people: People) -> None:
    a = people.recognise(phone(1)).person_id
    b = people.login("o-1").person_id
    people.attach(b, phone(1))
    people.unmerge(people.last_merge(a))
    people.attach(a, card("c-9"))

    asked = people.attach(b, card("c-9"))

    assert not asked.merged
    assert asked.conflict_id is not None


def test_keeping_apart_holds_through_third_persons(people: People) -> None:
    a = people.recognise(phone(1)).person_id
    b = people.login("o-1").person_id
    people.attach(b, phone(1))
    people.unmerge(people.last_merge(a))
    c = people.recognise(phone(2)).person_id
    people.attach(a, phone(2))
    assert people.one(a, c)

    assert not people.attach(b, phone(2)).merged
    assert not people.one(b, c)


def test_an_operator_can_overrule_what_was_kept_apart_and_take_it_back(people: People) -> None:
    a, b = _strangers(people, 2)
    people.unmerge(people.merge(a, b))
    forced = people.merge(a, b, although=EVERYTHING)
    assert people.one(a, b)
    people.unmerge(forced)
    assert not people.one(a, b)
    with pytest.raises(MergeRefused):
        people.merge(a, b)


def test_the_rules_hold_for_operators_too_unless_they_overrule_them(people: People) -> None:
    a, b = people.login("o-1").person_id, people.login("o-2").person_id
    with pytest.raises(MergeRefused) as refused:
        people.merge(a, b)
    assert refused.value.extra["against"] == ["unique_disagrees:openid"]

    people.later(minutes=1)
    people.login("o-2")
    people.merge(a, b, although=EVERYTHING)

    latest = queries.openid(people.session, person_ids=[a, b], app_id=people.app_id)
    assert latest == "o-2"


def test_all_that_speaks_against_a_merge_is_named_and_each_is_acknowledged(people: People) -> None:
    """Two members with everything of their own are not joined by one word said too fast."""
    a, b = people.login("o-1", "u-1").person_id, people.login("o-2", "u-2").person_id
    people.attach(a, *(phone(number) for number in range(1, 4)))
    people.attach(b, *(phone(number) for number in range(4, 7)))
    people.unmerge(people.merge(a, b, although=EVERYTHING))
    every = ["limit_exceeded:phone", "unique_disagrees:openid", "unique_disagrees:unionid", "kept_apart"]
    before = _pointers(people)
    for known in ([], every[:1], every[:3], every[1:]):
        with pytest.raises(MergeRefused) as refused:
            people.merge(a, b, although=known)
        assert sorted(refused.value.extra["against"]) == sorted(every)
    assert _pointers(people) == before

    merge_id = people.merge(a, b, although=every)

    (view,) = queries.merges(people.session, person_ids=[a])
    assert (view.id, view.forced) == (merge_id, True)
    line = queries.history(people.session, person_ids=[a])[0]
    assert sorted(line.detail["although"]) == sorted(every)


def test_what_upper_rooms_know_speaks_against_a_merge_as_well(people: People) -> None:
    a, b, c = _strangers(people, 3)
    people.merge(a, c)
    asked: list[tuple[list[int], list[int]]] = []
    shown = [1]

    def witness(session: Session, *, left: Collection[int], right: Collection[int]) -> Evidence:
        asked.append((sorted(left), sorted(right)))
        return Evidence(["two_members"], shown)

    def merge(*although: str, seen: str | None = None) -> int:
        return identity.merge(
            people.session,
            person_id=c,
            other_id=b,
            reason="they said so",
            now=people.clock.now(),
            actor=OPERATOR,
            although=although,
            seen=seen,
            witnesses=[witness],
        )

    with pytest.raises(MergeRefused) as refused:
        merge("kept_apart")
    assert refused.value.extra["against"] == ["two_members"]
    assert asked == [([a, c], [b])]
    # What they show of both counts as well: one more of it, and the two are to be looked at again.
    seen = refused.value.extra["seen"]
    shown.append(2)
    with pytest.raises(NotWhatWasSeen):
        merge("two_members", seen=seen)
    shown.pop()
    merge("two_members", seen=seen)
    assert people.one(a, b, c)


def _comes(people: People, of: int) -> None:
    people.attach(people.login("o-third", app_id=people.other_app_id).person_id, card("shared"))
    people.attach(of, card("shared"))


def _goes(people: People, of: int) -> None:
    trust.demote(
        people.session,
        identifier_id=people.identifier(of, IdentifierKind.PHONE).id,
        reason="the shop's",
        now=people.clock.now(),
        actor=OPERATOR,
    )


def _shows(people: People, of: int) -> None:
    people.attach(of, card("of their own"))


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("change", [_comes, _goes, _shows])
def test_an_acknowledgement_holds_for_what_was_shown_with_it(
    people: People, change: Callable[[People, int], None], side: int
) -> None:
    """One name stands for all disagreements of a kind, so it covers none that came to either side later."""
    pair = people.login("o-1").person_id, people.login("o-2").person_id
    for number, person in enumerate(pair):
        people.attach(person, phone(number))
    with pytest.raises(MergeRefused) as first:
        people.merge(*pair)
    names, seen = first.value.extra["against"], first.value.extra["seen"]
    change(people, pair[side])

    for stale in (seen, ""):
        with pytest.raises(NotWhatWasSeen) as again:
            people.merge(*pair, although=names, seen=stale)
    assert not people.one(*pair)
    assert again.value.extra["seen"] != seen

    # Who names them the other way round looks at the same.
    people.merge(pair[1], pair[0], although=names, seen=again.value.extra["seen"])
    assert people.one(*pair)


def test_a_merge_that_nothing_speaks_against_overrules_nothing(people: People) -> None:
    a, b = _strangers(people, 2)
    people.merge(a, b, although=EVERYTHING)
    (view,) = queries.merges(people.session, person_ids=[a])
    assert not view.forced
    assert queries.history(people.session, person_ids=[a])[0].detail["although"] == []


def test_who_is_one_already_cannot_be_merged(people: People) -> None:
    a, b = _strangers(people, 2)
    people.merge(a, b)
    with pytest.raises(AlreadyMerged):
        people.merge(b, a, although=EVERYTHING)
    with pytest.raises(AlreadyMerged):
        people.merge(a, a)


def test_a_locked_cluster_is_the_whole_cluster(people: People) -> None:
    a, b, c = _strangers(people, 3)
    people.merge(a, b)
    whole = queries.Cluster(a, (a, b))
    assert clusters.lock_cluster(people.session, person_id=b) == whole
    assert clusters.ask_cluster(people.session, person_id=b, root_id=a)() == whole
    for stale in (b, c):
        with pytest.raises(Replay):
            clusters.ask_cluster(people.session, person_id=b, root_id=stale)()
