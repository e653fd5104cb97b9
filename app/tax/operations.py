"""Writing what tax an award takes, and what becomes of it.

The tax is assessed once, with the award, by the terms under which it was won. It is owed when the winner has
the prize, not before: what lapses or is refused takes none. Its money leaves the campaign with the prize and
stands on the brand's account "tax withheld" until somebody pays it to the tax office.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, update
from sqlalchemy.orm import Session

from app.db.engine import Replay
from app.db.prepared import Prepared
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import AccountRef, ensure_account
from app.tax.models import TAX_TRANSITIONS, AwardTax, TaxState
from app.tax.terms import Assessment

WITHHELD_PURPOSE = "tax.withheld"
"""The ledger account of a brand that holds the tax which it owes the tax office."""

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
    _INSERT.run(
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
    return ensure_account(
        session,
        kind=AccountKind.OPEN,
        asset=Asset.FEN,
        purpose=WITHHELD_PURPOSE,
        owner_id=brand_id,
        brand_id=brand_id,
        now=now,
    )
