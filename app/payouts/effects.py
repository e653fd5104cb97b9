"""What the effects of payouts share: the bills of a batch, and how an answer is read and said."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.db.prepared import Prepared
from app.outbox import backoff
from app.outbox.contracts import Failed, Message, RetryAt, RetryLater, Settlement
from app.outbox.registry import Registry
from app.payouts.interfaces import TransferAnswer, TransferGateway
from app.payouts.models import Bill, Payer, Payout
from app.payouts.news import KnownBill, News
from app.payouts.operations import BEIJING
from app.payouts.states import BillState

# The next midnight of Beijing, where WeChat Pay counts its days, and ten minutes for clocks that differ.
_NEXT_DAY = timedelta(days=1, minutes=10)


class BillRow(NamedTuple):
    """A bill and whom its money is for: the columns of `_BILLS`, in their order."""

    id: int
    payout_id: int
    award_id: int
    brand_id: int
    person_id: int
    payer_id: int
    bill_no: str
    state: BillState
    appid: str
    openid: str
    user_name: str | None
    amount_fen: int
    remark: str
    scene_id: str
    report_infos: list[dict[str, str]]
    recv_style: str | None
    notify_url: str | None
    transfer_bill_no: str | None
    package_info: str | None
    message_id: int
    polls: int
    opened_at: datetime
    closing_at: datetime | None
    absent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Known:
    """A bill with its payer."""

    bill: BillRow
    payer: Payer

    @property
    def facts(self) -> KnownBill:
        """The bill as news about it are compared."""
        return KnownBill(
            id=self.bill.id,
            payout_id=self.bill.payout_id,
            award_id=self.bill.award_id,
            brand_id=self.bill.brand_id,
            person_id=self.bill.person_id,
            bill_no=self.bill.bill_no,
        )


_BILLS = select(
    Bill.id,
    Bill.payout_id,
    Payout.award_id,
    Payout.brand_id,
    Payout.person_id,
    Bill.payer_id,
    Bill.bill_no,
    Bill.state,
    Bill.appid,
    Bill.openid,
    Bill.user_name,
    Bill.amount_fen,
    Bill.remark,
    Bill.scene_id,
    Bill.report_infos,
    Bill.recv_style,
    Bill.notify_url,
    Bill.transfer_bill_no,
    Bill.package_info,
    Bill.message_id,
    Bill.polls,
    Bill.opened_at,
    Bill.closing_at,
    Bill.absent_at,
).join(Payout, Payout.id == Bill.payout_id)
_BILLS_BY_ID = Prepared(_BILLS.where(Bill.id.in_(bindparam("bills", expanding=True))))
_BILLS_BY_NUMBER = Prepared(_BILLS.where(Bill.bill_no.in_(bindparam("numbers", expanding=True))))


def load(session: Session, messages: Sequence[Message]) -> dict[int, Known]:
    """Return the bills that `messages` are about, by id, as they are now."""
    rows = _BILLS_BY_ID.all(session, {"bills": [message.payload["bill"] for message in messages]})
    return {known.bill.id: known for known in _with_payers(session, rows)}


def load_by_number(session: Session, numbers: Sequence[str]) -> dict[str, Known]:
    """Return those of the bills with these numbers that are ours, by number, as they are now."""
    rows = _BILLS_BY_NUMBER.all(session, {"numbers": list(numbers)})
    return {known.bill.bill_no: known for known in _with_payers(session, rows)}


def _with_payers(session: Session, rows: Sequence[Any]) -> list[Known]:
    # Many bills have one payer, and what a payer is read with is not cheap: its keys are sealed.
    wanted = (
        select(Payer)
        .where(Payer.id.in_({row.payer_id for row in rows}))
        # A handler that failed is run again in the same session: what it read then may be stale.
        .execution_options(populate_existing=True)
    )
    payers = {payer.id: payer for payer in session.scalars(wanted)} if rows else {}
    return [Known(BillRow._make(row), payers[row.payer_id]) for row in rows]


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
