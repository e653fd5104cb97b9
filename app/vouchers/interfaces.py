"""What the prize service needs from whoever supplies vouchers."""

from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session


class VoucherSupplier(Protocol):
    """Hands out codes; `StockFile` in `app.vouchers.operations` hands out those that were uploaded."""

    def allot(self, session: Session, *, stock_account: int, award_id: int, now: datetime) -> None:
        """Give an award a code of its own, in the caller's transaction; raise VouchersOut when there is none.

        Args: stock_account is the ledger account that the award's piece came out of; the caller holds the
        award's row and has seen that it has no code yet.
        """
