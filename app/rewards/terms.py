"""An award as its transitions need it, and the lock on its row that all of them take."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.db.prepared import Prepared
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import AccountRef, Transfer
from app.rewards.errors import UnknownAward
from app.rewards.models import Award, AwardKind, AwardState, DeliveryWay


class Terms(NamedTuple):
    """The columns of `TERMS`, in their order."""

    id: int
    brand_id: int
    campaign_id: int
    person_id: int
    kind: AwardKind
    amount_fen: int
    points: int
    points_expire_at: datetime | None
    delivery: DeliveryWay | None
    remark: str
    payer_id: int | None
    state: AwardState
    budget_account: int | None
    committed_account: int | None
    stock_account: int | None
    awarded_account: int | None
    unlock_draws: int
    unlock_helpers: int
    granted_at: datetime
    deadline_at: datetime
    withheld_fen: int
    borne_fen: int

    @property
    def tax_fen(self) -> int:
        """Return the tax on the award, whoever bears it; 0 for most."""
        return self.withheld_fen + self.borne_fen

    @property
    def net_fen(self) -> int:
        """Return the money that its winner gets."""
        return self.amount_fen - self.withheld_fen

    def paid_to(self, paid: AccountRef) -> Transfer:
        """Return the transfer that books a money award as paid."""
        assert self.committed_account is not None
        return Transfer(
            key=self._resolve_key,
            debit=AccountRef(self.committed_account, AccountKind.OPEN, Asset.FEN),
            credit=paid,
            amount=self.net_fen,
            reason="award.paid",
            ref_id=self.id,
        )

    def tax_to(self, withheld: AccountRef) -> Transfer:
        """Return the transfer that puts the tax of a fulfilled award aside."""
        assert self.committed_account is not None
        return Transfer(
            # Of what is no money the tax is all that was committed: it leaves, or returns.
            key=f"award:{self.id}:tax" if self.amount_fen else self._resolve_key,
            debit=AccountRef(self.committed_account, AccountKind.OPEN, Asset.FEN),
            credit=withheld,
            amount=self.tax_fen,
            reason="award.tax",
            ref_id=self.id,
        )

    def returned(self) -> list[Transfer]:
        """Return the transfers that give an award's money and piece back to where they came from.

        It is the money of this award, which may be less than what the next one of the piece costs.
        """
        movements = []
        if self.budget_account is not None and self.committed_account is not None:
            movements.append(
                Transfer(
                    key=self._resolve_key,
                    debit=AccountRef(self.committed_account, AccountKind.OPEN, Asset.FEN),
                    credit=AccountRef(self.budget_account, AccountKind.GUARDED, Asset.FEN),
                    amount=self.amount_fen + self.borne_fen,
                    reason="award.return",
                    ref_id=self.id,
                )
            )
        if self.stock_account is not None and self.awarded_account is not None:
            movements.append(
                Transfer(
                    key=f"award:{self.id}:restock",
                    debit=AccountRef(self.awarded_account, AccountKind.OPEN, Asset.STOCK),
                    credit=AccountRef(self.stock_account, AccountKind.GUARDED, Asset.STOCK),
                    amount=1,
                    reason="award.restock",
                    ref_id=self.id,
                )
            )
        return movements

    @property
    def _resolve_key(self) -> str:
        # One key for both ways out of "committed": paid or returned, never both.
        return f"award:{self.id}:resolve"


TERMS = select(
    Award.id,
    Award.brand_id,
    Award.campaign_id,
    Award.person_id,
    Award.kind,
    Award.amount_fen,
    Award.points,
    Award.points_expire_at,
    Award.delivery,
    Award.remark,
    Award.payer_id,
    Award.state,
    Award.budget_account,
    Award.committed_account,
    Award.stock_account,
    Award.awarded_account,
    Award.unlock_draws,
    Award.unlock_helpers,
    Award.granted_at,
    Award.deadline_at,
    Award.withheld_fen,
    Award.borne_fen,
)
_LOCK = Prepared(
    TERMS.where(Award.id.in_(bindparam("awards", expanding=True))).order_by(Award.id).with_for_update()
)


def lock(session: Session, award_id: int) -> Terms:
    """Lock an award's row and return its terms; raise UnknownAward.

    The row is what taps on Collect, the deadline, a review and the news of a bill queue up at.
    """
    return lock_all(session, [award_id])[0]


def lock_all(session: Session, award_ids: Collection[int]) -> list[Terms]:
    """Lock the rows of awards, in the order of their ids, and return their terms; raise UnknownAward."""
    rows = _LOCK.all(session, {"awards": sorted(set(award_ids))})
    if len(rows) < len(set(award_ids)):
        raise UnknownAward("there is no award with this id")
    return [Terms._make(row) for row in rows]
