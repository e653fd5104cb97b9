"""The offline half of the OneID engine: connected components over what is trusted enough (ID-08)."""

from dataclasses import replace

import pytest

from app.identity import operations as identity
from app.identity import queries
from app.identity.values import IdentifierKind
from tests.factories.people import OPERATOR, People, card, device, phone


def _trust_devices(people: People) -> None:
    rule = replace(queries.rules(people.session)[IdentifierKind.DEVICE], confidence_bps=9_000)
    identity.set_rule(people.session, rule=rule, now=people.clock.now(), actor=OPERATOR)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_changed_rule_joins_what_real_time_left_apart(people: People, limit: int) -> None:
    # A chain: a-d1-b, b-d2-c; and e alone.
    a = people.recognise(device("d-1"), phone(1)).person_id
    b = people.recognise(device("d-1"), phone(2)).person_id
    people.attach(b, device("d-2"))
    c = people.recognise(device("d-2"), phone(3)).person_id
    e = people.recognise(device("d-3"), phone(4)).person_id
    assert people.reconcile(limit) == 0

    _trust_devices(people)

    assert people.reconcile(limit) == 2
    assert people.cluster(c).person_ids == (a, b, c)
    assert people.cluster(e).person_ids == (e,)
    assert people.reconcile(limit) == 0


def test_the_batch_asks_where_the_rules_forbid(people: People) -> None:
    a = people.login("o-1").person_id
    b = people.login("o-2").person_id
    people.attach(a, device("d-1"))
    people.attach(b, device("d-1"))
    _trust_devices(people)

    assert people.reconcile() == 0
    (asked,) = people.conflicts()
    assert {asked.person_a, asked.person_b} == {a, b}
    assert people.reconcile() == 0
    assert [view.id for view in people.conflicts()] == [asked.id]


def test_the_batch_demotes_what_too_many_show(people: People) -> None:
    _trust_devices(people)
    rule = replace(
        queries.rules(people.session)[IdentifierKind.DEVICE], persons_limit=2, confidence_bps=3_000
    )
    identity.set_rule(people.session, rule=rule, now=people.clock.now(), actor=OPERATOR)
    shown_by = [people.recognise(device("d-1"), phone(number)).person_id for number in range(1, 4)]
    _trust_devices(people)

    assert people.reconcile() == 0
    assert len({people.cluster(person).root_id for person in shown_by}) == 3


def test_an_empty_stretch_ends_the_batch(people: People) -> None:
    step = identity.reconcile_batch(people.session, after_id=0, limit=10, now=people.clock.now())
    assert step == identity.Reconciled(None, 0, 0, 0)


def test_the_batch_resumes_where_it_stopped(people: People) -> None:
    for number in range(5):
        people.recognise(card(f"c-{number}"))
    now = people.clock.now()
    first = identity.reconcile_batch(people.session, after_id=0, limit=3, now=now)
    assert first.examined == 3
    assert first.next_after_id is not None
    rest = identity.reconcile_batch(people.session, after_id=first.next_after_id, limit=3, now=now)
    assert (rest.examined, rest.next_after_id) == (2, None)
