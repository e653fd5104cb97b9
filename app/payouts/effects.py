"""What the effects of payouts share: the bills of a batch, and how an answer is read and said."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.outbox import backoff
from app.outbox.contracts import Failed, Message, RetryAt, RetryLater, Settlement
from app.outbox.registry import Registry
from app.payouts.interfaces import TransferAnswer, TransferGateway
from app.payouts.models import Bill, Payer, Payout
from app.payouts.news import KnownBill, News
from app.payouts.operations import BEIJING

# The next midnight of Beijing, where WeChat Pay counts its days, and ten minutes for clocks that differ.
_NEXT_DAY = timedelta(days=1, minutes=10)


@dataclass(frozen=True, slots=True)
class Known:
    """A bill with its payout and its payer."""

    bill: Bill
    payout: Payout
    payer: Payer

    @property
    def facts(self) -> KnownBill:
        """The bill as news about it are compared."""
        return KnownBill(
            id=self.bill.id,
            payout_id=self.payout.id,
            award_id=self.payout.award_id,
            brand_id=self.payout.brand_id,
            person_id=self.payout.person_id,
            bill_no=self.bill.bill_no,
        )


def load(session: Session, messages: Sequence[Message]) -> dict[int, Known]:
    """Return the bills that `messages` are about, by id, as they are now."""
    wanted = (
        select(Bill, Payout, Payer)
        .join(Payout, Payout.id == Bill.payout_id)
        .join(Payer, Payer.id == Bill.payer_id)
        .where(Bill.id.in_([message.payload["bill"] for message in messages]))
        # A handler that failed is run again in the same session: what it read then may be stale.
        .execution_options(populate_existing=True)
    )
    return {bill.id: Known(bill, payout, payer) for bill, payout, payer in session.execute(wanted)}


class BillEffect(ABC):
    """What the effects of bills share: the gateway, and that each answer is laid beside its bill."""

    def __init__(self, gateway: TransferGateway, registry: Registry) -> None:
        self._gateway = gateway
        self._registry = registry

    def settle(
        self, session: Session, results: Sequence[tuple[Message, object]], now: datetime
    ) -> list[Settlement]:
        """Write what came of the calls; one that came to no answer is made again later."""
        known = load(session, [message for message, _ in results])
        settled: list[Settlement] = []
        for message, result in results:
            if isinstance(result, Failed):
                settled.append(RetryLater(result.reason))
                continue
            assert isinstance(result, TransferAnswer)
            settled.append(self.answered(session, message, known[message.payload["bill"]], result, now))
        return settled

    @abstractmethod
    def answered(
        self, session: Session, message: Message, known: Known, answer: TransferAnswer, now: datetime
    ) -> Settlement:
        """Write what the platform answered about one bill."""


def news_of(answer: TransferAnswer) -> News:
    """Return what an accepted or final answer says about its bill."""
    assert answer.state is not None
    return News(answer.state, answer.transfer_bill_no, answer.package_info, answer.fail_reason)


def say(answer: TransferAnswer) -> str:
    """Return an answer in a few words, for the record of an attempt."""
    return f"{answer.outcome}: {answer.code or answer.http_status or 'no code'}"


def tomorrow(answer: TransferAnswer, now: datetime) -> RetryAt:
    """Return when a limit of this day no longer holds, with some patience; no failure is counted."""
    midnight = now.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
    return RetryAt((midnight + _NEXT_DAY).astimezone(UTC), say(answer), counts=False)


def slow_down(message: Message, answer: TransferAnswer, now: datetime) -> RetryAt:
    """Return when to repeat a call that came too fast; no failure is counted."""
    return RetryAt(now + backoff.delay(min(message.attempt, 10)), say(answer), counts=False)
