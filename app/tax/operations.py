"""Writing what tax an award takes, and what becomes of it.

The tax is assessed once, with the award, by the terms under which it was won. It is owed when the winner has
the prize, not before: what lapses or is refused takes none. Its money leaves the campaign with the prize and
stands on the brand's account "tax withheld" until somebody pays it to the tax office.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.db.engine import Replay
from app.db.once import add_or_insert, insert_once
from app.db.prepared import Prepared
from app.identity.clusters import lock_cluster
from app.identity.operations import require_real
from app.kernel.actor import Actor
from app.kernel.fen import format_yuan
from app.kernel.ids import new_id
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import AccountRef, Transfer, ensure_account, post
from app.organisation.queries import brand, brands
from app.tax import notice, periods, queries
from app.tax.documents import Identity
from app.tax.errors import (
    BadReference,
    IdentityKept,
    IdentityWanted,
    MonthNotOver,
    NothingOwed,
    NoticeOutdated,
    ReferenceUsed,
)
from app.tax.models import TAX_TRANSITIONS, AwardTax, TaxIdentity, TaxRemittance, TaxState
from app.tax.periods import BEIJING
from app.tax.terms import Assessment

MAX_REFERENCE = 40
UNPAID_ALERT = "tax.unpaid"
KEEP_UNUSED = timedelta(days=90)
"""How long name and number are kept of somebody who then collects nothing that is taxed (contract 14.2)."""
KEEP_FILED = timedelta(days=3_653)
"""How long after the last taxed award: ten years, as the books of a withholding agent."""
_REMIND_FROM_DAY = 10  # returns are due on the 15th (contract 14.4)

_INSERT = Prepared(insert(AwardTax))


def record(
    session: Session,
    *,
    award_id: int,
    brand_id: int,
    campaign_id: int,
    person_id: int,
    tax: Assessment,
    now: datetime,
) -> None:
    """Write the tax on an award that is being granted, in its transaction (contract 14.4)."""
    _INSERT.write_later(
        session,
        {
            "award_id": award_id,
            "brand_id": brand_id,
            "campaign_id": campaign_id,
            "person_id": person_id,
            "mode": tax.mode,
            "bearer": tax.bearer,
            "kind": tax.kind,
            "rate_bps": tax.rate_bps,
            "gross_fen": tax.gross_fen,
            "base_fen": tax.base_fen,
            "tax_fen": tax.tax_fen,
            "net_fen": tax.net_fen,
            "identity_over_fen": tax.identity_over_fen,
            "state": TaxState.PROMISED,
            "granted_at": now,
            "counted_at": None,
            "due_at": None,
        },
        lost=Replay,
    )


_DUE = (
    update(AwardTax)
    .where(AwardTax.award_id == bindparam("award"), AwardTax.state == TaxState.PROMISED)
    .values(state=TaxState.DUE, due_at=bindparam("at"))
)


def make_due(session: Session, *, award_id: int, now: datetime) -> None:
    """Let the tax on an award be owed from now on: its winner has it. Raises Replay when it was settled."""
    TAX_TRANSITIONS.require(TaxState.PROMISED, TaxState.DUE)
    if session.connection().execute(_DUE, {"award": award_id, "at": now}).rowcount != 1:
        raise Replay


def void(session: Session, *, award_ids: Sequence[int]) -> None:
    """Strike the tax on awards that nobody will have. Raises Replay when one was settled."""
    TAX_TRANSITIONS.require(TaxState.PROMISED, TaxState.VOID)
    struck = (
        update(AwardTax)
        .where(AwardTax.award_id.in_(award_ids), AwardTax.state == TaxState.PROMISED)
        .values(state=TaxState.VOID)
    )
    if session.connection().execute(struck).rowcount != len(award_ids):
        raise Replay


def withheld_account(session: Session, *, brand_id: int, now: datetime) -> AccountRef:
    """Return the account of a brand's tax that is owed to the tax office, in fen."""
    return _account(session, queries.WITHHELD_PURPOSE, brand_id, now)


def _account(session: Session, purpose: str, brand_id: int, now: datetime) -> AccountRef:
    return ensure_account(
        session,
        kind=AccountKind.OPEN,
        asset=Asset.FEN,
        purpose=purpose,
        owner_id=brand_id,
        brand_id=brand_id,
        now=now,
    )


