"""Workers who die: processes of the product on the test's database, killed at a place that has a name."""

import signal
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db.engine import db_now
from app.factory import Container
from app.outbox.models import OutboxMessage
from app.payouts import queries
from tests.support.doomed import Order
from tests.support.nursery import Child, Nursery

WAITING, IN_FLIGHT = "waiting", "in flight"


@dataclass(frozen=True, slots=True)
class Workers:
    """The other processes of the installation that `container` belongs to; `mchid` is its payer."""

    container: Container
    nursery: Nursery
    mchid: str

    def bear(
        self, task: str, *, die_at: str | None = None, sabotage: str | None = None, **arguments: Any
    ) -> Child:
        """Let a new process begin `task`."""
        with self.container.db.read() as session:
            payer = asdict(queries.credentials(queries.payer_of(session, self.mchid)))
        order = Order(
            task=task,
            now=self.container.clock.now().isoformat(),
            database_url=self.container.db.engine.url.render_as_string(hide_password=False),
            pay_api_url=self.container.settings.pay_api_url,
            payer=payer,
            data=str(self.container.settings.data),
            die_at=die_at,
            sabotage=sabotage,
            arguments=arguments,
        )
        return self.nursery.bear(order)

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

    def let_leases_run_out(self) -> None:
        """Set back the leases of the dead: as if the time had passed."""

        def work(session: Session) -> None:
            past = db_now(session) - timedelta(seconds=1)
            leased = update(OutboxMessage).where(OutboxMessage.lease_until.is_not(None))
            session.execute(leased.values(lease_until=past))

        self.container.db.transact(work)
