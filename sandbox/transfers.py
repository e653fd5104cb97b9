"""Merchant transfers: the state machine of contract 4.8, with the money of every step in the book.

ACCEPTED → PROCESSING → WAIT_USER_CONFIRM → TRANSFERING → SUCCESS, with FAIL and CANCELLED (by way of
CANCELING) beside it. Money is locked on the way into WAIT_USER_CONFIRM, paid on the way into SUCCESS, and
given back on the way into FAIL or CANCELLED. Nothing moves before the shopper has confirmed.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sandbox.agenda import Agenda
from sandbox.book import OUTSIDE, Book, Entry, available, frozen, wallet
from sandbox.clock import CHINA, SandboxClock, pay_timestamp
from sandbox.directory import Directory, Merchant
from sandbox.errors import AdminError, PayError
from sandbox.pay_signing import encrypt_field
from sandbox.red_packets import RedPackets
from sandbox.settings import LiveSettings
from sandbox.statements import Movement, Statements
from sandbox.store import Event, Store
from sandbox.transfer_request import TransferOrder, check_permissions

CONFIRM_WITHIN_SECONDS = 24 * 3600
QUERY_WITHIN_SECONDS = 30 * 24 * 3600
ACCEPTED_SECONDS = 1.0

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "ACCEPTED": frozenset({"PROCESSING", "WAIT_USER_CONFIRM", "CANCELING", "FAIL", "CANCELLED"}),
    "PROCESSING": frozenset({"WAIT_USER_CONFIRM", "CANCELING", "FAIL", "CANCELLED"}),
    "WAIT_USER_CONFIRM": frozenset({"TRANSFERING", "CANCELING", "FAIL", "CANCELLED"}),
    "TRANSFERING": frozenset({"SUCCESS", "FAIL"}),
    "CANCELING": frozenset({"CANCELLED"}),
    "SUCCESS": frozenset(),
    "FAIL": frozenset(),
    "CANCELLED": frozenset(),
}
FINAL = frozenset(state for state, targets in TRANSITIONS.items() if not targets)
UNCONFIRMED = frozenset({"ACCEPTED", "PROCESSING", "WAIT_USER_CONFIRM"})


@dataclass(slots=True)
class Bill:
    """One transfer bill. Times are business time in Unix seconds.

    outcome: decided at the confirmation, empty for success or the fail_reason to come. acknowledged: the
    merchant has taken in the notice of the final state.
    """

    mchid: str
    order: TransferOrder
    transfer_bill_no: str
    package_info: str
    created_at: float
    state: str
    updated_at: float
    fail_reason: str = ""
    outcome: str = ""
    locked: bool = False
    acknowledged: bool = False
    history: list[tuple[float, str]] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The bill's name in the book."""
        return f"bill:{self.mchid}:{self.order.out_bill_no}"


