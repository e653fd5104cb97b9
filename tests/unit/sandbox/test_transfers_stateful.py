"""The transfers as a state machine against a plain model: whatever happens in whatever order, each bill goes
only where the contract lets it go, nobody is paid twice, and no fen is lost.
"""

from dataclasses import asdict, dataclass, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sandbox.book import available, frozen, wallet
from sandbox.directory import App, Merchant
from sandbox.errors import AdminError, PayError
from sandbox.settings import Settings
from sandbox.transfer_request import TransferOrder
from sandbox.world import World

APPID = "wxunit0000000001"
DAY = 86_400


@dataclass
class Expected:
    """What the model knows of one bill."""

    order: TransferOrder
    state: str
    opened_at: float
    package_info: str = ""
    will_fail: bool = False


class Machine(RuleBasedStateMachine):
    merchant: Merchant
    bills = Bundle("bills")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Settings(transfer_seconds=10))
        self.world.directory.be_born()
        self.world.directory.put_app(App(APPID, "secret"))
        self.world.store.record("merchant", **asdict(self.merchant))
        self.shopper = self.world.directory.add_shopper(
            name="李雷", phone="13800138000", country_code="86", high_risk=False
        )
        self.announced: list[str] = []
        self.world.transfers._announce = lambda bill: self.announced.append(bill.order.out_bill_no)
        self.topped_up = 0
        self.now = 0.0
        self.expected: dict[str, Expected] = {}

    @rule(fen=st.integers(1, 3_000))
    def top_up(self, fen: int) -> None:
        self.world.transfers.top_up(self.merchant.mchid, fen)
        self.topped_up += fen

    @rule(target=bills, amount=st.integers(10, 2_000))
    def open_bill(self, amount: int) -> str:
        number = f"P{len(self.expected) + 1}"
        order = TransferOrder(
            appid=APPID,
            out_bill_no=number,
            scene_id="1000",
            openid=self.world.directory.openid(APPID, self.shopper.id),
            user_name=None,
            amount_fen=amount,
            remark="r",
            notify_url=None,
            perception=None,
            report_infos=(),
            recv_style="CONFIRM_PAGE",
        )
        covered = self.free() >= amount
        expected = Expected(order, "WAIT_USER_CONFIRM" if covered else "absent", self.now)
        self.expected[number] = expected
        if covered:
            expected.package_info = self.world.transfers.open(self.merchant, order)["package_info"]
        else:
            with pytest.raises(PayError, match="NOT_ENOUGH"):
                self.world.transfers.open(self.merchant, order)
        return number

    @rule(number=bills)
    def repeat(self, number: str) -> None:
        expected = self.expected[number]
        if expected.state == "absent":
            return
        assert self.world.transfers.open(self.merchant, expected.order)["state"] == expected.state
        with pytest.raises(PayError, match="INVALID_REQUEST"):
            self.world.transfers.open(self.merchant, replace(expected.order, remark="other"))

    @rule(number=bills, fail=st.booleans())
    def confirm(self, number: str, *, fail: bool) -> None:
        expected = self.expected[number]
        if expected.state == "absent":
            return
        fields = {"package_info": expected.package_info, "mch_id": self.merchant.mchid, "app_id": APPID}
        reason = "ACCOUNT_FROZEN" if fail else ""
        if expected.state in ("WAIT_USER_CONFIRM", "TRANSFERING", "SUCCESS"):
            self.world.transfers.confirm(shopper_id=self.shopper.id, fail_reason=reason, **fields)
        else:
            with pytest.raises(AdminError):
                self.world.transfers.confirm(shopper_id=self.shopper.id, fail_reason=reason, **fields)
        if expected.state == "WAIT_USER_CONFIRM":
            expected.state = "TRANSFERING"
            expected.opened_at = self.now
            expected.will_fail = fail

    @rule(number=bills)
    def cancel(self, number: str) -> None:
        expected = self.expected[number]
        if expected.state in ("absent", "TRANSFERING", "SUCCESS", "FAIL"):
            with pytest.raises(PayError):
                self.world.transfers.cancel(self.merchant, number)
            return
        self.world.transfers.cancel(self.merchant, number)
        if expected.state == "WAIT_USER_CONFIRM":
            expected.state = "CANCELING"
            expected.opened_at = self.now

    @precondition(lambda self: self.expected)
    @rule(seconds=st.sampled_from([10, 3_600, DAY]))
    def advance(self, seconds: int) -> None:
        self.world.clock.advance(seconds)
        self.world.agenda.run_due()
        self.now += seconds
        for expected in self.expected.values():
            if expected.state == "TRANSFERING":
                expected.state = "FAIL" if expected.will_fail else "SUCCESS"
            elif expected.state == "CANCELING":
                expected.state = "CANCELLED"
            elif expected.state == "WAIT_USER_CONFIRM" and self.now - expected.opened_at >= DAY:
                expected.state = "FAIL"

    def sum_of(self, *states: str) -> int:
        return sum(bill.order.amount_fen for bill in self.expected.values() if bill.state in states)

    def free(self) -> int:
        held = self.sum_of("WAIT_USER_CONFIRM", "TRANSFERING", "CANCELING")
        return self.topped_up - held - self.sum_of("SUCCESS")

    @invariant()
    def every_bill_is_where_the_model_says(self) -> None:
        for number, expected in self.expected.items():
            if expected.state == "absent":
                continue
            view = self.world.transfers.query(self.merchant, out_bill_no=number)
            assert view["state"] == expected.state

    @invariant()
    def every_fen_is_where_the_model_says(self) -> None:
        book, mchid = self.world.book, self.merchant.mchid
        assert book.balance(available(mchid)) == self.free()
        assert book.balance(frozen(mchid)) == self.sum_of("WAIT_USER_CONFIRM", "TRANSFERING", "CANCELING")
        assert book.balance(wallet(self.shopper.id)) == self.sum_of("SUCCESS")
        assert self.world.transfers.audit() == []

    @invariant()
    def every_final_state_was_announced_once(self) -> None:
        finals = [n for n, bill in self.expected.items() if bill.state in ("SUCCESS", "FAIL", "CANCELLED")]
        assert sorted(self.announced) == sorted(finals)


def test_transfers_agree_with_a_plain_model(merchant: Merchant) -> None:
    Machine.merchant = merchant

    run_state_machine_as_test(Machine, settings=settings(max_examples=150, stateful_step_count=40))
