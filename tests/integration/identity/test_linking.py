"""Becoming known to a service account by a link: once, in time, and for nobody else."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.identity import linking, operations, queries
from app.identity.errors import AnotherWeChat, LinkOver, VirtualPerson
from app.identity.interfaces import Visitor
from app.identity.models import Identifier, IdentifierState, IdentitySource, OpenidLink
from app.identity.operations import Decision
from app.identity.queries import Principal
from app.identity.values import openid_claim
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.organisation.models import AppKind
from app.organisation.operations import register_app

OLGA = Actor(ActorKind.OPERATOR, "olga")


class World:
    """A mini-program and a service account, of one Open Platform account."""

    def __init__(self, session: Session, clock: ManualClock) -> None:
        self.session, self.clock = session, clock
        now = clock.now()
        self.app = register_app(session, appid="wxmini", secret="s", now=now)
        self.service = register_app(session, appid="wxservice", secret="s", kind=AppKind.SERVICE, now=now)

    def member(self, openid: str, unionid: str | None = None, *, virtual: bool = False) -> Principal:
        """Somebody who has logged in to the mini-program."""
        login = operations.login(
            self.session,
            app_id=self.app,
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
    operations.resolve_conflict(
        world.session, conflict_id=question.id, decision=Decision.MERGE, now=world.clock.now(), actor=OLGA
    )
    assert world.openid(anna) == "service-anna"


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
    # Where the member's was not known yet, it is now.
    clara = world.member("mini-clara")
    assert world.complete(world.invite(clara), "service-clara", "union-clara")
    states = select(Identifier.state).where(Identifier.person_id == clara.person_id)
    assert list(world.session.scalars(states)) == [IdentifierState.ACTIVE] * 3


def test_links_are_forgotten_when_their_time_is_over(world: World) -> None:
    anna = world.member("mini-anna")
    world.invite(anna)
    assert linking.purge(world.session, now=world.clock.now()) == 0
    world.clock.advance(linking.LIFETIME)
    kept = world.invite(anna)
    assert linking.purge(world.session, now=world.clock.now()) == 1
    assert list(world.session.scalars(select(OpenidLink.id))) == [kept]
