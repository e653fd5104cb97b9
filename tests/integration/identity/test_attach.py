"""What a record does: attach, merge, ask, demote (ID-01, ID-05, ID-06, ID-07, ID-08, ID-22)."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from app.identity import operations as identity
from app.identity import queries
from app.identity.errors import InvalidRule, UnusableIdentifier
from app.identity.models import (
    ConflictReason,
    Identifier,
    IdentifierState,
    IdentitySource,
    LogAction,
    Sighting,
)
from app.identity.values import IdentifierKind
from tests.factories.people import OPERATOR, People, card, device, phone, unionid


def test_purchase_and_follow_become_one_when_a_record_carries_both(people: People) -> None:
    purchase = people.recognise(phone(1))
    follow = people.recognise(unionid("u-1"))
    assert not people.one(purchase.person_id, follow.person_id)

    order = people.recognise(unionid("u-1"), phone(1))

    assert order.merged
    assert order.person_id == follow.person_id
    assert people.cluster(follow.person_id) == people.cluster(purchase.person_id)
    assert people.cluster(follow.person_id).person_ids == (purchase.person_id, follow.person_id)
    assert people.count() == 2


def test_a_stranger_is_kept_from_the_first_contact(people: People) -> None:
    seen = people.recognise(phone(1))
    assert seen.is_new
    assert people.recognise(phone(1)) == replace(seen, is_new=False)


def test_a_new_identifier_belongs_to_whoever_shows_it(people: People) -> None:
    person = people.login("o-1").person_id
    assert people.attach(person, phone(1), card("c-1")).merged is False
    held = queries.identifiers(people.session, person_ids=[person])
    assert {(it.kind, it.state) for it in held} == {
        (IdentifierKind.OPENID, IdentifierState.ACTIVE),
        (IdentifierKind.PHONE, IdentifierState.ACTIVE),
        (IdentifierKind.MEMBER_CARD, IdentifierState.ACTIVE),
    }
    assert [it.shown for it in held if it.kind is IdentifierKind.PHONE] == ["+86 138****0001"]
    assert {it.source for it in held} == {IdentitySource.MINIPROGRAM_LOGIN, IdentitySource.PHONE_BUTTON}


def test_after_a_merge_what_is_shown_stays_with_the_person_who_showed_it(people: People) -> None:
    first = people.recognise(phone(1)).person_id
    second = people.login("o-1").person_id
    people.attach(second, phone(1))
    people.attach(second, card("c-1"))

    assert people.identifier(second, IdentifierKind.MEMBER_CARD).person_id == second
    people.unmerge(people.last_merge(first))
    assert people.recognise(card("c-1")).person_id == second


def test_the_same_record_twice_changes_nothing(people: People) -> None:
    person = people.login("o-1", "u-1").person_id
    people.recognise(phone(1))
    first = people.attach(person, phone(1), unionid("u-1"))
    log = queries.history(people.session, person_ids=people.cluster(person).person_ids)
    second = people.attach(person, phone(1), unionid("u-1"))

    assert first.merged
    assert second == replace(first, merged=False)
    assert queries.history(people.session, person_ids=people.cluster(person).person_ids) == log


def test_an_identifier_below_the_threshold_joins_nobody(people: People) -> None:
    first = people.recognise(device("d-1"), phone(1)).person_id
    second = people.recognise(device("d-1"), phone(2)).person_id

    assert first != second
    assert not people.one(first, second)
    assert people.conflicts() == []
    seen = people.session.execute(
        select(Sighting.person_id).join(Identifier).where(Identifier.kind == "device")
    )
    assert set(seen.scalars()) == {first, second}


def test_a_record_of_weak_identifiers_alone_makes_a_person_each_time(people: People) -> None:
    assert people.recognise(device("d-1")).person_id != people.recognise(device("d-1")).person_id


def test_a_disagreeing_unionid_blocks_a_merge_and_asks_once(people: People) -> None:
    first = people.login("o-1", "u-1").person_id
    second = people.login("o-2", "u-2", app_id=people.other_app_id).person_id
    people.attach(first, phone(1))

    asked = people.attach(second, phone(1))
    again = people.attach(second, phone(1))

    assert not asked.merged
    assert asked.conflict_id == again.conflict_id
    (conflict,) = people.conflicts()
    assert (conflict.person_a, conflict.person_b, conflict.claimant_id) == (first, second, second)
    assert (conflict.reason, conflict.disagreeing_kind) == (
        ConflictReason.UNIQUE_DISAGREES,
        IdentifierKind.UNIONID,
    )
    assert not people.one(first, second)


def test_two_openids_of_one_app_block_a_merge(people: People) -> None:
    first, second = people.login("o-1").person_id, people.login("o-2").person_id
    people.attach(first, phone(1))
    asked = people.attach(second, phone(1))
    assert asked.conflict_id is not None
    assert people.conflicts()[0].disagreeing_kind is IdentifierKind.OPENID


def test_whoever_shows_anothers_phone_has_shown_a_phone(people: People) -> None:
    first, second = people.login("o-1").person_id, people.login("o-2").person_id
    people.attach(first, phone(1))
    assert not queries.has_phone(people.session, person_ids=[second])

    people.attach(second, phone(1))

    assert queries.has_phone(people.session, person_ids=[second])
    assert queries.phone(people.session, person_ids=[second]) == "+8613800000001"
    assert queries.phone_masked(people.session, person_ids=[second]) == "+86 138****0001"
    digests = queries.phone_digests(people.session, person_ids=[second])
    assert digests == queries.phone_digests(people.session, person_ids=[first])
    assert [len(digest) for digest in digests] == [32]


def test_a_stronger_new_identifier_is_not_given_to_the_owner_of_a_weaker_one(people: People) -> None:
    first = people.recognise(unionid("u-1"), phone(1)).person_id
    other = people.recognise(unionid("u-2"), phone(1))

    assert other.is_new
    assert other.person_id != first
    assert other.conflict_id is not None
    assert people.identifier(first, IdentifierKind.PHONE).person_id == first
    assert queries.person_by_identifier(people.session, claim=unionid("u-2")) == other.person_id


def test_a_weaker_value_that_disagrees_is_kept_as_a_stranger(people: People) -> None:
    first = people.login("o-1", "u-1").person_id
    people.login("o-5", app_id=people.other_app_id)
    asked = people.attach(first, unionid("u-9"))

    assert asked.person_id == first
    assert asked.conflict_id is not None
    stranger = queries.person_by_identifier(people.session, claim=unionid("u-9"))
    (conflict,) = people.conflicts()
    assert {conflict.person_a, conflict.person_b} == {first, stranger}
    assert conflict.claimant_id == first


def test_blocked_values_are_left_out_and_named(people: People) -> None:
    person = people.login("o-1").person_id
    attached = people.attach(person, unionid("null"), phone(0), card("0"), card("c-1"))
    assert attached.ignored == (IdentifierKind.UNIONID,)
    assert len(queries.identifiers(people.session, person_ids=[person])) == 3
    assert people.attach(person, unionid("anonymous")).ignored == (IdentifierKind.UNIONID,)


def test_a_record_of_nothing_but_blocked_values_is_nobodys(people: People) -> None:
    with pytest.raises(UnusableIdentifier):
        people.recognise(unionid("null"), card("-1"), card("000000"))
    assert people.count() == 0


def test_a_phone_of_too_many_persons_loses_its_say(people: People) -> None:
    shown_by = [people.login(f"o-{number}").person_id for number in range(6)]
    for person in shown_by[:5]:
        people.attach(person, phone(1))
    assert people.state(shown_by[0], IdentifierKind.PHONE) is IdentifierState.ACTIVE
    assert len(people.conflicts()) == 4

    people.attach(shown_by[5], phone(1))

    assert people.state(shown_by[0], IdentifierKind.PHONE) is IdentifierState.DEMOTED
    assert people.conflicts() == []
    newcomer = people.recognise(phone(1), unionid("u-7"))
    assert newcomer.is_new
    assert not newcomer.merged
    actions = [line.action for line in queries.history(people.session, person_ids=[shown_by[0]])]
    assert LogAction.DEMOTE in actions


def test_persons_outside_the_window_do_not_count(people: People) -> None:
    shown_by = [people.login(f"o-{number}").person_id for number in range(6)]
    for person in shown_by[:5]:
        people.attach(person, phone(1))
    people.later(days=366)
    people.attach(shown_by[5], phone(1))
    assert people.state(shown_by[0], IdentifierKind.PHONE) is IdentifierState.ACTIVE


def test_a_person_of_too_many_phones_keeps_the_first_ones(people: People) -> None:
    person = people.login("o-1").person_id
    people.attach(person, *(phone(number) for number in range(1, 6)))
    people.attach(person, phone(6))

    held = queries.identifiers(people.session, person_ids=[person])
    states = [it.state for it in held if it.kind is IdentifierKind.PHONE]
    assert states == [IdentifierState.ACTIVE] * 5 + [IdentifierState.DEMOTED]
    assert people.recognise(phone(6)).person_id != person
    assert people.recognise(phone(5)).person_id == person


def test_too_many_phones_together_block_a_merge(people: People) -> None:
    first = people.recognise(*(phone(number) for number in range(1, 4))).person_id
    second = people.login("o-1").person_id
    people.attach(second, *(phone(number) for number in range(4, 7)))
    people.attach(first, card("c-1"))

    asked = people.attach(second, card("c-1"))

    assert asked.conflict_id is not None
    assert people.conflicts()[0].reason is ConflictReason.LIMIT_EXCEEDED


def test_everything_that_happens_is_logged_without_personal_data(people: People) -> None:
    first = people.recognise(phone(1)).person_id
    second = people.login("o-1").person_id
    people.attach(second, phone(1))
    people.unmerge(people.last_merge(first))

    lines = queries.history(people.session, person_ids=[first, second])

    actions = [line.action for line in reversed(lines)]
    assert actions == [LogAction.ATTACH, LogAction.ATTACH, LogAction.MERGE, LogAction.UNMERGE]
    assert [line.actor_label for line in reversed(lines)] == ["olga", "wechat", "olga", "olga"]
    assert "13800000001" not in repr(lines)
    assert "o-1" not in repr(lines)


def test_rules_can_be_changed_and_are_followed(people: People) -> None:
    now = people.clock.now()
    trusted = replace(queries.rules(people.session)[IdentifierKind.DEVICE], confidence_bps=9_500)
    identity.set_rule(people.session, rule=trusted, now=now, actor=OPERATOR)
    first = people.recognise(device("d-1"), phone(1)).person_id
    assert people.recognise(device("d-1")).person_id == first

    identity.set_threshold(people.session, threshold_bps=9_600, now=now, actor=OPERATOR)
    assert people.recognise(device("d-1")).person_id != first


def test_a_changed_list_of_blocked_values_is_followed(people: People) -> None:
    rule = queries.rules(people.session)[IdentifierKind.MEMBER_CARD]
    changed = replace(rule, blocked=rule.blocked | {"Demo-Card"})
    identity.set_rule(people.session, rule=changed, now=people.clock.now(), actor=OPERATOR)
    with pytest.raises(UnusableIdentifier):
        people.recognise(card("demo-card"))


@pytest.mark.parametrize(
    "change", [{"confidence_bps": 10_001}, {"confidence_bps": -1}, {"per_person": 0}, {"persons_limit": 0}]
)
def test_a_rule_that_cannot_be_kept_is_refused(people: People, change: dict[str, int]) -> None:
    rule = queries.rules(people.session)[IdentifierKind.PHONE]
    with pytest.raises(InvalidRule):
        identity.set_rule(
            people.session, rule=replace(rule, **change), now=people.clock.now(), actor=OPERATOR
        )
    with pytest.raises(InvalidRule):
        identity.set_threshold(people.session, threshold_bps=0, now=people.clock.now(), actor=OPERATOR)


def test_the_rules_that_come_with_the_house(people: People) -> None:
    rules = queries.rules(people.session)
    assert rules.threshold_bps == 8_000
    assert {kind: rules[kind].confidence_bps for kind in IdentifierKind} == {
        IdentifierKind.UNIONID: 10_000,
        IdentifierKind.OPENID: 10_000,
        IdentifierKind.EXTERNAL_USERID: 10_000,
        IdentifierKind.MEMBER_CARD: 9_500,
        IdentifierKind.PHONE: 9_000,
        IdentifierKind.SHOP_ID: 9_000,
        IdentifierKind.DEVICE: 3_000,
    }
    assert IdentifierKind.DEVICE not in rules.joining_kinds()
