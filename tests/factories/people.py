"""People who log in, show phones, and turn out to be one another."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.identity import operations as identity
from app.identity import queries
from app.identity.models import IdentifierState, IdentitySource, Person
from app.identity.operations import Attached, LoginResult
from app.identity.queries import Cluster, ConflictView, IdentifierView
from app.identity.rules import NAMES
from app.identity.values import Claimed, IdentifierKind, phone_claim
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.members.queries import TWO_MEMBERS
from app.organisation.operations import register_app

OPERATOR = Actor(ActorKind.OPERATOR, "olga")
EVERYTHING = (*NAMES, TWO_MEMBERS)
"""Whatever can speak against a merge, acknowledged."""


def phone(number: int) -> Claimed:
    """The claim of the phone number that ends in `number`."""
    return phone_claim(f"138{number:08}")


def unionid(value: str, platform: str = "main") -> Claimed:
    """The claim of a unionid."""
    return Claimed(IdentifierKind.UNIONID, platform, value)


def card(value: str) -> Claimed:
    """The claim of a card number of some issuer."""
    return Claimed(IdentifierKind.MEMBER_CARD, "issuer", value)


def device(value: str) -> Claimed:
    """The claim of a device, which is trusted too little to join anybody."""
    return Claimed(IdentifierKind.DEVICE, "", value)


@dataclass(repr=False)
class People:
    """The identity room through one session, with an app of two brands' worth."""

    session: Session
    clock: ManualClock
    app_id: int
    other_app_id: int

    @staticmethod
    def build(session: Session, clock: ManualClock) -> "People":
        """Register two apps of one open platform account."""
        apps = [register_app(session, appid=f"wx{n:016}", secret="s", now=clock.now()) for n in (1, 2)]
        return People(session, clock, *apps)

    def login(
        self, openid: str, unionid: str | None = None, *, virtual: bool = False, app_id: int | None = None
    ) -> LoginResult:
        """Log in, by default to the first app."""
        return identity.login(
            self.session,
            app_id=app_id or self.app_id,
            openid=openid,
            unionid=unionid,
            virtual=virtual,
            session_key=f"key of {openid}",
            now=self.clock.now(),
        )

    def attach(self, person_id: int, *claims: Claimed) -> Attached:
        """Attach what a person shows."""
        return identity.attach(
            self.session,
            person_id=person_id,
            identifiers=claims,
            source=IdentitySource.PHONE_BUTTON,
            now=self.clock.now(),
            actor=OPERATOR,
        )

    def recognise(self, *claims: Claimed) -> Attached:
        """Take in a record that names nobody."""
        return identity.recognise(
            self.session,
            identifiers=claims,
            source=IdentitySource.OFFLINE_PURCHASE,
            now=self.clock.now(),
            actor=OPERATOR,
        )

    def merge(
        self, person_id: int, other_id: int, *, although: Collection[str] = (), seen: str | None = None
    ) -> int:
        """Merge by an operator's hand."""
        return identity.merge(
            self.session,
            person_id=person_id,
            other_id=other_id,
            reason="they said so",
            now=self.clock.now(),
            actor=OPERATOR,
            although=although,
            seen=seen,
        )

    def unmerge(self, merge_id: int) -> tuple[int, int]:
        """Take a merge back."""
        return identity.unmerge(
            self.session, merge_id=merge_id, reason="a mistake", now=self.clock.now(), actor=OPERATOR
        )

    def last_merge(self, person_id: int) -> int:
        """The newest merge in a person's cluster."""
        return queries.merges(self.session, person_ids=self.cluster(person_id).person_ids)[-1].id

    def cluster(self, person_id: int) -> Cluster:
        """The cluster of a person."""
        return queries.cluster(self.session, person_id=person_id)

    def one(self, *person_ids: int) -> bool:
        """Whether all these are one."""
        return len({self.cluster(person_id).root_id for person_id in person_ids}) == 1

    def conflicts(self) -> Sequence[ConflictView]:
        """The open conflicts."""
        return queries.open_conflicts(self.session)

    def identifier(self, person_id: int, kind: IdentifierKind) -> IdentifierView:
        """The only identifier of a kind that a person has."""
        (found,) = [it for it in queries.identifiers(self.session, person_ids=[person_id]) if it.kind is kind]
        return found

    def state(self, person_id: int, kind: IdentifierKind) -> IdentifierState:
        """The state of the only identifier of a kind that a person has."""
        return self.identifier(person_id, kind).state

    def reconcile(self, limit: int = 100) -> int:
        """Run the batch to its end; the number of merges."""
        merged, after_id = 0, 0
        while True:
            step = identity.reconcile_batch(
                self.session, after_id=after_id, limit=limit, now=self.clock.now(), actor=OPERATOR
            )
            merged += step.merged
            if step.next_after_id is None:
                return merged
            after_id = step.next_after_id

    def count(self) -> int:
        """How many persons there are."""
        return self.session.execute(select(func.count()).select_from(Person)).scalar_one()

    def later(self, **step: float) -> None:
        """Let time pass."""
        self.clock.advance(timedelta(**step))
