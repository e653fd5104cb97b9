"""Logging in: one person per openid or unionid, sessions that end, virtual accounts (ID-01)."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity import clusters, queries, trust
from app.identity import operations as identity
from app.identity.errors import SessionEnded, UnknownPerson, UnusableIdentifier, VirtualPerson
from app.identity.models import Identifier, IdentifierState, LoginSession, Person
from app.identity.values import IdentifierKind, openid_claim
from app.kernel.clock import ManualClock
from app.organisation.errors import UnknownApp
from app.organisation.operations import register_app
from tests.factories.people import EVERYTHING, OPERATOR, People, card, phone, unionid


def test_the_first_login_makes_a_person_and_the_second_finds_them(people: People) -> None:
    first = people.login("o-1")
    second = people.login("o-1")

    assert first.is_new
    assert not second.is_new
    assert first.person_id == second.person_id == first.root_id
    assert first.session_id != second.session_id
    assert people.count() == 1


def test_the_same_unionid_in_another_app_is_the_same_person(people: People) -> None:
    here = people.login("o-1", "u-1")
    there = people.login("o-2", "u-1", app_id=people.other_app_id)

    assert there.person_id == here.person_id
    assert not there.is_new
    openids = [
        queries.openid(people.session, person_ids=[here.person_id], app_id=app_id)
        for app_id in (people.app_id, people.other_app_id)
    ]
    assert openids == ["o-1", "o-2"]


def test_an_openid_is_a_name_within_its_app_only(people: People) -> None:
    assert people.login("o-1").person_id != people.login("o-1", app_id=people.other_app_id).person_id


def test_a_unionid_that_becomes_known_later_joins_two_apps_of_one_user(people: People) -> None:
    here = people.login("o-1")
    there = people.login("o-2", app_id=people.other_app_id)
    assert not people.one(here.person_id, there.person_id)

    people.login("o-1", "u-1")
    again = people.login("o-2", "u-1", app_id=people.other_app_id)

    assert again.person_id == there.person_id
    assert again.root_id == here.person_id
    assert people.one(here.person_id, there.person_id)


def test_a_login_without_unionid_keeps_the_one_that_is_known(people: People) -> None:
    first = people.login("o-1", "u-1")
    assert people.login("o-1").person_id == first.person_id
    assert people.identifier(first.person_id, IdentifierKind.UNIONID).state is IdentifierState.ACTIVE


def test_an_openid_whose_unionid_disagrees_keeps_its_person_and_asks(people: People) -> None:
    first = people.login("o-1", "u-1")
    strange = people.login("o-1", "u-2")

    assert strange.person_id == first.person_id
    (asked,) = people.conflicts()
    assert asked.disagreeing_kind is IdentifierKind.UNIONID
    assert queries.person_by_identifier(people.session, claim=unionid("u-2")) not in (None, first.person_id)


@pytest.mark.parametrize("demoted", [True, False])
def test_a_demoted_openid_says_nothing_of_the_unionid_that_comes_with_it(
    people: People, demoted: bool
) -> None:
    """A friend's openid that was noted here and demoted joins the friend's own account to nobody."""
    person = people.login("o-friend").person_id
    people.attach(person, phone(1))
    friend = people.login("o-own", "u-friend").person_id
    people.attach(friend, phone(2))
    if demoted:
        _demote_openid(people, person)

    assert people.login("o-friend", "u-friend").person_id == person

    assert not people.one(person, friend)
    assert len(people.conflicts()) == (0 if demoted else 1)


def test_a_demoted_openid_brings_its_owner_no_unionid(people: People) -> None:
    person = people.login("o-friend").person_id
    _demote_openid(people, person)

    again = people.login("o-friend", "u-new")

    assert (again.person_id, again.is_new) == (person, False)
    assert queries.person_by_identifier(people.session, claim=unionid("u-new")) is None
    assert people.count() == 1


def _demote_openid(people: People, person_id: int) -> None:
    trust.demote(
        people.session,
        identifier_id=people.identifier(person_id, IdentifierKind.OPENID).id,
        reason="a friend's",
        now=people.clock.now(),
        actor=OPERATOR,
    )


def test_unionids_of_two_open_platform_accounts_do_not_disagree(people: People, clock: ManualClock) -> None:
    foreign = register_app(
        people.session, appid="wx-foreign", secret="s", now=clock.now(), open_platform="second"
    )
    here = people.login("o-1", "u-1")
    there = people.login("o-9", "u-9", app_id=foreign)
    people.attach(here.person_id, phone(1))

    assert people.attach(there.person_id, phone(1)).merged
    assert people.conflicts() == []


@pytest.mark.parametrize("openid", ["", "0", "null", "undefined", "aaaaaaaa"])
def test_an_openid_that_stands_for_nobody_logs_nobody_in(people: People, openid: str) -> None:
    with pytest.raises(UnusableIdentifier):
        people.login(openid)


def test_a_senseless_unionid_is_as_good_as_none(people: People) -> None:
    assert people.login("o-1", "null").person_id != people.login("o-2", "null").person_id


def test_a_login_to_an_app_of_nobody_is_refused(people: People) -> None:
    with pytest.raises(UnknownApp):
        people.login("o-1", "u-1", app_id=77)


def test_a_virtual_account_is_nobody_and_leaves_no_name(people: People) -> None:
    first = people.login("o-1", "u-1", virtual=True)
    second = people.login("o-1", "u-1", virtual=True)

    assert first.virtual
    assert first.person_id != second.person_id
    assert people.session.execute(select(func.count()).select_from(Identifier)).scalar_one() == 0
    who = queries.principal(people.session, session_id=first.session_id, now=people.clock.now())
    assert who.virtual
    assert who.openid_identifier_id is None
    assert people.session.execute(select(Person.virtual).where(Person.id == first.person_id)).scalar_one()


def test_a_virtual_account_is_never_attached_or_merged(people: People) -> None:
    virtual = people.login("o-1", virtual=True).person_id
    real = people.login("o-2").person_id

    with pytest.raises(VirtualPerson):
        people.attach(virtual, phone(1))
    with pytest.raises(VirtualPerson):
        people.merge(real, virtual, although=EVERYTHING)
    with pytest.raises(VirtualPerson):
        people.merge(virtual, real, although=EVERYTHING)
    with pytest.raises(VirtualPerson):
        identity.require_real(people.session, person_id=virtual)


def test_a_real_login_after_a_virtual_one_is_somebody_new(people: People) -> None:
    virtual = people.login("o-1", virtual=True)
    real = people.login("o-1")
    assert real.is_new
    assert not real.virtual
    assert real.person_id != virtual.person_id


def test_a_session_leads_to_the_person_and_through_merges_to_the_root(people: People) -> None:
    bought = people.recognise(phone(1))
    later = people.login("o-1")
    who = queries.principal(people.session, session_id=later.session_id, now=people.clock.now())
    assert (who.person_id, who.root_id) == (later.person_id, later.person_id)

    people.attach(later.person_id, phone(1))

    who = queries.principal(people.session, session_id=later.session_id, now=people.clock.now())
    assert (who.person_id, who.root_id, who.app_id) == (later.person_id, bought.person_id, people.app_id)
    assert who.openid_identifier_id == people.identifier(later.person_id, IdentifierKind.OPENID).id


def test_a_session_ends_by_itself(people: People) -> None:
    made = people.login("o-1")
    assert made.expires_at == people.clock.now() + timedelta(hours=24)
    people.later(hours=23, minutes=59)
    assert queries.principal(people.session, session_id=made.session_id, now=people.clock.now())
    people.later(minutes=1)
    with pytest.raises(SessionEnded):
        queries.principal(people.session, session_id=made.session_id, now=people.clock.now())


def test_a_revoked_session_is_over_and_others_are_not(people: People) -> None:
    kept, revoked = people.login("o-1"), people.login("o-1")
    now = people.clock.now()

    assert identity.revoke_session(people.session, session_id=revoked.session_id, now=now)
    assert not identity.revoke_session(people.session, session_id=revoked.session_id, now=now)

    with pytest.raises(SessionEnded):
        queries.principal(people.session, session_id=revoked.session_id, now=now)
    assert queries.principal(people.session, session_id=kept.session_id, now=now)
    keys = dict(people.session.execute(select(LoginSession.id, LoginSession.session_key)).all())
    assert keys == {kept.session_id: "key of o-1", revoked.session_id: None}


def test_a_made_up_session_is_nobodys(people: People) -> None:
    with pytest.raises(SessionEnded):
        queries.principal(people.session, session_id=5, now=people.clock.now())


def test_old_sessions_are_purged_in_portions(people: People) -> None:
    made = [people.login("o-1") for _ in range(3)]
    people.later(hours=25)
    fresh = people.login("o-1")
    ended_before = people.clock.now()

    assert identity.purge_sessions(people.session, ended_before=ended_before, limit=2) == 2
    assert identity.purge_sessions(people.session, ended_before=ended_before, limit=2) == 1
    left = people.session.execute(select(LoginSession.id)).scalars().all()
    assert left == [fresh.session_id]
    assert made


def test_nothing_that_names_somebody_is_stored_in_clear(people: People, session: Session) -> None:
    person = people.login("o-clear-1", "u-clear-1").person_id
    people.attach(person, phone(42), card("card-clear"))
    stored = session.execute(text("SELECT value FROM identifiers")).scalars().all()
    stored += session.execute(text("SELECT session_key FROM login_sessions")).scalars().all()

    assert len(stored) == 5
    for sealed in stored:
        assert not any(word in sealed for word in (b"clear", b"138", b"key of"))


def test_the_usual_login_takes_few_statements_and_no_lock(
    sqlite_db: Database, clock: ManualClock, statements: list[str]
) -> None:
    with sqlite_db.unit_of_work() as session:
        people = People.build(session, clock)
        people.login("o-1", "u-1")
        statements.clear()
        people.login("o-1", "u-1")
    assert len(statements) <= 4, statements


def test_an_unknown_person_is_refused_everywhere(people: People) -> None:
    with pytest.raises(UnknownPerson):
        people.cluster(5)
    with pytest.raises(UnknownPerson):
        people.attach(5, phone(1))
    with pytest.raises(UnknownPerson):
        clusters.lock_cluster(people.session, person_id=5)


def test_who_has_an_identifier_is_found_in_any_spelling(people: People) -> None:
    person = people.login("o-1").person_id
    people.attach(person, phone(7))
    find = queries.person_by_identifier
    assert find(people.session, claim=phone(7)) == person
    assert find(people.session, claim=openid_claim(people.app_id, "o-1")) == person
    assert find(people.session, claim=openid_claim(people.other_app_id, "o-1")) is None
    assert find(people.session, claim=phone(8)) is None
    assert find(people.session, claim=unionid("null")) is None
