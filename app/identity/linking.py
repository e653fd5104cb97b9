"""Getting to know a member in one more app: a service account or a corp, whose openids only its pages learn.

A page in WeChat's browser learns an openid and little else (platform contracts 12.8, 3.6): no unionid tells
whose it is. So the member asks for a link where they are signed in, and who opens it in WeChat while that
session lasts is taken for them (ADR 16). The first openid stays: another one later is a question for an
operator, and so is one whose owner is known by anything else, since that may be another member who was sent
the link. What a WeCom corp tells besides, a customer's external_userid, is judged in the same way: where it
is not the member's, the openid that came with it is not believed either (ADR 18).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.db.engine import Replay
from app.identity import matching, operations, queries
from app.identity.clusters import lock_roots
from app.identity.errors import AnotherWeChat, LinkOver, VirtualPerson
from app.identity.interfaces import Visitor
from app.identity.matching import Key, Known
from app.identity.models import IdentifierState, IdentitySource, LoginSession, OpenidLink
from app.identity.queries import Principal
from app.identity.values import Claimed, IdentifierKind, openid_claim
from app.kernel.actor import Actor, ActorKind
from app.kernel.ids import new_id
from app.organisation import queries as organisation
from app.organisation.models import AppKind
from app.organisation.queries import AppView

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

    False: the openid or the external_userid is that of somebody who is known by more than the visit shows, or
    the member has another one there, or an operator has taken it its say; the link is used up, and what was
    known stays. A question is open to an operator then, unless it has been answered with no before (that is
    in the identity log), or the identifier is demoted, which `saoma persons show` tells. Raises LinkOver;
    VirtualPerson in snapshot mode, and AnotherWeChat when a unionid names another one than the member: then
    nothing is stored.
    """
    found = link(session, link_id=link_id, now=now)
    if visitor.virtual:
        raise VirtualPerson("this is a snapshot of the page: open it fully, then tap again")
    app = organisation.app(session, app_id=found.app_id)
    claims = _claims(app, visitor)
    roots, known = _lock(session, found.person_id, claims)
    shown = list(known.values())
    strange = [it for it in claims if not _may_be(session, roots, found.person_id, shown, it)]
    if any(it.kind is IdentifierKind.UNIONID for it in strange):
        raise AnotherWeChat("this WeChat account is not the member's: open the link in their own")
    if not _spend(session, link_id, now):
        raise LinkOver(_OVER)
    attached = operations.attach(
        session,
        person_id=found.person_id,
        # Where one of them is another's, all are: what is strange is asked about, each by itself, since an
        # operator moves or demotes them one by one; the others are kept for nobody.
        identifiers=strange or claims,
        source=IdentitySource.CORP_VISIT
        if app.kind is AppKind.CORP
        else IdentitySource.SERVICE_ACCOUNT_VISIT,
        now=now,
        actor=Actor(ActorKind.PERSON, "shopper", found.person_id),
    )
    if not strange:
        _require_judged(session, claims, known, attached.root_id)
    held = matching.holdings(session, {attached.root_id}).get(attached.root_id, {})
    return queries.digest(claims[0]) in held.get((claims[0].kind, claims[0].scope), frozenset())


def _claims(app: AppView, visitor: Visitor) -> list[Claimed]:
    """Return what a visit shows, the openid first."""
    claims = [openid_claim(app.id, visitor.openid)]
    if visitor.external_userid is not None:
        claims.append(Claimed(IdentifierKind.EXTERNAL_USERID, app.appid, visitor.external_userid))
    if visitor.unionid is not None:
        claims.append(Claimed(IdentifierKind.UNIONID, app.open_platform, visitor.unionid))
    return claims


def _lock(
    session: Session, person_id: int, claims: Sequence[Claimed]
) -> tuple[dict[int, int], dict[Key, Known]]:
    """Lock the clusters of a member and of those who have `claims`; return the roots, and what they have."""
    owners = {it.person_id for it in matching.find(session, claims).values()}
    roots = lock_roots(session, {person_id, *owners})
    known = matching.find(session, claims)
    if any(it.person_id not in roots for it in known.values()):
        raise Replay("an identifier got another owner")
    return roots, known


def _require_judged(
    session: Session, claims: Sequence[Claimed], judged: Collection[Key], root_id: int
) -> None:
    """Make sure that what nobody had when it was judged is the member's now, and not a rival's.

    What nobody has cannot be locked: whoever was faster with one of them may be somebody else, and then the
    others are not the member's either.
    """
    now = matching.find(session, claims)
    if any(it.root != root_id for key, it in now.items() if key not in judged):
        raise Replay("a rival was faster with an identifier")


def _may_be(
    session: Session, roots: Mapping[int, int], member: int, known: Sequence[Known], claim: Claimed
) -> bool:
    """Tell whether a member can be whom an identifier names: theirs, or nobody else's, and not demoted."""
    mine = roots[member]
    held = matching.holdings(session, {mine}).get(mine, {}).get((claim.kind, claim.scope), frozenset())
    if held:
        return queries.digest(claim) in held
    named = [it for it in known if it.kind is claim.kind]
    if any(it.state is IdentifierState.DEMOTED for it in named):
        # Noted of the wrong one: who shows it may be a friend, and nothing of theirs is the member's.
        return False
    shown = {it.id for it in known}
    owners = {roots[it.person_id] for it in named} - {mine}
    rules = queries.rules(session)
    return not any(
        matching.judge(session, rules, mine, owner) or matching.doubt(session, owner, shown=shown)
        for owner in owners
    )


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
