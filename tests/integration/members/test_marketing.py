"""Consent to marketing by phone: of adults with a number, once, and ended in one act (contract 14.6)."""

import pytest
from sqlalchemy import func, select

from app.members import marketing
from app.members import operations as members
from app.members.models import AgeBand, MarketingConsent
from app.organisation.operations import create_brand
from tests.factories.people import People, phone
from tests.integration.members.conftest import Join, publish


@pytest.fixture
def brand(people: People) -> int:
    now = people.clock.now()
    return create_brand(people.session, slug="tea", name_zh="茶", name_en="Tea", now=now)


def agree(people: People, person: int, brand: int) -> bool:
    now = people.clock.now()
    return marketing.agree(people.session, person_id=person, brand_id=brand, origin="voucher", now=now)


def rows(people: People) -> int:
    return people.session.scalar(select(func.count()).select_from(MarketingConsent)) or 0


def test_it_is_kept_once_for_all_accounts_of_a_person(people: People, join: Join, brand: int) -> None:
    other = people.recognise(phone(1)).person_id
    person = people.login("o-1").person_id
    people.attach(person, phone(1))
    join(person)
    assert agree(people, person, brand)
    assert agree(people, other, brand)
    kept = people.session.scalars(select(MarketingConsent)).one()
    assert (kept.origin, kept.withdrawn_at) == ("voucher", None)
    assert kept.policy_version
    assert marketing.agrees(people.session, person_ids=[person], brand_id=brand)
    assert not marketing.agrees(people.session, person_ids=[person], brand_id=brand + 1)


def test_without_a_number_or_before_joining_there_is_nothing_to_agree_to(
    people: People, join: Join, brand: int
) -> None:
    guest, member = people.login("o-1").person_id, people.login("o-2").person_id
    people.attach(guest, phone(1))
    join(member)
    assert not agree(people, guest, brand)
    assert not agree(people, member, brand)
    assert rows(people) == 0


def test_without_the_policy_of_the_time_there_is_nothing_to_agree_to(
    people: People, join: Join, brand: int
) -> None:
    person, now = people.login("o-1").person_id, people.clock.now()
    people.attach(person, phone(1))
    join(person)
    publish(people, "2")
    assert not agree(people, person, brand), "they have not seen it yet"
    join(person, policy_version="2")
    members.withdraw_consent(people.session, person_id=person, now=now)
    assert not agree(people, person, brand)
    assert rows(people) == 0
    join(person, policy_version="2")
    assert agree(people, person, brand)


@pytest.mark.parametrize("band", [AgeBand.TEEN_14_17, AgeBand.UNDER_14])
def test_minors_are_not_asked(people: People, join: Join, brand: int, band: AgeBand) -> None:
    person = people.login("o-1").person_id
    people.attach(person, phone(1))
    join(person, age_band=band, guardian_consent=True)
    assert not agree(people, person, brand)
    assert rows(people) == 0


def test_it_is_taken_back_alone_or_with_the_other_consent(people: People, join: Join, brand: int) -> None:
    person = people.login("o-1").person_id
    people.attach(person, phone(1))
    join(person)
    agree(people, person, brand)
    now = people.clock.now()
    assert marketing.withdraw(people.session, person_id=person, now=now) == 1
    assert marketing.withdraw(people.session, person_id=person, now=now) == 0
    agree(people, person, brand)
    assert rows(people) == 2, "what was agreed to before is kept as proof"
    members.withdraw_consent(people.session, person_id=person, now=now)
    assert not marketing.agrees(people.session, person_ids=[person])
