"""Becoming known to a service account by a link: once, in time, and for nobody else."""

from collections.abc import Collection
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.identity import linking, operations, queries, trust
from app.identity.errors import AnotherWeChat, LinkOver, MergeRefused, VirtualPerson
from app.identity.interfaces import Visitor
from app.identity.models import ConflictReason, Identifier, IdentifierState, IdentitySource, OpenidLink
from app.identity.operations import Decision
from app.identity.queries import Principal
from app.identity.values import Claimed, IdentifierKind, openid_claim, phone_claim
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.organisation.models import AppKind
from app.organisation.operations import register_app
from app.organisation.queries import open_platform
from tests.factories.people import EVERYTHING

CORPID = "ww0000000000000001"
OLGA = Actor(ActorKind.OPERATOR, "olga")


class World:
    """A mini-program and a service account, of one Open Platform account."""

    def __init__(self, session: Session, clock: ManualClock) -> None:
        self.session, self.clock = session, clock
        now = clock.now()
        self.app = register_app(session, appid="wxmini", secret="s", now=now)
        self.other_app = register_app(session, appid="wxothermini", secret="s", now=now)
        self.service = register_app(session, appid="wxservice", secret="s", kind=AppKind.SERVICE, now=now)
        self.corp = register_app(
            session, appid=CORPID, secret="s", kind=AppKind.CORP, agentid="1000002", now=now
        )

    def member(
        self, openid: str, unionid: str | None = None, *, virtual: bool = False, elsewhere: bool = False
    ) -> Principal:
        """Somebody who has logged in to the mini-program, or to the other one."""
        login = operations.login(
            self.session,
            app_id=self.other_app if elsewhere else self.app,
            openid=openid,
            unionid=unionid,
            virtual=virtual,
            session_key="key",
            now=self.clock.now(),
        )
        return queries.principal(self.session, session_id=login.session_id, now=self.clock.now())

    def invite(self, principal: Principal) -> int:
        return linking.invite(self.session, principal=principal, app_id=self.service, now=self.clock.now()).id

    def complete(
        self, link_id: int, openid: str, unionid: str | None = None, *, virtual: bool = False
    ) -> bool:
        visitor = Visitor(openid, unionid, virtual)
        return linking.complete(self.session, link_id=link_id, visitor=visitor, now=self.clock.now())

    def visit_corp(self, member: Principal, openid: str, customer: str | None) -> bool:
        """The member opens a link of the corp, and is told by `openid`, and as a customer."""
        now = self.clock.now()
        link = linking.invite(self.session, principal=member, app_id=self.corp, now=now)
        visitor = Visitor(openid, None, virtual=False, external_userid=customer)
        return linking.complete(self.session, link_id=link.id, visitor=visitor, now=now)

    def known(self, principal: Principal) -> dict[IdentifierKind, list[str]]:
        """What somebody is known by at the corp."""
        people = queries.cluster(self.session, person_id=principal.person_id).person_ids
        wanted = select(Identifier).where(
            Identifier.person_id.in_(people), Identifier.scope.in_([str(self.corp), CORPID])
        )
        found: dict[IdentifierKind, list[str]] = {}
        for one in self.session.scalars(wanted.order_by(Identifier.id)):
            assert one.source is IdentitySource.CORP_VISIT
            found.setdefault(one.kind, []).append(one.value)
        return found

    def contact(self, *claims: Claimed) -> int:
        """Somebody whom a guide has as a contact."""
        claims = (Claimed(IdentifierKind.EXTERNAL_USERID, CORPID, "wm-anna"), *claims)
        settled = operations.recognise(
            self.session,
            identifiers=list(claims),
            source=IdentitySource.GUIDE_WECOM,
            now=self.clock.now(),
            actor=OLGA,
        )
        return settled.person_id

    def decide(self, conflict_id: int, decision: Decision, although: Collection[str] = EVERYTHING) -> None:
        operations.resolve_conflict(
            self.session,
            conflict_id=conflict_id,
            decision=decision,
            now=self.clock.now(),
            actor=OLGA,
            although=although,
        )

    def openid(self, principal: Principal) -> str | None:
        cluster = queries.cluster(self.session, person_id=principal.person_id)
        return queries.openid(self.session, person_ids=cluster.person_ids, app_id=self.service)


