"""Joining: with consent, once, from somewhere (JOIN-01, JOIN-02, JOIN-04, ID-01, ID-22, SEC-04)."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from app.identity.errors import UnknownPerson, VirtualPerson
from app.identity.models import IdentitySource
from app.identity.values import Claimed, IdentifierKind
from app.members import member_no, queries
from app.members import operations as members
from app.members.errors import (
    GuardianConsentRequired,
    InvalidTier,
    NotAMember,
    PolicyExists,
    PolicyMissing,
    PolicyOutdated,
    UnknownPlacement,
)
from app.members.models import AgeBand, Consent, JoinChannel, JoinManner, Member, PlacementKind, Policy
from app.members.operations import CARD_SCOPE, Source
from app.members.queries import Membership
from tests.factories.people import OPERATOR, People, phone

Join = Callable[..., Membership]


def _consents(people: People) -> list[Consent]:
    return list(people.session.scalars(select(Consent).order_by(Consent.id)))


def _publish(people: People, version: str) -> None:
    members.publish_policy(
        people.session, version=version, text_zh="新", text_en="New", now=people.clock.now()
    )


def test_joining_makes_a_member_with_a_consent(people: People, join: Join) -> None:
    person = people.login("o-1").person_id
    assert queries.membership(people.session, person_ids=[person]) is None

    joined = join(person)

    assert joined == queries.membership(people.session, person_ids=[person])
    assert (joined.person_id, joined.tier, joined.age_band) == (person, None, AgeBand.ADULT)
    assert joined.joined_at == people.clock.now()
    assert joined.consent_is_current
    (consent,) = _consents(people)
    assert (consent.policy_version, consent.given_at) == ("1", people.clock.now())
    assert (consent.guardian, consent.withdrawn_at) == (False, None)


def test_joining_twice_is_joining_once(people: People, join: Join) -> None:
    person = people.login("o-1").person_id
    first = join(person, source=Source(channel=JoinChannel.DOUYIN, guide_ref="g-1"))
    people.later(days=1)

    assert join(person, source=Source(channel=JoinChannel.WEBSITE)) == first

    row = people.session.scalars(select(Member)).one()
    assert (row.channel, row.guide_ref) == (JoinChannel.DOUYIN, "g-1")
    assert len(_consents(people)) == 1


def test_a_member_number_is_a_name_of_the_member(people: People, join: Join) -> None:
    person = people.login("o-1").person_id
    number = join(person).member_no

    assert member_no.is_valid(number)
    card = Claimed(IdentifierKind.MEMBER_CARD, CARD_SCOPE, number)
    assert people.recognise(card).person_id == person
    assert people.identifier(person, IdentifierKind.MEMBER_CARD).source is IdentitySource.JOIN
    assert queries.person_by_member_no(people.session, member_no=number) == person
    assert queries.person_by_member_no(people.session, member_no="123456789012") is None


def test_a_number_that_is_taken_is_passed_by(
    people: People, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members.member_no, "_COUNT", 2)
    numbers = {join(people.login(f"o-{number}").person_id).member_no for number in range(2)}
    assert len(numbers) == 2
    with pytest.raises(members.NumbersExhausted):
        join(people.login("o-9").person_id)


def test_the_current_policy_must_be_agreed_to(people: People, join: Join) -> None:
    person = people.login("o-1").person_id
    people.later(days=1)
    _publish(people, "2")

    with pytest.raises(PolicyOutdated) as refused:
        join(person)

    assert refused.value.code == "policy_outdated"
    assert refused.value.extra == {"current": "2"}
    assert join(person, policy_version="2").consent_is_current


def test_a_new_policy_asks_everybody_again(people: People, join: Join) -> None:
    person = people.login("o-1").person_id
    join(person)
    people.later(days=1)
    _publish(people, "2")

    outdated = queries.membership(people.session, person_ids=[person])
    assert outdated is not None
    assert not outdated.consent_is_current
    assert not queries.has_consented(people.session, person_ids=[person])

    assert join(person, policy_version="2").consent_is_current
    assert [consent.policy_version for consent in _consents(people)] == ["1", "2"]


def test_a_policy_is_published_once_and_carries_its_hash(people: People) -> None:
    before = queries.current_policy(people.session)
    with pytest.raises(PolicyExists):
        _publish(people, "1")
    assert queries.current_policy(people.session) == before
    assert len(before.sha256) == 64
    people.later(seconds=1)
    _publish(people, "2")
    assert queries.current_policy(people.session).version == "2"
    assert queries.current_policy(people.session).sha256 != before.sha256


def test_without_a_policy_nobody_joins(people: People, join: Join) -> None:
    people.session.query(Policy).delete()
    person = people.login("o-1").person_id
    with pytest.raises(PolicyMissing):
        join(person)


def test_a_child_joins_with_a_guardians_consent_only(people: People, join: Join) -> None:
    person = people.login("o-1").person_id
    with pytest.raises(GuardianConsentRequired) as refused:
        join(person, age_band=AgeBand.UNDER_14)
    assert refused.value.code == "guardian_consent_required"
    assert queries.membership(people.session, person_ids=[person]) is None

    joined = join(person, age_band=AgeBand.UNDER_14, guardian_consent=True)

    assert joined.age_band is AgeBand.UNDER_14
    assert [consent.guardian for consent in _consents(people)] == [True]


def test_from_14_on_no_guardian_is_asked(people: People, join: Join) -> None:
    joined = join(people.login("o-1").person_id, age_band=AgeBand.TEEN_14_17)
    assert joined.age_band is AgeBand.TEEN_14_17


def test_withdrawing_is_kept_and_joining_again_renews(people: People, join: Join) -> None:
    person = people.login("o-1").person_id
    first = join(person)
    people.later(days=1)
    assert members.withdraw_consent(people.session, person_id=person, now=people.clock.now()) == 1
    assert members.withdraw_consent(people.session, person_id=person, now=people.clock.now()) == 0

    withdrawn = queries.membership(people.session, person_ids=[person])
    assert withdrawn is not None
    assert (withdrawn.member_no, withdrawn.consent_is_current) == (first.member_no, False)

    people.later(days=1)
    assert join(person) == first
    assert [consent.withdrawn_at is None for consent in _consents(people)] == [False, True]


def test_the_age_stated_with_the_newest_consent_holds(people: People, join: Join) -> None:
    person = people.login("o-1").person_id
    join(person, age_band=AgeBand.UNDER_14, guardian_consent=True)
    people.later(days=400)
    _publish(people, "2")
    assert join(person, policy_version="2", age_band=AgeBand.TEEN_14_17).age_band is AgeBand.TEEN_14_17


def test_virtual_and_unknown_persons_do_not_join(people: People, join: Join) -> None:
    with pytest.raises(VirtualPerson):
        join(people.login("o-1", virtual=True).person_id)
    with pytest.raises(UnknownPerson):
        join(5)
    assert people.session.execute(select(func.count()).select_from(Member)).scalar_one() == 0


def test_where_somebody_comes_from_is_kept(people: People, join: Join) -> None:
    inviter = people.login("o-1").person_id
    person = people.login("o-2").person_id
    source = Source(
        channel=JoinChannel.OFFICIAL_ACCOUNT,
        manner=JoinManner.REFERRAL,
        inviter_person_id=inviter,
        store_ref="s-1",
        guide_ref="g-1",
    )
    join(person, source=source)
    row = people.session.scalars(select(Member)).one()
    assert (row.channel, row.manner) == (JoinChannel.OFFICIAL_ACCOUNT, JoinManner.REFERRAL)
    assert (row.inviter_person_id, row.store_ref, row.guide_ref) == (inviter, "s-1", "g-1")


def test_nobody_invites_themselves_through_another_account(people: People, join: Join) -> None:
    other = people.recognise(phone(1)).person_id
    person = people.login("o-1").person_id
    people.attach(person, phone(1))
    mine = Source(manner=JoinManner.REFERRAL, inviter_person_id=other, store_ref="s-1", guide_ref="g-1")
    join(person, source=mine)
    row = people.session.scalars(select(Member)).one()
    assert (row.inviter_person_id, row.store_ref, row.guide_ref) == (None, None, None)


def test_one_human_being_joins_once_through_any_account(people: People, join: Join) -> None:
    other = people.recognise(phone(1)).person_id
    person = people.login("o-1").person_id
    people.attach(person, phone(1))
    first = join(other)
    people.later(days=1)
    assert join(person) == first
    assert people.session.execute(select(func.count()).select_from(Member)).scalar_one() == 1


def test_of_two_memberships_the_earlier_counts_and_an_unmerge_gives_each_their_own(
    people: People, join: Join
) -> None:
    later = people.recognise(phone(1)).person_id
    earlier = people.login("o-1").person_id
    first = join(earlier)
    people.later(days=1)
    second = join(later)
    members.set_tier(people.session, person_id=later, tier="gold", now=people.clock.now(), actor=OPERATOR)

    people.attach(earlier, phone(1))
    both = people.cluster(earlier).person_ids
    assert queries.membership(people.session, person_ids=both) == first
    assert join(later) == first

    people.unmerge(people.last_merge(earlier))
    for person, membership in ((earlier, first), (later, second)):
        found = queries.membership(people.session, person_ids=people.cluster(person).person_ids)
        assert found is not None
        assert found.member_id == membership.member_id


def test_withdrawing_covers_all_accounts_of_a_person(people: People, join: Join) -> None:
    other, person = people.recognise(phone(1)).person_id, people.login("o-1").person_id
    join(other)
    join(person)
    people.attach(person, phone(1))
    assert members.withdraw_consent(people.session, person_id=person, now=people.clock.now()) == 2
    assert not queries.has_consented(people.session, person_ids=[person, other])


def test_a_tier_is_set_on_the_membership_that_counts(people: People, join: Join) -> None:
    person = people.login("o-1").person_id
    now = people.clock.now()
    with pytest.raises(NotAMember):
        members.set_tier(people.session, person_id=person, tier="gold", now=now, actor=OPERATOR)
    join(person)
    changed = members.set_tier(people.session, person_id=person, tier="gold", now=now, actor=OPERATOR)
    assert changed.tier == "gold"
    assert people.session.scalars(select(Member.tier_set_by)).one() == "olga"
    cleared = members.set_tier(people.session, person_id=person, tier=None, now=now, actor=OPERATOR)
    assert cleared.tier is None
    with pytest.raises(InvalidTier):
        members.set_tier(people.session, person_id=person, tier="Gold!", now=now, actor=OPERATOR)


@pytest.mark.parametrize("kind", list(PlacementKind))
def test_every_touchpoint_has_its_own_code_and_is_credited(
    people: People, join: Join, kind: PlacementKind
) -> None:
    now = people.clock.now()
    made = members.create_placement(
        people.session, kind=kind, label="entrance", now=now, store_ref="s-1", guide_ref="g-1"
    )
    other = members.create_placement(people.session, kind=kind, label="exit", now=now)
    assert made.key != other.key
    assert queries.resolve_placement(people.session, key=made.key) == made

    source = Source(manner=JoinManner.PLACEMENT, placement_id=made.id, guide_ref="g-2")
    join(people.login("o-1").person_id, source=source)

    assert queries.joined_by_placement(people.session, placement_id=made.id) == 1
    assert queries.joined_by_placement(people.session, placement_id=other.id) == 0
    row = people.session.scalars(select(Member)).one()
    assert (row.placement_id, row.store_ref, row.guide_ref) == (made.id, "s-1", "g-2")
    # Without a guide of their own, the placement's store and guide are credited.
    second = people.login("o-2").person_id
    join(second, source=Source(manner=JoinManner.PLACEMENT, placement_id=made.id))
    row = people.session.scalars(select(Member).where(Member.person_id == second)).one()
    assert (row.placement_id, row.store_ref, row.guide_ref) == (made.id, "s-1", "g-1")


def test_a_closed_placement_leads_nowhere(people: People, join: Join) -> None:
    now = people.clock.now()
    made = members.create_placement(people.session, kind=PlacementKind.TILL, label="till 1", now=now)
    members.close_placement(people.session, placement_id=made.id, now=now)
    with pytest.raises(UnknownPlacement):
        members.close_placement(people.session, placement_id=made.id, now=now)
    with pytest.raises(UnknownPlacement):
        queries.resolve_placement(people.session, key=made.key)
    with pytest.raises(UnknownPlacement):
        join(people.login("o-1").person_id, source=Source(placement_id=made.id))
