"""What the prize service does when a bill has ended."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.outbox.contracts import FactEnvelope
from app.payouts.news import FAILED_FACT, SETTLED_FACT
from app.rewards import operations


class SettleAwards:
    """The money has arrived: the award is fulfilled, its budget is paid."""

    name: str = "rewards.settle"
    fact: str = SETTLED_FACT
    versions: frozenset[int] = frozenset({1})

    def handle(self, session: Session, facts: Sequence[FactEnvelope], now: datetime) -> None:
        """Settle the awards of all facts at once, locked in the order of their ids."""
        operations.settle(session, award_ids={int(fact.payload["award_id"]) for fact in facts}, now=now)


class UnlockAwards:
    """A bill ended without money: the award can be collected again until its deadline."""

    name: str = "rewards.unlock"
    fact: str = FAILED_FACT
    versions: frozenset[int] = frozenset({1})

    def handle(self, session: Session, facts: Sequence[FactEnvelope], now: datetime) -> None:
        """Unlock the award of each fact, in the order of their ids."""
        for fact in sorted(facts, key=lambda fact: int(fact.payload["award_id"])):
            operations.unlock(
                session,
                award_id=fact.payload["award_id"],
                bill_id=fact.payload["bill_id"],
                reason=fact.payload["reason"],
            )