@pytest.fixture
def world(session: Session, clock: ManualClock) -> World:
    return World(session, clock)


def test_a_link_is_good_once(world: World) -> None:
    anna = world.member("mini-anna")
    link = world.invite(anna)
    assert world.complete(link, "service-anna")
    assert world.openid(anna) == "service-anna"
    for openid in ("service-anna", "service-berta"):
        with pytest.raises(LinkOver):
            world.complete(link, openid)
    # Another link with the same account changes nothing.
    assert world.complete(world.invite(anna), "service-anna")
    assert world.openid(anna) == "service-anna"


def test_a_link_lasts_ten_minutes_and_no_longer_than_the_session(world: World) -> None:
    anna = world.member("mini-anna")
    old = world.invite(anna)
    world.clock.advance(linking.LIFETIME)
    with pytest.raises(LinkOver):
        world.complete(old, "service-anna")
    fresh = world.invite(anna)
    operations.revoke_session(world.session, session_id=anna.session_id, now=world.clock.now())
    with pytest.raises(LinkOver):
        world.complete(fresh, "service-anna")
    with pytest.raises(LinkOver):
        linking.link(world.session, link_id=1, now=world.clock.now())
    assert world.openid(anna) is None


def test_snapshots_neither_get_nor_use_links(world: World) -> None:
    with pytest.raises(VirtualPerson):
        world.invite(world.member("v", virtual=True))
    anna = world.member("mini-anna")
    link = world.invite(anna)
    with pytest.raises(VirtualPerson):
        world.complete(link, "virtual-openid", virtual=True)
    wanted = select(Identifier).where(Identifier.scope == str(world.service))
    assert world.session.scalars(wanted).all() == []
    assert world.complete(link, "service-anna")


def test_the_account_of_another_member_is_a_question_and_moves_nothing(world: World) -> None:
    anna, berta = world.member("mini-anna"), world.member("mini-berta")
    assert world.complete(world.invite(anna), "service-anna")
    assert not world.complete(world.invite(berta), "service-anna")
    assert (world.openid(anna), world.openid(berta)) == ("service-anna", None)
    assert len(queries.open_conflicts(world.session)) == 1


def test_a_second_account_needs_an_operator_who_can_let_it_count(world: World) -> None:
    anna = world.member("mini-anna")
    assert world.complete(world.invite(anna), "service-of-a-friend")
    world.clock.advance(timedelta(minutes=1))
    assert not world.complete(world.invite(anna), "service-anna")
    assert world.openid(anna) == "service-of-a-friend"
    (question,) = queries.open_conflicts(world.session)
    world.decide(question.id, Decision.MERGE)
    assert world.openid(anna) == "service-anna"
    # The friend's account has been seen again, but not by Anna: hers is still the one that is paid.
    berta = world.member("mini-berta")
    world.clock.advance(timedelta(minutes=1))
    assert not world.complete(world.invite(berta), "service-of-a-friend")
    assert (world.openid(anna), world.openid(berta)) == ("service-anna", None)
    # It stays payable until it is moved to whose it is.
    (question,) = queries.open_conflicts(world.session)
    world.decide(question.id, Decision.MOVE)
    assert (world.openid(anna), world.openid(berta)) == ("service-anna", "service-of-a-friend")


def test_a_friends_account_moves_to_the_friend_and_makes_room_for_the_members_own(world: World) -> None:
    anna, berta = world.member("mini-anna"), world.member("mini-berta")
    assert world.complete(world.invite(anna), "service-of-berta")
    assert not world.complete(world.invite(berta), "service-of-berta")
    (question,) = queries.open_conflicts(world.session)
    world.decide(question.id, Decision.MOVE)
    assert (world.openid(anna), world.openid(berta)) == (None, "service-of-berta")
    assert world.complete(world.invite(anna), "service-anna")
    assert world.openid(anna) == "service-anna"


