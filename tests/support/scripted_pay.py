"""A payment platform inside the test: for answers that the sandbox cannot be made to give on demand.

It keeps a book like the real one: one bill per number, the same parameters on each repeat, money set aside
until the receiver confirms. What a test wants to go wrong it puts on `script`.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from app.payouts.interfaces import (
    FINAL_STATES,
    PayerCredentials,
    TransferAnswer,
    TransferNotice,
    TransferOutcome,
    TransferRequest,
    TransferState,
)

SUCCESS, FAIL, CANCELLED = TransferState.SUCCESS, TransferState.FAIL, TransferState.CANCELLED


@dataclass
class PlatformBill:
    """One bill in the platform's book."""

    request: TransferRequest
    state: TransferState
    fail_reason: str | None = None


@dataclass
class Hiccup:
    """Something that goes wrong with the next call of `method`; `after` the platform has done its work."""

    method: str
    answer: TransferAnswer | Exception
    after: bool = False


@dataclass
class ScriptedPay:
    """The TransferGateway of one test; `calls` tells what it was asked, in order."""

    balance_fen: int = 1_000_000
    first_state: TransferState = TransferState.WAIT_USER_CONFIRM
    bills: dict[str, PlatformBill] = field(default_factory=dict)
    script: deque[Hiccup] = field(default_factory=deque)
    calls: list[tuple[str, str]] = field(default_factory=list)
    before_call: Callable[[str], None] = lambda method: None

    def open(self, request: TransferRequest) -> TransferAnswer:
        return self._play("open", request.bill_no, lambda: self._open(request))

    def query(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        return self._play("query", bill_no, lambda: self._known(bill_no))

    def cancel(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        return self._play("cancel", bill_no, lambda: self._cancel(bill_no))

    def parse_callback(
        self, payer: PayerCredentials, headers: Mapping[str, str], body: bytes
    ) -> TransferNotice:
        raise AssertionError("the surface parses callbacks")

    # What happens at the platform

    def confirm(self, bill_no: str) -> None:
        """The receiver takes the money."""
        bill = self.bills[bill_no]
        assert bill.state is TransferState.WAIT_USER_CONFIRM
        bill.state = SUCCESS

    def end(self, bill_no: str, state: TransferState, reason: str) -> None:
        """The bill ends without money, which goes back to the payer."""
        bill = self.bills[bill_no]
        assert bill.state not in FINAL_STATES
        bill.state, bill.fail_reason = state, reason
        self.balance_fen += bill.request.amount_fen

    def notice(self, about: str, now: datetime, number: int = 1, **changes: Any) -> TransferNotice:
        """The callback about a bill as it stands."""
        bill = self.bills[about]
        values: dict[str, Any] = {
            "notice_id": f"notice-{about}-{number}",
            "mchid": bill.request.payer.mchid,
            "bill_no": about,
            "transfer_bill_no": f"T{about}",
            "state": bill.state,
            "amount_fen": bill.request.amount_fen,
            "openid": bill.request.openid,
            "fail_reason": bill.fail_reason,
            "finished_at": now,
            **changes,
        }
        return TransferNotice(**values)

    def paid(self) -> dict[str, int]:
        """What each openid has received, in fen."""
        book: dict[str, int] = {}
        for bill in self.bills.values():
            if bill.state is SUCCESS:
                book[bill.request.openid] = book.get(bill.request.openid, 0) + bill.request.amount_fen
        return book

    def _play(self, method: str, bill_no: str, work: Callable[[], TransferAnswer]) -> TransferAnswer:
        self.before_call(method)
        self.calls.append((method, bill_no))
        if not self.script or self.script[0].method != method:
            return work()
        hiccup = self.script.popleft()
        if hiccup.after:
            work()
        if isinstance(hiccup.answer, Exception):
            raise hiccup.answer
        return hiccup.answer

    def _open(self, request: TransferRequest) -> TransferAnswer:
        known = self.bills.get(request.bill_no)
        if known is None:
            if self.balance_fen < request.amount_fen:
                return TransferAnswer(TransferOutcome.SHORT_OF_FUNDS, code="NOT_ENOUGH", http_status=403)
            self.balance_fen -= request.amount_fen
            self.bills[request.bill_no] = PlatformBill(request, self.first_state)
        else:
            assert known.request == request, "a repeat said something else"
        return self._answer(request.bill_no, opening=True)

    def _known(self, bill_no: str) -> TransferAnswer:
        if bill_no not in self.bills:
            return TransferAnswer(TransferOutcome.NOT_FOUND, code="NOT_FOUND", http_status=404)
        return self._answer(bill_no, opening=False)

    def _cancel(self, bill_no: str) -> TransferAnswer:
        known = self._known(bill_no)
        if known.state in (TransferState.TRANSFERING, SUCCESS, FAIL):
            return TransferAnswer(TransferOutcome.REFUSED, code="INVALID_REQUEST", http_status=400)
        if known.outcome is TransferOutcome.ACCEPTED:
            # It says CANCELING first, and has cancelled when it is asked again.
            self.end(bill_no, CANCELLED, "MCH_CANCEL")
            return replace(known, state=TransferState.CANCELING)
        return known

    def _answer(self, bill_no: str, *, opening: bool) -> TransferAnswer:
        bill = self.bills[bill_no]
        waits = bill.state is TransferState.WAIT_USER_CONFIRM
        return TransferAnswer(
            TransferOutcome.FINAL if bill.state in FINAL_STATES else TransferOutcome.ACCEPTED,
            state=bill.state,
            transfer_bill_no=f"T{bill_no}",
            package_info=f"package-{bill_no}" if opening and waits else None,
            fail_reason=bill.fail_reason,
            http_status=200,
        )