def remit(session: Session, *, brand_id: int, month: str, reference: str, now: datetime, actor: Actor) -> int:
    """Book what a brand owes for a month as paid to the tax office; return the fen.

    `reference` is the number of the return or the payment, once per brand. What became due in the month and
    was seen late is a second part. Raises BadMonth, MonthNotOver, BadReference, ReferenceUsed, NothingOwed;
    Replay when somebody else pays the same month at this moment.
    """
    words = reference.strip()
    if not 1 <= len(words) <= MAX_REFERENCE or not words.isprintable():
        raise BadReference(f"a reference has 1 to {MAX_REFERENCE} characters")
    if periods.month(month)[1] > now:
        raise MonthNotOver("more may become due until the month ends, midnight in Beijing")
    if queries.is_remitted(session, brand_id=brand_id, reference=words):
        raise ReferenceUsed("a payment of this brand has this reference; `saoma tax report` tells more")
    standing = queries.standing(session, brand_id=brand_id, month=month)
    if standing.owed_fen <= 0:
        raise NothingOwed("all tax of this month has been paid, or none was due")
    paid_id = new_id()
    paid = {
        "id": paid_id,
        "brand_id": brand_id,
        "month": month,
        "part": standing.parts + 1,
        "amount_fen": standing.owed_fen,
        "reference": words,
        "remitted_by": actor.label[:64],
        "remitted_at": now,
    }
    if not insert_once(session, insert(TaxRemittance), paid):
        raise Replay
    transfer = Transfer(
        key=f"tax:{brand_id}:{month}:{standing.parts + 1}",
        debit=withheld_account(session, brand_id=brand_id, now=now),
        credit=_account(session, queries.REMITTED_PURPOSE, brand_id, now),
        amount=standing.owed_fen,
        reason="tax.remitted",
        ref_id=paid_id,
    )
    post(session, [transfer], now=now)
    subject = f"{brand(session, brand_id=brand_id).slug}:{month}"
    resolve_alert(session, kind=UNPAID_ALERT, subject=subject, by=actor.label, now=now)
    return standing.owed_fen


def remind(session: Session, *, now: datetime) -> int:
    """Warn, from the 10th of a month on, of the tax of the month before that is not paid; say how often."""
    local = now.astimezone(BEIJING)
    if local.day < _REMIND_FROM_DAY:
        return 0
    month = f"{local.replace(day=1) - timedelta(days=1):%Y-%m}"
    found = 0
    for one in brands(session):
        owed_fen = queries.standing(session, brand_id=one.id, month=month).owed_fen
        if owed_fen <= 0:
            continue
        found += 1
        raise_alert(
            session,
            kind=UNPAID_ALERT,
            subject=f"{one.slug}:{month}",
            severity=Severity.WARNING,
            detail=f"{format_yuan(owed_fen)} yuan of tax on prizes of {month} are owed until the 15th:"
            " `saoma tax export`, file the return, pay, `saoma tax remit`.",
            now=now,
        )
    return found


def count(session: Session, *, award_id: int, person_ids: Sequence[int], now: datetime) -> None:
    """Count an award that is being collected into its winner's year, once (contract 14.4).

    Where that brings the cluster's taxed income of the calendar year above the limit that its campaign has
    published, name and document number must have been given: raises IdentityWanted. What is counted stays
    so, whatever becomes of its bill; only an award that ends without a winner leaves the total.

    The caller has locked the cluster: two awards collected at once would else not see each other, and pass
    the limit together without a name.
    """
    award = queries.uncounted(session, award_id=award_id)
    if award is None:
        return
    year = queries.year_of(session, person_ids=person_ids, now=now)
    # Locked by this, a name cannot be forgotten as unused at the very moment that it is used.
    kept = (
        update(TaxIdentity).where(TaxIdentity.person_id.in_(person_ids)).values(kept_until=now + KEEP_FILED)
    )
    is_known = session.connection().execute(kept).rowcount > 0
    over = year.base_fen + award.base_fen > award.identity_over_fen
    if over and not is_known:
        raise IdentityWanted(
            "give name and document number for the tax return, then collect",
            over_fen=award.identity_over_fen,
        )
    counted = update(AwardTax).where(AwardTax.award_id == award_id, AwardTax.counted_at.is_(None))
    if session.connection().execute(counted.values(counted_at=now)).rowcount != 1:
        raise Replay


def give_identity(
    session: Session, *, person_id: int, identity: Identity, notice_version: str, now: datetime
) -> None:
    """Keep who a person is for tax returns; given again, it is corrected.

    Raises VirtualPerson, NoticeOutdated, BadIdentity, GuardianWanted.
    """
    require_real(session, person_id=person_id)
    if notice_version != notice.VERSION:
        raise NoticeOutdated("read the present notice and ask again", current=notice.VERSION)
    checked = identity.checked(now.astimezone(BEIJING).date())
    cluster = lock_cluster(session, person_id=person_id)
    is_used = queries.has_collected(session, person_ids=cluster.person_ids)
    given = {
        "real_name": checked.name,
        "document": checked.document,
        "number": checked.number,
        "notice_version": notice_version,
        "given_at": now,
        "kept_until": now + (KEEP_FILED if is_used else KEEP_UNUSED),
    }
    add_or_insert(session, TaxIdentity.__table__, {"person_id": person_id} | given, add=given)  # type: ignore[arg-type]


def withdraw_identity(session: Session, *, person_id: int) -> None:
    """Delete who a cluster is, as long as no tax return needs it (PIPL 15, 47); raise IdentityKept else."""
    cluster = lock_cluster(session, person_id=person_id)
    if queries.has_collected(session, person_ids=cluster.person_ids):
        raise IdentityKept("a taxed prize was collected with it; the law asks that it is kept")
    erased = delete(TaxIdentity).where(TaxIdentity.person_id.in_(cluster.person_ids))
    session.connection().execute(erased)


def forget_identities(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Delete names and numbers whose time is over (contract 14.2); return how many."""
    due = select(TaxIdentity.person_id).where(TaxIdentity.kept_until <= now).limit(limit)
    ids = list(session.connection().execute(due).scalars())
    if not ids:
        return 0
    erased = delete(TaxIdentity).where(TaxIdentity.person_id.in_(ids), TaxIdentity.kept_until <= now)
    return session.connection().execute(erased).rowcount