def test_one_tap_makes_no_two_members_one(world: World) -> None:
    """Whoever is sent a link has only to tap on it, and no rule holds members of two mini-programs apart."""
    victim = world.member("mini-victim", elsewhere=True)
    assert world.complete(world.invite(victim), "service-victim")
    thief = world.member("mini-thief")
    link = world.invite(thief)
    assert not world.complete(link, "service-victim")
    with pytest.raises(LinkOver):
        world.complete(link, "service-victim")
    (question,) = queries.open_conflicts(world.session)
    assert question.reason is ConflictReason.LINK_ALONE
    # Nor does the night, in which all who showed an identifier are judged again.
    batch = operations.reconcile_batch(world.session, after_id=0, limit=100, now=world.clock.now())
    assert (batch.merged, batch.conflicts) == (0, 1)
    assert [it.id for it in queries.open_conflicts(world.session)] == [question.id]
    for member in (victim, thief):
        cluster = queries.cluster(world.session, person_id=member.person_id)
        assert cluster.person_ids == (member.person_id,)
    assert (world.openid(victim), world.openid(thief)) == ("service-victim", None)
    # They may be one person all the same: an operator can say so, knowing that a tap is all there is.
    with pytest.raises(MergeRefused) as refused:
        world.decide(question.id, Decision.MERGE, although=())
    assert refused.value.extra["against"] == ["link_alone"]
    world.decide(question.id, Decision.MERGE)
    assert world.openid(thief) == "service-victim"


def test_a_merge_after_a_tap_takes_a_word_for_it_whatever_rule_objects_as_well(world: World) -> None:
    """Two members of one mini-program: a rule holds them apart, but what ties them is still one tap."""
    victim, thief = world.member("mini-victim"), world.member("mini-thief")
    assert world.complete(world.invite(victim), "service-victim")
    assert not world.complete(world.invite(thief), "service-victim")
    (question,) = queries.open_conflicts(world.session)
    assert question.reason is ConflictReason.UNIQUE_DISAGREES
    for said in ([], ["unique_disagrees:openid"]):
        with pytest.raises(MergeRefused) as refused:
            world.decide(question.id, Decision.MERGE, although=said)
        assert refused.value.extra["against"] == ["link_alone", "unique_disagrees:openid"]
    world.decide(question.id, Decision.MERGE, although=["unique_disagrees:openid", "link_alone"])
    assert world.openid(thief) == "service-victim"


def test_what_an_operator_has_answered_is_not_asked_again(world: World) -> None:
    victim, thief = world.member("mini-victim", elsewhere=True), world.member("mini-thief")
    assert world.complete(world.invite(victim), "service-victim")
    assert not world.complete(world.invite(thief), "service-victim")
    (question,) = queries.open_conflicts(world.session)
    world.decide(question.id, Decision.KEEP_APART)
    assert not world.complete(world.invite(thief), "service-victim")
    assert queries.open_conflicts(world.session) == []


def test_somebody_known_by_nothing_else_is_the_member(world: World) -> None:
    """Who follows the service account before they join is one person with the member afterwards."""
    follower = operations.recognise(
        world.session,
        identifiers=[openid_claim(world.service, "service-anna")],
        source=IdentitySource.SERVICE_ACCOUNT_FOLLOW,
        now=world.clock.now(),
        actor=OLGA,
    )
    anna = world.member("mini-anna")
    assert world.complete(world.invite(anna), "service-anna")
    cluster = queries.cluster(world.session, person_id=anna.person_id)
    assert set(cluster.person_ids) == {follower.person_id, anna.person_id}
    assert world.openid(anna) == "service-anna"


