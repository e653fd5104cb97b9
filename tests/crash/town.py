"""A brand whose workers die: real database, real gateways, a platform in its own process, people who tap.

A kill is followed by what happens in life: leases run out, another worker takes over, people tap again,
the platform repeats its callbacks or is asked. Then the auditors come.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select

import miniprogram_api
from app.factory import Container, create_app
from app.identity import operations as identity
from app.kernel.clock import ManualClock
from app.outbox.models import MessageState, OutboxMessage
from app.payouts import operations as payouts
from app.rewards.models import Award, AwardState
from app.rewards.queries import AwardView
from tests.crash.workers import Workers
from tests.factories.prizes import APPID, OPERATOR, PrizeWorld, payer_details
from tests.support.auditors import audit
from tests.support.nursery import Nursery
from tests.support.sandbox import MerchantAccount, SandboxProcess
from tests.support.shop import serve

_PATIENCE_SECONDS = 20.0
_LONGEST_POLL = timedelta(hours=4)


@dataclass(repr=False)
class Town:
    """The brand, its people and its platform."""

    container: Container
    world: PrizeWorld
    workers: Workers
    sandbox: SandboxProcess
    url: str
    awards: list[AwardView] = field(default_factory=list)
    shoppers: dict[int, str] = field(default_factory=dict)
    openids: set[str] = field(default_factory=set)
    calls_back: bool = True

    @classmethod
    @contextmanager
    def build(
        cls,
        container: Container,
        clock: ManualClock,
        *,
        nursery: Nursery,
        sandbox: SandboxProcess,
        merchant: MerchantAccount,
    ) -> "Iterator[Town]":
        """Set everything up; the callbacks of the platform arrive while the context lasts."""
        world = PrizeWorld.build(container.db, clock)
        world.drainer = container.drainer
        payer = payer_details(
            (world.app_id,),
            mchid=merchant.mchid,
            serial_no=merchant.serial_no,
            private_key=merchant.private_key_pem,
            apiv3_key=merchant.apiv3_key,
            public_key_id=merchant.platform_public_key_id,
            public_key=merchant.platform_public_key_pem,
            notify_url=f"https://saoma.example/miniprogram/v1/callbacks/pay/{merchant.mchid}",
        )
        world.payer_id = world.do(payouts.save_payer, payer=payer, actor=OPERATOR)
        with serve(create_app(container, [miniprogram_api])) as url:
            sandbox.settings(product_url=url)
            yield cls(container, world, Workers(container, nursery, merchant.mchid), sandbox, url)
            sandbox.forget_callbacks()

    # People

    def win(self, number: int = 1, **changes: Any) -> list[AwardView]:
        """Grant one yuan to each of `number` persons who have not been seen before."""
        won = [
            self.world.grant(self.person(), **{"stock": None, "awarded": None, **changes})
            for _ in range(number)
        ]
        self.awards += won
        return won

    def wait_for_confirmation(self, number: int = 1) -> list[AwardView]:
        """Grant, collect and open: the bills wait for their receivers."""
        won = self.win(number)
        for award in won:
            self.world.collect(award)
        self.drain()
        return won

    def confirm(self, award: AwardView, *, fail_reason: str = "") -> None:
        """Let a winner confirm the receipt of the latest bill."""
        bill = self.world.bill(award)
        assert bill.package_info is not None
        self.sandbox.confirm(
            self.shoppers[award.person_id],
            package_info=bill.package_info,
            mch_id=bill.mchid,
            app_id=bill.appid,
            fail_reason=fail_reason,
        )

    def person(self) -> int:
        """Somebody with WeChat who has logged in."""
        shopper = self.sandbox.shopper("李雷", "13800138000")
        openid = shopper["openids"][APPID]
        login = self.world.do(
            identity.login,
            app_id=self.world.app_id,
            openid=openid,
            unionid=None,
            virtual=False,
            session_key="key",
        )
        self.openids.add(openid)
        self.shoppers[login.person_id] = shopper["id"]
        return login.person_id

    # What comes after a death

    def drain(self) -> None:
        """Let a fresh worker do all that is due, and in its time all that will be, until nothing waits."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            self.workers.let_leases_run_out()
            self.container.drainer.until_idle(seconds=_PATIENCE_SECONDS)
            due_at = self._next_due()
            if due_at is None:
                return
            if due_at > self.world.clock.now():
                self.world.clock.set(due_at)
            else:
                # The database has not noticed yet that a connection is dead, and keeps its locks.
                time.sleep(0.005)

    def finish(self) -> None:
        """Let everything end that can: people tap again, the platform reports or is asked."""
        for _ in range(8):
            self.drain()
            unresolved = self.unresolved()
            if not unresolved:
                return
            for award in unresolved:
                self.tap(award)
            if self.calls_back:
                self.await_callbacks()
            else:
                self.world.clock.advance(_LONGEST_POLL)
                self.world.do(payouts.poll_due)

    def tap(self, award: AwardView) -> None:
        """Let a winner do what their app offers: collect, or confirm."""
        state = self.world.now_award(award).state
        if state is AwardState.COLLECTIBLE:
            self.world.collect(award)
        elif state is AwardState.LOCKED and self.world.bill(award).package_info is not None:
            self.confirm(award)

    def _next_due(self) -> Any:
        waiting = select(OutboxMessage.due_at).where(OutboxMessage.state == MessageState.PENDING)
        with self.container.db.read() as session:
            return session.scalar(waiting.order_by(OutboxMessage.due_at).limit(1))

    # The platform

    def silence(self) -> None:
        """Let the platform's callbacks get lost from now on."""
        self.calls_back = False
        self.sandbox.fault("*", "no_callback")

    @contextmanager
    def sandbox_without_callbacks(self) -> Iterator[None]:
        """Let nothing go wrong at the platform any more, but for callbacks, which are lost."""
        self.sandbox.clear_faults()
        self.silence()
        # Those that were announced before would come between the last drain and the audit.
        self.sandbox.forget_callbacks()
        self.sandbox.settings(product_url=self.url)
        yield
        self.sandbox.clear_faults()

    def await_callbacks(self) -> None:
        """Wait until the platform knows that each of its callbacks has arrived."""
        await_that(
            lambda: not any(self._is_unanswered(bill) for bill in self.sandbox.book()["bills"]), "callbacks"
        )

    def _is_unanswered(self, bill: dict[str, Any]) -> bool:
        ended = bill["openid"] in self.openids and bill["state"] in ("SUCCESS", "FAIL", "CANCELLED")
        return ended and not bill["acknowledged"]

    def await_fault(self) -> None:
        """Wait until the last fault that was set has met a request."""
        await_that(lambda: self.sandbox.faults()[-1]["fired"] == 1, "the call")

    def await_bill(self, bill_no: str) -> None:
        """Wait until the platform has written down the bill."""
        await_that(
            lambda: any(bill["out_bill_no"] == bill_no for bill in self.sandbox.book()["bills"]), "the bill"
        )

    # The auditors

    def faults(self) -> list[str]:
        """What is wrong; nothing when all is well."""
        with self.container.db.read() as session:
            return audit(session, self.sandbox.book(), openids=self.openids)

    def unresolved(self) -> list[AwardView]:
        """The awards that have not come to an end."""
        with self.container.db.read() as session:
            ended = set(session.scalars(select(Award.id).where(Award.resolved_at.is_not(None))))
        return [award for award in self.awards if award.id not in ended]


def await_that(happened: Callable[[], bool], what: str) -> None:
    """Wait until something has happened in another process."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.005)
