"""Deciding what the rules cannot: merge, keep apart, move the identifier."""

from collections.abc import Collection
from typing import Any

import pytest

from app.identity import operations as identity
from app.identity import queries
from app.identity.errors import ConflictDecided, MergeRefused, MoveRefused, NotWhatWasSeen, UnknownConflict
from app.identity.models import ConflictState, LogAction
from app.identity.operations import Decision
from app.identity.values import IdentifierKind
from tests.factories.people import EVERYTHING, OPERATOR, People, card, phone, unionid


def _two_with_one_phone(people: People) -> tuple[int, int, int]:
    first, second = people.login("o-1", "u-1").person_id, people.login("o-2", "u-2").person_id
    people.attach(first, phone(1))
    asked = people.attach(second, phone(1))
    assert asked.conflict_id is not None
    return first, second, asked.conflict_id


def _decide(
    people: People,
    conflict_id: int,
    decision: Decision,
    although: Collection[str] = EVERYTHING,
    seen: str | None = None,
) -> ConflictState:
    return identity.resolve_conflict(
        people.session,
        conflict_id=conflict_id,
        decision=decision,
        now=people.clock.now(),
        actor=OPERATOR,
        although=although,
        seen=seen,
    )


def test_merging_overrules_the_rules_and_can_be_taken_back(people: People) -> None:
    first, second, conflict_id = _two_with_one_phone(people)

    assert _decide(people, conflict_id, Decision.MERGE) is ConflictState.MERGED

    assert people.one(first, second)
    assert people.conflicts() == []
    (merge,) = queries.merges(people.session, person_ids=[first])
    assert merge.forced
    assert merge.identifier_id == people.identifier(first, IdentifierKind.PHONE).id

    people.unmerge(merge.id)
    assert not people.one(first, second)
    assert people.attach(second, phone(1)).conflict_id is None


def test_a_merge_takes_a_word_for_each_rule_in_the_way(people: People) -> None:
    first, second, conflict_id = _two_with_one_phone(people)
    for known in ([], ["unique_disagrees:openid"], ["two_members", "kept_apart"]):
        with pytest.raises(MergeRefused) as refused:
            _decide(people, conflict_id, Decision.MERGE, known)
        every = ["unique_disagrees:openid", "unique_disagrees:unionid"]
        assert refused.value.extra["against"] == every
    assert [conflict.id for conflict in people.conflicts()] == [conflict_id]
    assert not people.one(first, second)

    _decide(people, conflict_id, Decision.MERGE, every)

    assert people.one(first, second)
    merged = [
        it for it in queries.history(people.session, person_ids=[first]) if it.action is LogAction.MERGE
    ]
    assert merged[0].detail["although"] == every


def test_a_decision_to_merge_holds_for_what_was_shown(people: People) -> None:
    first, second, conflict_id = _two_with_one_phone(people)
    with pytest.raises(MergeRefused) as refused:
        _decide(people, conflict_id, Decision.MERGE, [])
    seen: Any = refused.value.extra["seen"]
    people.attach(second, card("c-1"))
    with pytest.raises(NotWhatWasSeen) as again:
        _decide(people, conflict_id, Decision.MERGE, EVERYTHING, seen)
    seen = again.value.extra["seen"]
    assert _decide(people, conflict_id, Decision.MERGE, EVERYTHING, seen) is ConflictState.MERGED
    assert people.one(first, second)


def test_keeping_apart_is_not_asked_again(people: People) -> None:
    first, second, conflict_id = _two_with_one_phone(people)

    assert _decide(people, conflict_id, Decision.KEEP_APART) is ConflictState.KEPT_APART

    assert not people.one(first, second)
    assert people.attach(second, phone(1)).conflict_id is None
    assert people.conflicts() == []
    assert people.reconcile() == 0


def test_a_phone_given_out_again_moves_to_its_new_holder(people: People) -> None:
    first, second, conflict_id = _two_with_one_phone(people)

    assert _decide(people, conflict_id, Decision.MOVE) is ConflictState.MOVED

    assert people.recognise(phone(1)).person_id == second
    assert queries.has_phone(people.session, person_ids=[second])
    assert not queries.has_phone(people.session, person_ids=[first])
    assert not people.one(first, second)
    assert people.reconcile() == 0
    assert people.attach(first, phone(1)).conflict_id is None
    assert not people.one(first, second)


def test_what_everybody_has_one_of_does_not_move_to_who_has_one(people: People) -> None:
    person = people.login("o-1", "u-1").person_id
    asked = people.attach(person, unionid("u-2"))
    assert asked.conflict_id is not None
    with pytest.raises(MoveRefused):
        _decide(people, asked.conflict_id, Decision.MOVE)
    assert [conflict.id for conflict in people.conflicts()] == [asked.conflict_id]


@pytest.mark.parametrize("second_decision", list(Decision))
@pytest.mark.parametrize("first_decision", list(Decision))
def test_a_conflict_is_decided_once(
    people: People, first_decision: Decision, second_decision: Decision
) -> None:
    _, _, conflict_id = _two_with_one_phone(people)
    _decide(people, conflict_id, first_decision)
    with pytest.raises(ConflictDecided):
        _decide(people, conflict_id, second_decision)


def test_an_unknown_conflict_is_refused(people: People) -> None:
    with pytest.raises(UnknownConflict):
        _decide(people, 5, Decision.MERGE)


def test_a_merge_answers_every_question_between_the_two(people: People) -> None:
    first, second, conflict_id = _two_with_one_phone(people)
    people.attach(first, card("c-1"))
    other = people.attach(second, card("c-1"))
    assert len(people.conflicts()) == 2

    _decide(people, conflict_id, Decision.MERGE)

    assert people.conflicts() == []
    with pytest.raises(ConflictDecided):
        _decide(people, other.conflict_id or 0, Decision.KEEP_APART)


def test_open_conflicts_come_in_pages(people: People) -> None:
    first = people.login("o-0", "u-0").person_id
    people.attach(first, phone(1))
    for number in range(1, 5):
        people.attach(people.login(f"o-{number}", f"u-{number}").person_id, phone(1))
    page = queries.open_conflicts(people.session, limit=3)
    rest = queries.open_conflicts(people.session, after_id=page[-1].id, limit=3)
    assert [len(page), len(rest)] == [3, 1]
    assert sorted(view.id for view in [*page, *rest]) == [view.id for view in people.conflicts()]
