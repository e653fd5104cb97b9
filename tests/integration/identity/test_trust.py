"""An operator takes an identifier its say, and gives it back (ID-07)."""

import pytest

from app.identity import operations as identity
from app.identity import queries, trust
from app.identity.errors import AlreadyDemoted, DemotionRefused, ReinstateRefused, UnknownIdentifier
from app.identity.models import IdentifierState, LogAction
from app.identity.operations import Decision
from app.identity.queries import IdentifierView
from app.identity.values import IdentifierKind
from tests.factories.people import EVERYTHING, OPERATOR, People, card, phone


def test_a_demoted_identifier_can_have_its_say_back(people: People) -> None:
    shown_by = [people.login(f"o-{number}").person_id for number in range(6)]
    for person in shown_by:
        people.attach(person, phone(1))
    identifier_id = people.identifier(shown_by[0], IdentifierKind.PHONE).id
    # It would last until the next record or the next reconciliation.
    with pytest.raises(
        ReinstateRefused, match="6 persons showed it within 365 days, and the rules believe 5"
    ):
        trust.reinstate(
            people.session,
            identifier_id=identifier_id,
            now=people.clock.now(),
            actor=OPERATOR,
            although=EVERYTHING,
        )
    people.later(days=366)
    now = people.clock.now()

    trust.reinstate(people.session, identifier_id=identifier_id, now=now, actor=OPERATOR)
    trust.reinstate(people.session, identifier_id=identifier_id, now=now, actor=OPERATOR)

    people.reconcile()
    assert people.state(shown_by[0], IdentifierKind.PHONE) is IdentifierState.ACTIVE
    with pytest.raises(UnknownIdentifier):
        trust.reinstate(people.session, identifier_id=1, now=now, actor=OPERATOR)


def test_an_operator_takes_an_identifier_its_say_and_gives_it_back(people: People) -> None:
    """ID-07: a number that is not one person's joins nobody and asks nobody; taking it back is whole."""
    first = people.recognise(phone(1)).person_id
    second = people.login("o-1", "u-1").person_id
    third = people.login("o-2", "u-2").person_id
    people.attach(second, phone(1))
    assert people.one(first, second)
    assert people.attach(third, phone(1)).conflict_id is not None
    identifier_id, now = people.identifier(first, IdentifierKind.PHONE).id, people.clock.now()

    trust.demote(people.session, identifier_id=identifier_id, reason="the shop's", now=now, actor=OPERATOR)

    assert people.state(first, IdentifierKind.PHONE) is IdentifierState.DEMOTED
    assert people.conflicts() == []
    assert people.one(first, second)
    assert people.attach(third, phone(1)).conflict_id is None
    assert people.attach(people.recognise(card("c-1")).person_id, phone(1)).merged is False
    assert people.reconcile() == 0
    demotions = [
        (line.actor_label, line.detail)
        for line in queries.history(people.session, person_ids=[first])
        if line.action is LogAction.DEMOTE
    ]
    assert demotions == [("olga", {"reason": "the shop's"})]

    trust.reinstate(people.session, identifier_id=identifier_id, now=now, actor=OPERATOR)
    assert people.attach(third, phone(1)).conflict_id is not None
    with pytest.raises(UnknownIdentifier):
        trust.demote(people.session, identifier_id=1, reason="?", now=now, actor=OPERATOR)


def test_nothing_new_is_paid_to_a_demoted_openid(people: People) -> None:
    person = people.login("o-1").person_id
    identifier_id = people.identifier(person, IdentifierKind.OPENID).id
    trust.demote(
        people.session,
        identifier_id=identifier_id,
        reason="a friend's",
        now=people.clock.now(),
        actor=OPERATOR,
    )
    assert queries.openid(people.session, person_ids=[person], app_id=people.app_id) is None
    assert people.login("o-1").person_id == person


def test_a_value_beyond_the_limit_does_not_come_back(people: People) -> None:
    person = people.login("o-1").person_id
    people.attach(person, *(phone(number) for number in range(1, 7)))
    (demoted,) = _demoted(people, person)
    with pytest.raises(ReinstateRefused) as refused:
        _reinstate(people, demoted.id)
    assert refused.value.extra == {"against": ["limit_exceeded:phone"]}
    assert [it.id for it in _demoted(people, person)] == [demoted.id]


