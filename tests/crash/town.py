"""A brand whose workers die: real database, real gateways, a platform in its own process, people who tap.

A kill is followed by what happens in life: leases run out, another worker takes over, people tap again,
the platform repeats its callbacks or is asked. Then the auditors come.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db.engine import db_now
from app.factory import Container
from app.identity import operations as identity
from app.kernel.clock import ManualClock
from app.outbox.models import MessageState, OutboxMessage
from app.payouts import operations as payouts
from app.payouts import queries
from app.rewards.models import Award, AwardState
from app.rewards.queries import AwardView
from tests.factories.prizes import APPID, OPERATOR, PrizeWorld, payer_details
from tests.support.auditors import audit
from tests.support.doomed import Order, take_callback
from tests.support.loopback import LoopbackServer, Seen, send
from tests.support.nursery import Child, Nursery
from tests.support.sandbox import MerchantAccount, SandboxProcess

WAITING, IN_FLIGHT = "waiting", "in flight"
_PATIENCE_SECONDS = 20.0
_LONGEST_POLL = timedelta(hours=4)


@dataclass(repr=False)
class Town:
    """The brand, its people and its platform."""

    container: Container
    world: PrizeWorld
    nursery: Nursery
    sandbox: SandboxProcess
    merchant: MerchantAccount
    awards: list[AwardView] = field(default_factory=list)
    shoppers: dict[int, str] = field(default_factory=dict)
    openids: set[str] = field(default_factory=set)
    calls_back: bool = True
    edge_is_up: bool = True
    missed_callbacks: list[Seen] = field(default_factory=list)

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
        town = cls(container, world, nursery, sandbox, merchant)
        with LoopbackServer() as server:
            server.answer = town._edge
            sandbox.settings(product_url=server.url)
            yield town

    # People

    def win(self, number: int = 1, **changes: Any) -> list[AwardView]:
        """Grant one yuan to each of `number` persons who have not been seen before."""
        won = [
            self.world.grant(self._person(), **{"stock": None, "awarded": None, **changes})
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

    def _person(self) -> int:
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

    # Processes

    def bear(
        self, task: str, *, die_at: str | None = None, sabotage: str | None = None, **arguments: Any
    ) -> Child:
        """Let a new process begin `task`."""
        return self.nursery.bear(
            Order(
                task=task,
                now=self.world.clock.now().isoformat(),
                database_url=self.container.db.engine.url.render_as_string(hide_password=False),
                pay_api_url=self.sandbox.base_url,
                payer=asdict(
                    queries.credentials(self.world.read(queries.payer, payer_id=self.world.payer_id))
                ),
                data=str(self.container.settings.data),
                die_at=die_at,
                sabotage=sabotage,
                arguments=arguments,
            )
        )

    def die(self, task: str, at: str, **more: Any) -> None:
        """Let a process begin `task` and be killed when it comes to boundary `at`."""
        assert self.bear(task, die_at=at, **more).end() == -signal.SIGKILL, f"it never came to {at}"

    def kill(self, child: Child) -> None:
        """Kill a process wherever it is."""
        child.kill()
        assert child.end() == -signal.SIGKILL, "it had ended already"

    def standing(self, topic: str) -> set[str]:
        """How the unfinished messages of `topic` stand: WAITING, IN_FLIGHT; nothing when all are finished."""
        wanted = select(OutboxMessage.in_flight).where(OutboxMessage.topic == topic)
        with self.container.db.read() as session:
            return {IN_FLIGHT if in_flight else WAITING for in_flight in session.scalars(wanted)}

    # What comes after a death

    def let_leases_run_out(self) -> None:
        """Set back the leases of the dead: as if the time had passed."""

        def work(session: Session) -> None:
            past = db_now(session) - timedelta(seconds=1)
            leased = update(OutboxMessage).where(OutboxMessage.lease_until.is_not(None))
            session.execute(leased.values(lease_until=past))

        self.container.db.transact(work)

    def drain(self) -> None:
        """Let a fresh worker do all that is due, and in its time all that will be, until nothing waits."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            self.let_leases_run_out()
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
                self._tap(award)
            if self.calls_back:
                self.await_callbacks()
            else:
                self.world.clock.advance(_LONGEST_POLL)
                self.world.do(payouts.poll_due)

    def _tap(self, award: AwardView) -> None:
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

    def await_callbacks(self) -> None:
        """Wait until the platform knows that each of its callbacks has arrived."""
        _await(
            lambda: not any(self._is_unanswered(bill) for bill in self.sandbox.book()["bills"]), "callbacks"
        )

    def _is_unanswered(self, bill: dict[str, Any]) -> bool:
        ended = bill["openid"] in self.openids and bill["state"] in ("SUCCESS", "FAIL", "CANCELLED")
        return ended and not bill["acknowledged"]

    def await_missed_callback(self) -> Seen:
        """Wait until the platform has tried to deliver a callback at an edge that is down; return it."""
        _await(lambda: bool(self.missed_callbacks), "a callback")
        missed = self.missed_callbacks[-1]
        self.missed_callbacks.clear()
        return missed

    def await_fault(self) -> None:
        """Wait until the last fault that was set has met a request."""
        _await(lambda: self.sandbox.faults()[-1]["fired"] == 1, "the call")

    def await_bill(self, bill_no: str) -> None:
        """Wait until the platform has written down the bill."""
        _await(
            lambda: any(bill["out_bill_no"] == bill_no for bill in self.sandbox.book()["bills"]), "the bill"
        )

    def _edge(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        if self.edge_is_up:
            take_callback(self.container, mchid=self.merchant.mchid, headers=seen.headers, body=seen.body)
            send(handler, 204, b"", {})
        else:
            self.missed_callbacks.append(seen)
            send(handler, 503, b"", {})

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


def _await(happened: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.005)
