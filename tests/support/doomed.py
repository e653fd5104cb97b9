"""What a process does that is going to be killed: the real product, with a knife at one boundary.

Every task here is what a process of the product does anyway.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import delete
from sqlalchemy.orm import Session, configure_mappers

import miniprogram_api
from app.factory import Container, create_app
from app.gateways.pay.transfers import WeChatPayTransfers
from app.kernel import boundaries
from app.kernel.clock import ManualClock
from app.outbox import claims
from app.outbox.contracts import Call, Message, Skip
from app.outbox.models import OutboxMessage
from app.payouts import handlers
from app.payouts.interfaces import PayerCredentials
from jobs import schedule
from tests.support.product import product_by, settings


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to do: `task` at time `now`, and to die when it comes to boundary `die_at`.

    Without `die_at` it lives until its work is done or until it is killed from outside.
    """

    task: str
    now: str
    database_url: str
    pay_api_url: str
    payer: dict[str, str] = field(repr=False)
    data: str
    die_at: str | None = None
    sabotage: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


_gateways: dict[str, WeChatPayTransfers] = {}


def warm(order: Order) -> None:
    """Do beforehand what each process would do before it begins: make no connection, start no thread.

    Reading the payer's keys alone takes as long as all the rest of a short life.
    """
    configure_mappers()
    gateway = _gateways.setdefault(order.pay_api_url, WeChatPayTransfers(order.pay_api_url))
    gateway._client(PayerCredentials(**order.payer))  # its cache is what is to be warm


def obey(order: Order) -> None:
    """Carry out `order` in this process, which may end in the middle of it."""

    def knife(name: str) -> None:
        if name == order.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    boundaries.install(knife)
    clock = ManualClock(datetime.fromisoformat(order.now))
    sabotage = SABOTAGES[order.sabotage]() if order.sabotage else nullcontext()
    ours = settings(order.database_url, Path(order.data))
    with sabotage, product_by(ours, clock=clock, transfers=_gateways[order.pay_api_url]) as container:
        TASKS[order.task](container, **order.arguments)


def _drain(container: Container) -> None:
    container.drainer.until_idle(seconds=20)


def _serve(container: Container, *, method: str, path: str, headers: dict[str, str], body: str) -> None:
    """Answer one request, as a web process does."""
    app = create_app(container, [miniprogram_api])
    app.test_client().open(path, method=method, headers=headers, data=body.encode())


TASKS: Mapping[str, Callable[..., object]] = {
    "drain": _drain,
    "serve": _serve,
    "poll": schedule.poll,
    "lapse": schedule.lapse,
}


@contextmanager
def a_new_number_for_each_attempt() -> Iterator[None]:
    """Break the guard against paying twice: the number that the platform de-duplicates on."""
    prepare = handlers.OpenBills._prepare

    def renumbered(self: Any, session: Session, message: Message, known: Any, now: datetime) -> Call | Skip:
        answer = prepare(self, session, message, known, now)
        if isinstance(answer, Skip):
            return answer
        call = answer.request
        assert isinstance(call, handlers.OpenCall)
        request = replace(call.request, bill_no=f"{call.request.bill_no}A{message.attempt}")
        return Call(handlers.OpenCall(request, ask_first=False))

    with mock.patch.object(handlers.OpenBills, "_prepare", renumbered):
        yield


@contextmanager
def messages_gone_once_claimed() -> Iterator[None]:
    """Break the guard against losing work: what is claimed leaves the queue, as in a plain list."""

    def pop(session: Session, messages: list[Message], **_lease: object) -> None:
        ids = [message.id for message in messages]
        session.connection().execute(delete(OutboxMessage).where(OutboxMessage.id.in_(ids)))

    with mock.patch.object(claims, "lease", pop):
        yield


SABOTAGES: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "a_new_number_for_each_attempt": a_new_number_for_each_attempt,
    "messages_gone_once_claimed": messages_gone_once_claimed,
}
