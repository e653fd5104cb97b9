"""Getting to know a member in one more app: in a service account, whose openids only its own pages learn.

A page in WeChat's browser learns an openid and nothing else (platform contracts 12.8): no unionid tells whose
it is. So the member asks for a link where they are signed in, and who opens it in WeChat while that session
lasts is taken for them (ADR 16). The first openid stays: another one later is a question for an operator.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.identity import matching, operations, queries
from app.identity.clusters import lock_cluster
from app.identity.errors import AnotherWeChat, LinkOver, VirtualPerson
from app.identity.interfaces import Visitor
from app.identity.models import IdentitySource, LoginSession, OpenidLink
from app.identity.queries import Principal
from app.identity.values import Claimed, IdentifierKind, openid_claim
from app.kernel.actor import Actor, ActorKind
from app.kernel.ids import new_id
from app.organisation import queries as organisation

LIFETIME = timedelta(minutes=10)
_OVER = "the link has been used or is too old: get a new one in the mini-program"


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link: for whom, and to which app."""

    id: int
    person_id: int
    app_id: int
    expires_at: datetime
    used: bool


def invite(session: Session, *, principal: Principal, app_id: int, now: datetime) -> LinkView:
    """Make a link by which `principal` becomes known to an app; it is good once, for ten minutes.

    Raises VirtualPerson.
    """
    operations.require_real(session, person_id=principal.person_id)
    link = LinkView(new_id(), principal.person_id, app_id, now + LIFETIME, used=False)
    row = {
        "id": link.id,
        "person_id": link.person_id,
        "session_id": principal.session_id,
        "app_id": app_id,
        "expires_at": link.expires_at,
    }
    session.connection().execute(insert(OpenidLink), row)
    return link


def link(session: Session, *, link_id: int, now: datetime) -> LinkView:
    """Return a link whose time and whose member's session last; raise LinkOver."""
    wanted = (
        select(
            OpenidLink.id, OpenidLink.person_id, OpenidLink.app_id, OpenidLink.expires_at, OpenidLink.used_at
        )
        .join(LoginSession, LoginSession.id == OpenidLink.session_id)
        .where(
            OpenidLink.id == link_id,
            OpenidLink.expires_at > now,
            LoginSession.expires_at > now,
            LoginSession.revoked_at.is_(None),
        )
    )
    row = session.connection().execute(wanted).first()
    if row is None:
        raise LinkOver(_OVER)
    return LinkView(row.id, row.person_id, row.app_id, row.expires_at, used=row.used_at is not None)


def complete(session: Session, *, link_id: int, visitor: Visitor, now: datetime) -> bool:
    """Take who opened a link for the member who asked for it, once; return whether they are known by it now.

    False: the openid is that of somebody who cannot be the same, or the member has another one there; the
    question is open to an operator, and the link is used up. Raises LinkOver; VirtualPerson in snapshot mode,
    and AnotherWeChat when WeChat itself names another one than the member: then nothing is stored.
    """
    found = link(session, link_id=link_id, now=now)
    if visitor.virtual:
        raise VirtualPerson("this is a snapshot of the page: open it fully, then tap again")
    cluster = lock_cluster(session, person_id=found.person_id)
    claims = [openid_claim(found.app_id, visitor.openid)]
    if visitor.unionid is not None:
        scope = organisation.open_platform(session, app_id=found.app_id)
        claims.append(Claimed(IdentifierKind.UNIONID, scope, visitor.unionid))
        if not _holds(session, cluster.root_id, claims[-1], or_none=True):
            raise AnotherWeChat("this WeChat account is not the member's: open the link in their own")
    if not _spend(session, link_id, now):
        raise LinkOver(_OVER)
    attached = operations.attach(
        session,
        person_id=found.person_id,
        identifiers=claims,
        source=IdentitySource.SERVICE_ACCOUNT_VISIT,
        now=now,
        actor=Actor(ActorKind.PERSON, "shopper", found.person_id),
    )
    return _holds(session, attached.root_id, claims[0])


def _spend(session: Session, link_id: int, now: datetime) -> bool:
    """Use a link up; return whether it was unused."""
    used = update(OpenidLink).where(OpenidLink.id == link_id, OpenidLink.used_at.is_(None))
    return session.connection().execute(used.values(used_at=now)).rowcount == 1


def purge(session: Session, *, now: datetime, limit: int = 1000) -> int:
    """Delete at most `limit` links whose time is over; return how many."""
    over = select(OpenidLink.id).where(OpenidLink.expires_at <= now).limit(limit)
    ids = list(session.connection().execute(over).scalars())
    if ids:
        session.connection().execute(delete(OpenidLink).where(OpenidLink.id.in_(ids)))
    return len(ids)


def _holds(session: Session, root_id: int, claim: Claimed, *, or_none: bool = False) -> bool:
    """Tell whether a cluster is known by `claim`; with `or_none` also where it has none of the kind."""
    held = matching.holdings(session, {root_id}).get(root_id, {})
    known = held.get((claim.kind, claim.scope), frozenset())
    return queries.digest(claim) in known or (or_none and not known)
