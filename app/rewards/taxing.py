"""What the prize service does about tax: nothing for an award that takes none.

An award knows how much of it is withheld and how much its brand adds; both are 0 for most. Only where one is
not are the tax's own record and account touched.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.identity import queries as clusters
from app.identity.clusters import lock_cluster
from app.ledger.operations import post
from app.rewards.models import Award
from app.rewards.new_award import NewAward
from app.rewards.terms import Terms
from app.tax import operations as tax


def record(session: Session, award_id: int, award: NewAward, *, now: datetime) -> None:
    """Write the tax on an award that is being granted, if it takes any."""
    if award.tax is None:
        return
    tax.record(
        session,
        award_id=award_id,
        brand_id=award.brand_id,
        campaign_id=award.campaign_id,
        person_id=award.person_id,
        tax=award.tax,
        now=now,
    )


def lock_winner(session: Session, award_id: int) -> None:
    """Lock the cluster of whoever won a taxed award, before the award itself: persons are locked first."""
    found = session.connection().execute(_TAXED, {"award": award_id}).scalar()
    if found is not None:
        lock_cluster(session, person_id=found)


_TAXED = select(Award.person_id).where(
    Award.id == bindparam("award"), Award.withheld_fen + Award.borne_fen > 0
)


def count(session: Session, terms: Terms, *, now: datetime) -> None:
    """Count an award that is being collected into its winner's year; raise IdentityWanted (contract 14.4).

    The winner's cluster is locked: by `lock_winner`.
    """
    if terms.tax_fen:
        cluster = clusters.cluster(session, person_id=terms.person_id)
        tax.count(session, award_id=terms.id, person_ids=cluster.person_ids, now=now)


def settle(session: Session, terms: Terms, *, now: datetime) -> None:
    """Let the tax on an award that is being fulfilled be owed, and put its money aside."""
    if not terms.tax_fen:
        return
    tax.make_due(session, award_id=terms.id, now=now)
    withheld = tax.withheld_account(session, brand_id=terms.brand_id, now=now)
    post(session, [terms.tax_to(withheld)], now=now)


def void(session: Session, ended: Sequence[Terms]) -> None:
    """Strike the tax on awards that have lapsed or were refused; their money returns with the award's own."""
    taxed = [terms.id for terms in ended if terms.tax_fen]
    if taxed:
        tax.void(session, award_ids=taxed)