def test_a_unionid_outweighs_the_link(world: World) -> None:
    anna = world.member("mini-anna", "union-anna")
    link = world.invite(anna)
    with pytest.raises(AnotherWeChat):
        world.complete(link, "service-berta", "union-berta")
    assert world.openid(anna) is None
    assert world.complete(link, "service-anna", "union-anna")
    # Also where the member's is not known yet: this one is another member's, here or elsewhere.
    berta = world.member("mini-berta", "union-berta")
    dora = world.member("mini-dora", "union-dora", elsewhere=True)
    emma = world.member("mini-emma")
    link = world.invite(emma)
    for name in ("berta", "dora"):
        with pytest.raises(AnotherWeChat):
            world.complete(link, f"service-{name}", f"union-{name}")
    assert [world.openid(member) for member in (berta, dora, emma)] == [None, None, None]
    assert queries.open_conflicts(world.session) == []
    assert world.complete(link, "service-emma")
    # Where nobody's was known yet, it is now.
    clara = world.member("mini-clara")
    assert world.complete(world.invite(clara), "service-clara", "union-clara")
    states = select(Identifier.state).where(Identifier.person_id == clara.person_id)
    assert list(world.session.scalars(states)) == [IdentifierState.ACTIVE] * 3


def test_what_comes_with_a_demoted_openid_is_nobodys(world: World) -> None:
    """It may be a friend's, so their unionid, or their number at the corp, does not become the member's."""
    anna = world.member("mini-anna")
    assert world.complete(world.invite(anna), "service-friend")
    assert world.visit_corp(anna, "corp-friend", None)
    for it in queries.identifiers(world.session, person_ids=[anna.person_id]):
        if it.scope in {str(world.service), str(world.corp)}:
            trust.demote(
                world.session, identifier_id=it.id, reason="a friend's", now=world.clock.now(), actor=OLGA
            )
    before = world.known(anna)
    assert not world.complete(world.invite(anna), "service-friend", "union-friend")
    assert not world.visit_corp(anna, "corp-friend", "wm-friend")
    kinds = {it.kind for it in queries.identifiers(world.session, person_ids=[anna.person_id])}
    assert kinds == {IdentifierKind.OPENID}
    assert world.known(anna) == before
    assert queries.open_conflicts(world.session) == []
    # Their own account is known as soon as they open a link in it.
    assert world.complete(world.invite(anna), "service-anna", "union-anna")
    assert world.openid(anna) == "service-anna"


def test_a_follower_known_by_all_that_the_visit_shows_is_the_member(world: World) -> None:
    platform = open_platform(world.session, app_id=world.service)
    follower = operations.recognise(
        world.session,
        identifiers=[
            openid_claim(world.service, "service-anna"),
            Claimed(IdentifierKind.UNIONID, platform, "union-anna"),
        ],
        source=IdentitySource.SERVICE_ACCOUNT_FOLLOW,
        now=world.clock.now(),
        actor=OLGA,
    )
    anna = world.member("mini-anna")
    assert world.complete(world.invite(anna), "service-anna", "union-anna")
    cluster = queries.cluster(world.session, person_id=anna.person_id)
    assert set(cluster.person_ids) == {follower.person_id, anna.person_id}


def test_a_corp_learns_the_openid_and_of_customers_their_number_as_one(world: World) -> None:
    anna, berta = world.member("mini-anna"), world.member("mini-berta")
    assert world.visit_corp(anna, "corp-anna", None)
    assert world.known(anna) == {IdentifierKind.OPENID: ["corp-anna"]}
    # Later she is a customer.
    assert world.visit_corp(anna, "corp-anna", "wm-anna")
    assert world.known(anna)[IdentifierKind.EXTERNAL_USERID] == ["wm-anna"]
    assert world.visit_corp(berta, "corp-berta", "wm-berta")
    assert queries.open_conflicts(world.session) == []
    assert world.openid(anna) is None, "that is another app"


def test_who_is_known_to_the_corp_by_the_visit_alone_is_the_member(world: World) -> None:
    contact, anna = world.contact(), world.member("mini-anna")
    assert world.visit_corp(anna, "corp-anna", "wm-anna")
    cluster = queries.cluster(world.session, person_id=anna.person_id)
    assert set(cluster.person_ids) == {contact, anna.person_id}


