"""Agreeing that one's phone number is used for marketing: a consent of its own (contracts 14.2, 14.6).

Agreeing to the privacy policy is none, nor is giving the number. It is asked for apart, ticked by the person
and never beforehand, and taken back with one tap. Nothing hangs on it.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session, aliased

from app.identity.clusters import lock_cluster
from app.identity.models import Person
from app.identity.queries import has_phone
from app.kernel.ids import new_id
from app.members import queries
from app.members.models import AgeBand, MarketingConsent


def agree(session: Session, *, person_id: int, brand_id: int, origin: str, now: datetime) -> bool:
    """Keep that a person agrees to marketing of a brand by phone; return whether they agree now.

    It counts for adults who have joined, agree to the privacy policy of the time and have shown a number: of
    others nothing is kept. Who agrees already
    agrees once; the cluster is locked, so that two answers at once are one. `origin` says where it was asked,
    such as "voucher". The text that was shown is part of that policy.
    """
    cluster = lock_cluster(session, person_id=person_id)
    member = queries.membership(session, person_ids=cluster.person_ids)
    if member is None or member.age_band is not AgeBand.ADULT or not member.consent_is_current:
        return False
    if not has_phone(session, person_ids=cluster.person_ids):
        return False
    if not agrees(session, person_ids=cluster.person_ids, brand_id=brand_id):
        row = {
            "id": new_id(),
            "person_id": person_id,
            "brand_id": brand_id,
            "policy_version": queries.current_policy(session).version,
            "origin": origin,
            "given_at": now,
        }
        session.connection().execute(insert(MarketingConsent), row)
    return True


def withdraw(session: Session, *, person_id: int, now: datetime) -> int:
    """Take back every such consent of a person, whichever account gave it; return how many were open."""
    cluster = lock_cluster(session, person_id=person_id)
    open_ones = update(MarketingConsent).where(
        MarketingConsent.person_id.in_(cluster.person_ids), MarketingConsent.withdrawn_at.is_(None)
    )
    return session.connection().execute(open_ones.values(withdrawn_at=now)).rowcount


def agrees(session: Session, *, person_ids: Collection[int], brand_id: int | None = None) -> bool:
    """Tell whether anyone of a cluster agrees to marketing by phone, of one brand or of any."""
    wanted = select(MarketingConsent.id).where(
        MarketingConsent.person_id.in_(person_ids), MarketingConsent.withdrawn_at.is_(None)
    )
    if brand_id is not None:
        wanted = wanted.where(MarketingConsent.brand_id == brand_id)
    return session.connection().execute(wanted.limit(1)).first() is not None


def who_agrees(session: Session, *, person_ids: Collection[int], brand_id: int) -> frozenset[int]:
    """Return those persons who agree to marketing of a brand by phone, whichever of their accounts said so.

    One statement however many are asked about.
    """
    asked, same = aliased(Person), aliased(Person)
    agreed = (
        select(MarketingConsent.id)
        .join(same, same.id == MarketingConsent.person_id)
        .where(
            same.one_id == asked.one_id,
            MarketingConsent.brand_id == brand_id,
            MarketingConsent.withdrawn_at.is_(None),
        )
    )
    wanted = select(asked.id).where(asked.id.in_(person_ids), agreed.exists())
    return frozenset(session.connection().execute(wanted).scalars())