class Transfers:
    """All bills. Every public method takes the store's lock; none of them waits for anything."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        book: Book,
        clock: SandboxClock,
        agenda: Agenda,
        settings: LiveSettings,
        statements: Statements,
        packets: RedPackets,
        announce: Callable[[Bill], None],
    ) -> None:
        self._store = store
        self._directory = directory
        self._book = book
        self._clock = clock
        self._agenda = agenda
        self._settings = settings
        self._statements = statements
        self._packets = packets
        self._announce = announce
        self._bills: dict[tuple[str, str], Bill] = {}
        self._by_transfer_no: dict[str, Bill] = {}
        self._by_package: dict[str, Bill] = {}
        store.on("topup", self._apply_topup)
        store.on("bill_opened", self._apply_opened)
        store.on("bill_moved", self._apply_moved)
        store.on("bill_acknowledged", self._apply_acknowledged)

    # The merchant's side

    def open(
        self, merchant: Merchant, order: TransferOrder, *, short: bool = False, accepted_first: bool = False
    ) -> dict[str, Any]:
        """Opens a bill, or answers with the state of the one that exists under this number.

        short: behave as if the merchant had no money. accepted_first: stop at ACCEPTED for a moment.
        Raises PayError: as check_permissions; 400 INVALID_REQUEST when the number belongs to another order;
        403 NOT_ENOUGH.
        """
        with self._store.lock:
            bill = self._bills.get((merchant.mchid, order.out_bill_no))
            if bill is not None:
                if bill.order != order:
                    raise PayError(
                        400,
                        "INVALID_REQUEST",
                        "the out_bill_no exists but its information differs from this request",
                    )
                self._expire_if_due(bill)
                if bill.state == "PROCESSING" and not short:
                    self._lock_funds(bill)
                return self._created_view(bill)
            check_permissions(order, merchant, self._directory)
            covered = not short and self._book.balance(available(merchant.mchid)) >= order.amount_fen
            if not covered and merchant.shortage == "not_enough":
                raise self._not_enough()
            bill = self._record_opened(merchant, order, "ACCEPTED" if accepted_first else "PROCESSING")
            if accepted_first:
                self._agenda.at(bill.created_at + ACCEPTED_SECONDS, lambda: self._leave_accepted(bill))
            elif covered:
                self._lock_funds(bill)
            self._agenda.at(bill.created_at + CONFIRM_WITHIN_SECONDS, lambda: self._expire(bill))
            if not covered and merchant.shortage == "not_enough_recorded":
                raise self._not_enough()
            return self._created_view(bill)

    def query(
        self, merchant: Merchant, *, out_bill_no: str = "", transfer_bill_no: str = ""
    ) -> dict[str, Any]:
        """The bill by one of its numbers. Raises PayError 404 NOT_FOUND, also 30 days after its creation."""
        with self._store.lock:
            bill = self._find(merchant, out_bill_no, transfer_bill_no)
            if self._clock.now() - bill.created_at > QUERY_WITHIN_SECONDS:
                raise PayError(404, "NOT_FOUND", "no such transfer bill")
            self._expire_if_due(bill)
            return self._queried_view(bill, merchant)

    def cancel(self, merchant: Merchant, out_bill_no: str) -> dict[str, Any]:
        """Starts to cancel a bill that nobody confirmed yet; repeating it answers with the state.

        Raises PayError 404 NOT_FOUND, 400 INVALID_REQUEST once the shopper has confirmed or the bill failed.
        """
        with self._store.lock:
            bill = self._find(merchant, out_bill_no, "")
            self._expire_if_due(bill)
            if bill.state in UNCONFIRMED:
                self._move(bill, "CANCELING")
                self._agenda.at(
                    bill.updated_at + self._settings.current.transfer_seconds,
                    lambda: self._finish_cancel(bill),
                )
            elif bill.state not in ("CANCELING", "CANCELLED"):
                raise PayError(400, "INVALID_REQUEST", f"a bill in state {bill.state} cannot be cancelled")
            return {
                "out_bill_no": out_bill_no,
                "transfer_bill_no": bill.transfer_bill_no,
                "state": bill.state,
                "update_time": pay_timestamp(bill.updated_at),
            }

    def top_up(self, mchid: str, amount_fen: int) -> int:
        """Adds money to a merchant and lets bills that wait for it go on, oldest first. Returns the
        balance."""
        with self._store.lock:
            self._directory.merchant(mchid)
            if not 1 <= amount_fen <= 10**14:
                raise AdminError(422, "bad_amount", "fen must be a whole number from 1 to 10^14")
            self._store.record(
                "topup", mchid=mchid, fen=amount_fen, id=secrets.token_hex(8), at=self._clock.now()
            )
            for bill in list(self._bills.values()):
                if bill.mchid == mchid and bill.state == "PROCESSING":
                    self._lock_funds(bill)
            return self._book.balance(available(mchid))

    # The shopper's side

    def confirm(
        self, *, shopper_id: str, package_info: str, mch_id: str, app_id: str, fail_reason: str = ""
    ) -> dict[str, Any]:
        """The shopper presses "receive": TRANSFERING, and a moment later the money or the failure.

        fail_reason: let the transfer fail for this reason. A wrong real name fails by itself. Raises
        AdminError 409 with the words of ``wx.requestMerchantTransfer`` (contract 13.4).
        """
        with self._store.lock:
            bill = self._bill_on_page(shopper_id, package_info, mch_id, app_id)
            if bill.state in ("TRANSFERING", "SUCCESS"):
                return {"errMsg": "requestMerchantTransfer:ok", "result": "success", "state": bill.state}
            if bill.state != "WAIT_USER_CONFIRM":
                raise AdminError(409, "bill_closed", f"requestMerchantTransfer:fail the bill is {bill.state}")
            name = self._directory.shopper(shopper_id).name
            if not fail_reason and bill.order.user_name is not None and bill.order.user_name != name:
                fail_reason = "NAME_NOT_CORRECT"
            self._move(bill, "TRANSFERING", outcome=fail_reason)
            delay = self._settings.current.transfer_seconds
            if delay:
                self._agenda.at(bill.updated_at + delay, lambda: self._finish_transfer(bill))
            else:
                self._finish_transfer(bill)
            return {"errMsg": "requestMerchantTransfer:ok", "result": "success", "state": bill.state}

    def decline(self, *, shopper_id: str, package_info: str, mch_id: str, app_id: str) -> dict[str, Any]:
        """The shopper looks at the page and closes it: nothing changes. Errors as confirm."""
        with self._store.lock:
            bill = self._bill_on_page(shopper_id, package_info, mch_id, app_id)
            return {"errMsg": "requestMerchantTransfer:cancel", "result": "cancel", "state": bill.state}

    def confirm_all(self, mchid: str) -> int:
        """Every shopper with a bill of the merchant that waits presses "receive"; returns how many did."""
        with self._store.lock:
            waiting = [
                bill
                for bill in self._bills.values()
                if bill.mchid == mchid and bill.state == "WAIT_USER_CONFIRM"
            ]
            for bill in waiting:
                self.confirm(
                    shopper_id=self._owner(bill),
                    package_info=bill.package_info,
                    mch_id=mchid,
                    app_id=bill.order.appid,
                )
            return len(waiting)

    # For the administration

    def bills(self) -> list[Bill]:
        """All bills, oldest first."""
        with self._store.lock:
            return list(self._bills.values())

    def audit(self) -> list[str]:
        """What is wrong between bills, packets and book; empty when every fen is where they say it is."""
        with self._store.lock:
            faults = self._book.audit()
            waiting: dict[str, int] = {}
            received: dict[str, int] = {}
            for bill in self._bills.values():
                if bill.locked:
                    waiting[bill.mchid] = waiting.get(bill.mchid, 0) + bill.order.amount_fen
                if bill.state == "SUCCESS":
                    owner = self._owner(bill)
                    received[owner] = received.get(owner, 0) + bill.order.amount_fen
            for mchid in self._directory.merchants:
                explained = waiting.get(mchid, 0) + self._packets.locked(mchid)
                if self._book.balance(frozen(mchid)) != explained:
                    faults.append(f"merchant {mchid} has locked money that no open bill explains")
            for shopper_id in self._directory.shoppers:
                explained = received.get(shopper_id, 0) + self._packets.received(shopper_id)
                if self._book.balance(wallet(shopper_id)) != explained:
                    faults.append(f"shopper {shopper_id} holds money that no bill explains")
            return faults

    def acknowledge(self, bill: Bill) -> None:
        """Notes that the merchant has taken in the notice of the final state."""
        with self._store.lock:
            if not bill.acknowledged:
                self._store.record("bill_acknowledged", mchid=bill.mchid, out_bill_no=bill.order.out_bill_no)

    def resume(self) -> None:
        """After a replay: puts what was under way back on the agenda and announces what nobody
        acknowledged."""
        actions: Mapping[str, Callable[[Bill], None]] = {
            "ACCEPTED": self._leave_accepted,
            "TRANSFERING": self._finish_transfer,
            "CANCELING": self._finish_cancel,
        }
        with self._store.lock:
            for bill in self._bills.values():
                if bill.state in actions:
                    self._agenda.at(self._clock.now(), _bound(actions[bill.state], bill))
                if bill.state in UNCONFIRMED:
                    self._agenda.at(bill.created_at + CONFIRM_WITHIN_SECONDS, _bound(self._expire, bill))
                if bill.state in FINAL and not bill.acknowledged:
                    self._announce(bill)

    # Inside

    def _find(self, merchant: Merchant, out_bill_no: str, transfer_bill_no: str) -> Bill:
        if out_bill_no:
            bill = self._bills.get((merchant.mchid, out_bill_no))
        else:
            bill = self._by_transfer_no.get(transfer_bill_no)
        if bill is None or bill.mchid != merchant.mchid:
            raise PayError(404, "NOT_FOUND", "no such transfer bill")
        return bill

    def _bill_on_page(self, shopper_id: str, package_info: str, mch_id: str, app_id: str) -> Bill:
        self._directory.shopper(shopper_id)
        bill = self._by_package.get(package_info)
        if bill is None:
            raise AdminError(409, "bad_package", "requestMerchantTransfer:fail 转账单号错误")
        if bill.mchid != mch_id:
            raise AdminError(409, "bad_merchant", "requestMerchantTransfer:fail 商户号错误")
        if bill.order.appid != app_id or self._owner(bill) != shopper_id:
            raise AdminError(
                409, "wrong_shopper", "requestMerchantTransfer:fail 你的微信号与商家指定的微信号不一致"
            )
        self._expire_if_due(bill)
        return bill

    def _owner(self, bill: Bill) -> str:
        owner = self._directory.owner(bill.order.openid)
        if owner is None:
            raise LookupError(f"{bill.key} was paid to an openid that nobody has")
        return owner.shopper_id

    def _not_enough(self) -> PayError:
        return PayError(
            403, "NOT_ENOUGH", "the merchant's balance is not enough; top up, then repeat this number"
        )

    def _lock_funds(self, bill: Bill) -> None:
        if self._book.balance(available(bill.mchid)) >= bill.order.amount_fen:
            self._move(bill, "WAIT_USER_CONFIRM")

    def _leave_accepted(self, bill: Bill) -> None:
        with self._store.lock:
            if bill.state == "ACCEPTED":
                self._move(bill, "PROCESSING")
                self._lock_funds(bill)

    def _finish_transfer(self, bill: Bill) -> None:
        with self._store.lock:
            if bill.state == "TRANSFERING":
                self._move(bill, "FAIL" if bill.outcome else "SUCCESS", fail_reason=bill.outcome)

    def _finish_cancel(self, bill: Bill) -> None:
        with self._store.lock:
            if bill.state == "CANCELING":
                self._move(bill, "CANCELLED", fail_reason="MCH_CANCEL")

    def _expire(self, bill: Bill) -> None:
        with self._store.lock:
            self._expire_if_due(bill)

    def _expire_if_due(self, bill: Bill) -> None:
        if bill.state in UNCONFIRMED and self._clock.now() >= bill.created_at + CONFIRM_WITHIN_SECONDS:
            self._move(bill, self._settings.current.expiry_state, fail_reason="OVERDUE_CLOSE")

    def _record_opened(self, merchant: Merchant, order: TransferOrder, state: str) -> Bill:
        now = self._clock.now()
        self._store.record(
            "bill_opened",
            mchid=merchant.mchid,
            order=asdict(order),
            # 28 digits like the platform's: a fixed head, the day, a number that grows.
            transfer_bill_no=f"1330000{datetime.fromtimestamp(now, CHINA):%Y%m%d}{len(self._bills) + 1:013d}",
            # Base64 with its + and /: a client that lets a URL decoder at it breaks here as it would in life.
            package_info=base64.b64encode(b"\xfb\xff" + secrets.token_bytes(70)).decode(),
            state=state,
            at=now,
        )
        return self._bills[merchant.mchid, order.out_bill_no]

    def _move(self, bill: Bill, state: str, *, fail_reason: str = "", outcome: str = "") -> None:
        self._store.record(
            "bill_moved",
            mchid=bill.mchid,
            out_bill_no=bill.order.out_bill_no,
            state=state,
            fail_reason=fail_reason,
            outcome=outcome,
            at=self._clock.now(),
        )
        if state in FINAL:
            self._announce(bill)

    def _created_view(self, bill: Bill) -> dict[str, Any]:
        view = {
            "out_bill_no": bill.order.out_bill_no,
            "transfer_bill_no": bill.transfer_bill_no,
            "create_time": pay_timestamp(bill.created_at),
            "state": bill.state,
        }
        if bill.fail_reason:
            view["fail_reason"] = bill.fail_reason
        if bill.state == "WAIT_USER_CONFIRM":
            view["package_info"] = bill.package_info
        return view

    def _queried_view(self, bill: Bill, merchant: Merchant) -> dict[str, Any]:
        view = {
            "mch_id": bill.mchid,
            "out_bill_no": bill.order.out_bill_no,
            "transfer_bill_no": bill.transfer_bill_no,
            "appid": bill.order.appid,
            "state": bill.state,
            "transfer_amount": bill.order.amount_fen,
            "transfer_remark": bill.order.remark,
            "openid": bill.order.openid,
            "create_time": pay_timestamp(bill.created_at),
            "update_time": pay_timestamp(bill.updated_at),
        }
        if bill.fail_reason:
            view["fail_reason"] = bill.fail_reason
        if bill.order.user_name is not None:
            view["user_name"] = encrypt_field(merchant.public_key_pem, bill.order.user_name)
        return view

    def _apply_topup(self, event: Event) -> None:
        self._book.move(Entry(f"topup:{event['id']}", OUTSIDE, available(event["mchid"]), event["fen"]))
        # A journal of an earlier release does not say when.
        arrived = Movement(event.get("at", 0.0), event["fen"], "", event["id"], "")
        self._statements.note(event["mchid"], arrived)

    def _apply_opened(self, event: Event) -> None:
        fields = dict(event["order"])
        fields["report_infos"] = tuple((info_type, content) for info_type, content in fields["report_infos"])
        bill = Bill(
            mchid=event["mchid"],
            order=TransferOrder(**fields),
            transfer_bill_no=event["transfer_bill_no"],
            package_info=event["package_info"],
            created_at=event["at"],
            state=event["state"],
            updated_at=event["at"],
            history=[(event["at"], event["state"])],
        )
        self._bills[bill.mchid, bill.order.out_bill_no] = bill
        self._by_transfer_no[bill.transfer_bill_no] = bill
        self._by_package[bill.package_info] = bill

    def _apply_moved(self, event: Event) -> None:
        bill = self._bills[event["mchid"], event["out_bill_no"]]
        state, amount = event["state"], bill.order.amount_fen
        if state not in TRANSITIONS[bill.state]:
            raise LookupError(f"{bill.key} cannot go from {bill.state} to {state}")
        if state == "WAIT_USER_CONFIRM":
            self._book.move(Entry(f"{bill.key}:lock", available(bill.mchid), frozen(bill.mchid), amount))
            self._note(bill, event["at"], -amount)
            bill.locked = True
        elif state == "SUCCESS":
            self._book.move(Entry(f"{bill.key}:pay", frozen(bill.mchid), wallet(self._owner(bill)), amount))
            bill.locked = False
        elif state in FINAL and bill.locked:
            self._book.move(Entry(f"{bill.key}:return", frozen(bill.mchid), available(bill.mchid), amount))
            self._note(bill, event["at"], amount)
            bill.locked = False
        bill.state = state
        bill.updated_at = event["at"]
        bill.fail_reason = event["fail_reason"]
        bill.outcome = event["outcome"]
        bill.history.append((event["at"], state))

    def _note(self, bill: Bill, at: float, fen: int) -> None:
        order = bill.order
        moved = Movement(at, fen, order.out_bill_no, bill.transfer_bill_no, order.remark)
        self._statements.note(bill.mchid, moved)

    def _apply_acknowledged(self, event: Event) -> None:
        self._bills[event["mchid"], event["out_bill_no"]].acknowledged = True


def _bound(action: Callable[[Bill], None], bill: Bill) -> Callable[[], None]:
    return lambda: action(bill)