@pytest.mark.parametrize("openid", ["corp-anna", "corp-new"])
def test_a_customer_who_may_be_somebody_else_is_a_question_and_no_openid_is_taken(
    world: World, openid: str
) -> None:
    """The external_userid says who it is; an openid that came with it would pay a stranger."""
    world.contact(phone_claim("13812345678"))
    anna = world.member("mini-anna")
    assert not world.visit_corp(anna, openid, "wm-anna")
    assert world.known(anna) == {}
    (question,) = queries.open_conflicts(world.session)
    assert question.reason is ConflictReason.LINK_ALONE
    world.decide(question.id, Decision.MERGE)
    assert world.visit_corp(anna, openid, "wm-anna")
    people = queries.cluster(world.session, person_id=anna.person_id).person_ids
    assert queries.openid(world.session, person_ids=people, app_id=world.corp) == openid


def test_another_customer_than_before_is_a_question(world: World) -> None:
    anna = world.member("mini-anna")
    assert world.visit_corp(anna, "corp-anna", "wm-anna")
    # The same openid with another number, and another account with another number: neither is taken.
    for openid in ("corp-anna", "corp-friend"):
        assert world.visit_corp(anna, openid, "wm-friend") == (openid == "corp-anna")
    assert world.known(anna) == {
        IdentifierKind.OPENID: ["corp-anna"],
        IdentifierKind.EXTERNAL_USERID: ["wm-anna"],
    }
    assert len(queries.open_conflicts(world.session)) == 2
    # An openid that is a friend's leaves them what they are told besides.
    berta = world.member("mini-berta")
    assert not world.visit_corp(berta, "corp-anna", "wm-of-a-third")
    assert world.known(berta) == {}


def at_the_corp(name: str) -> dict[IdentifierKind, list[str]]:
    return {IdentifierKind.OPENID: [f"corp-{name}"], IdentifierKind.EXTERNAL_USERID: [f"wm-{name}"]}


def test_both_that_a_friend_left_are_moved_and_make_room_for_the_members_own(world: World) -> None:
    """The member's link was tapped in the friend's WeChat, and both are customers of the corp."""
    member, friend = world.member("mini-member"), world.member("mini-friend")
    assert world.visit_corp(member, "corp-friend", "wm-friend")
    assert not world.visit_corp(friend, "corp-friend", "wm-friend")
    questions = queries.open_conflicts(world.session)
    for question in questions:
        world.decide(question.id, Decision.MOVE)
    assert (world.known(member), world.known(friend)) == ({}, at_the_corp("friend"))
    assert len(questions) == 2
    # Now each of the two is known, and paid, by their own.
    assert world.visit_corp(member, "corp-member", "wm-member")
    assert world.visit_corp(friend, "corp-friend", "wm-friend")
    assert (world.known(member), world.known(friend)) == (at_the_corp("member"), at_the_corp("friend"))
    assert queries.open_conflicts(world.session) == []


def test_what_a_member_has_beside_a_friends_is_decided_one_by_one_and_the_friends_demoted(
    world: World,
) -> None:
    """The friend never asks for theirs: what the member shows of their own is a question about each."""
    member = world.member("mini-member")
    assert world.visit_corp(member, "corp-friend", "wm-friend")
    assert not world.visit_corp(member, "corp-member", "wm-member")
    questions = queries.open_conflicts(world.session)
    assert len(questions) == 2
    for question in questions:
        world.decide(question.id, Decision.MERGE)
    friends = select(Identifier.id).where(
        Identifier.person_id == member.person_id, Identifier.source == IdentitySource.CORP_VISIT
    )
    for one in world.session.scalars(friends).all():
        now = world.clock.now()
        trust.demote(world.session, identifier_id=one, reason="a friend's", now=now, actor=OLGA)
    assert world.visit_corp(member, "corp-member", "wm-member")
    assert queries.open_conflicts(world.session) == []
    people = queries.cluster(world.session, person_id=member.person_id).person_ids
    assert queries.openid(world.session, person_ids=people, app_id=world.corp) == "corp-member"


def test_links_are_forgotten_when_their_time_is_over(world: World) -> None:
    anna = world.member("mini-anna")
    world.invite(anna)
    assert linking.purge(world.session, now=world.clock.now()) == 0
    world.clock.advance(linking.LIFETIME)
    kept = world.invite(anna)
    assert linking.purge(world.session, now=world.clock.now()) == 1
    assert list(world.session.scalars(select(OpenidLink.id))) == [kept]