@pytest.mark.parametrize("kind", [IdentifierKind.OPENID, IdentifierKind.UNIONID])
def test_a_demotion_within_an_overruled_merge_is_taken_back_by_the_same_word(
    people: People, kind: IdentifierKind
) -> None:
    first, second = people.login("o-1", "u-1").person_id, people.login("o-2", "u-2").person_id
    people.merge(first, second, although=EVERYTHING)
    identifier_id = _demote(people, first, kind)
    for said in ([], ["kept_apart", "limit_exceeded:phone"]):
        with pytest.raises(ReinstateRefused) as refused:
            _reinstate(people, identifier_id, *said)
        assert refused.value.extra == {"against": [f"unique_disagrees:{kind.value}"]}

    _reinstate(people, identifier_id, f"unique_disagrees:{kind.value}")

    assert people.state(first, kind) is IdentifierState.ACTIVE
    line = queries.history(people.session, person_ids=[first])[0]
    assert (line.action, line.detail) == (
        LogAction.REINSTATE,
        {"although": [f"unique_disagrees:{kind.value}"]},
    )


def test_who_are_held_apart_stay_so_until_it_is_decided(people: People) -> None:
    """A demotion does not answer an open question: what it rests on keeps its say till somebody decides."""
    first = people.login("o-1", "u-1").person_id
    people.attach(first, phone(1))
    second = people.login("s-2", "u-2", app_id=people.other_app_id).person_id
    asked = people.attach(second, phone(1)).conflict_id
    assert asked is not None
    for person in (first, second):
        with pytest.raises(DemotionRefused) as refused:
            _demote(people, person, IdentifierKind.UNIONID)
        assert refused.value.extra == {"conflicts": [asked]}
    assert people.reconcile() == 0
    # Others of theirs are free, and so is the one that the question is about: the question lapses with it.
    _demote(people, first, IdentifierKind.OPENID)
    _demote(people, first, IdentifierKind.PHONE)
    assert people.conflicts() == []

    _demote(people, first, IdentifierKind.UNIONID)

    assert people.reconcile() == 0
    assert not people.one(first, second)


def test_a_question_kept_apart_stays_answered_when_what_it_rested_on_is_demoted(people: People) -> None:
    first = people.login("o-1", "u-1").person_id
    people.attach(first, phone(1))
    second = people.login("s-2", "u-2", app_id=people.other_app_id).person_id
    asked = people.attach(second, phone(1)).conflict_id
    identity.resolve_conflict(
        people.session,
        conflict_id=asked or 0,
        decision=Decision.KEEP_APART,
        now=people.clock.now(),
        actor=OPERATOR,
    )
    _demote(people, first, IdentifierKind.UNIONID)
    assert people.reconcile() == 0
    assert not people.attach(second, phone(1)).merged


def test_what_has_no_say_is_not_demoted_again(people: People) -> None:
    """The reason of an operator is kept, or they are told that it is not."""
    person = people.login("o-1").person_id
    _demote(people, person, IdentifierKind.OPENID)
    with pytest.raises(AlreadyDemoted):
        _demote(people, person, IdentifierKind.OPENID)
    lines = [it.action for it in queries.history(people.session, person_ids=[person])]
    assert lines.count(LogAction.DEMOTE) == 1


def _demote(people: People, person_id: int, kind: IdentifierKind) -> int:
    identifier_id = people.identifier(person_id, kind).id
    trust.demote(
        people.session,
        identifier_id=identifier_id,
        reason="not theirs",
        now=people.clock.now(),
        actor=OPERATOR,
    )
    return identifier_id


def _reinstate(people: People, identifier_id: int, *although: str) -> None:
    trust.reinstate(
        people.session,
        identifier_id=identifier_id,
        now=people.clock.now(),
        actor=OPERATOR,
        although=although,
    )


def _demoted(people: People, person_id: int) -> list[IdentifierView]:
    held = queries.identifiers(people.session, person_ids=[person_id])
    return [it for it in held if it.state is IdentifierState.DEMOTED]
