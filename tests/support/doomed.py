"""What a process does that is going to be killed: the real product, with a knife at one boundary.

Every task here is what a process of the product does anyway.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy import delete
from sqlalchemy.orm import Session, configure_mappers
from werkzeug.serving import make_server

import miniprogram_api
from app.factory import Container, create_app
from app.gateways.pay.methods import ByMethod
from app.gateways.pay.red_packets import WeChatRedPackets
from app.gateways.pay.transfers import WeChatPayTransfers
from app.gateways.pay.wecom_packets import WeComRedPackets
from app.kernel import boundaries
from app.kernel.actor import SYSTEM
from app.kernel.clock import Clock, ManualClock
from app.outbox import claims
from app.outbox.contracts import Call, Message, Skip
from app.outbox.models import OutboxMessage
from app.payouts import closing, handlers
from app.payouts.errors import BillEnded
from app.payouts.interfaces import PayerCredentials, PayMethod
from jobs import schedule
from tests.support.product import product_by, settings


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to do: `task` at time `now`, and to die when it comes to boundary `die_at`.

    `fates` are further boundaries, each with the visit at which it kills. A call in flight is killed up to
    `linger_seconds` after it began. `life_seconds` is the longest life: then it dies wherever it is. Where
    it died is written to the file `obituary`. Without any of these it lives until its work is done or until
    it is killed from outside. Its clock stands, or runs `speed` times as fast as the machine's.
    """

    task: str
    now: str
    database_url: str
    pay_api_url: str
    payer: dict[str, Any] = field(repr=False)
    data: str
    die_at: str | None = None
    fates: dict[str, int] = field(default_factory=dict)
    linger_seconds: float = 0.0
    life_seconds: float | None = None
    obituary: str | None = None
    speed: float = 0.0
    sabotage: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


ELSEWHERE = "elsewhere"
_KNOCK_SECONDS = 0.3
_PAUSE_SECONDS = 0.04

_gateways: dict[str, WeChatPayTransfers] = {}


_rehearsed: set[str] = set()
_NOTHING_IS_DUE = datetime(2000, 1, 1, tzinfo=UTC)


def warm(order: Order) -> None:
    """Do beforehand what each process would do before it begins: keep no connection, leave no thread.

    Reading the payer's keys alone takes as long as all the rest of a short life; to compile what every
    process asks of its database takes half as long again. So a process begins and ends here, at a time when
    nothing is due, and leaves what it has compiled to all that are forked.
    """
    configure_mappers()
    gateway = _gateways.setdefault(order.pay_api_url, WeChatPayTransfers(order.pay_api_url))
    gateway._client(PayerCredentials(**order.payer))  # its cache is what is to be warm
    if order.database_url not in _rehearsed:
        _rehearsed.add(order.database_url)
        with _product(order, ManualClock(_NOTHING_IS_DUE)) as container:
            _drain(container)
            schedule.poll(container)
            schedule.lapse(container)
            create_app(container, [miniprogram_api])
        assert threading.active_count() == 1, "a fork would copy the locks of threads that it does not have"


def obey(order: Order) -> None:
    """Carry out `order` in this process, which may end in the middle of it."""
    boundaries.install(Knife(order))
    if order.life_seconds is not None:
        _later(order.life_seconds, lambda: _die(order, ELSEWHERE))
    clock = TickingClock(datetime.fromisoformat(order.now), order.speed)
    sabotage = SABOTAGES[order.sabotage]() if order.sabotage else nullcontext()
    with sabotage, _product(order, clock) as container:
        TASKS[order.task](container, **order.arguments)


def _product(order: Order, clock: Clock) -> AbstractContextManager[Container]:
    ours = settings(order.database_url, Path(order.data), SAOMA_WECHAT_API_URL=order.pay_api_url)
    gateway = ByMethod(
        {
            PayMethod.TRANSFER: _gateways[order.pay_api_url],
            PayMethod.SERVICE_RED_PACKET: WeChatRedPackets(order.pay_api_url),
            PayMethod.WECOM_RED_PACKET: WeComRedPackets(order.pay_api_url),
        }
    )
    return product_by(ours, clock=clock, transfers=gateway)


class TickingClock:
    """A clock that starts at a moment and runs `speed` times as fast as the machine's; 0: it stands."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._start, self._speed, self._born = start, speed, time.monotonic()

    def now(self) -> datetime:
        """Return the present moment."""
        return self._start + timedelta(seconds=(time.monotonic() - self._born) * self._speed)


class Knife:
    """Kills this process at the boundaries that its order names."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._visits = dict(order.fates)
        if order.die_at is not None:
            self._visits[order.die_at] = 1
        self._lock = threading.Lock()

    def __call__(self, name: str) -> None:
        """Count a visit of boundary `name`, and make an end when it is the fatal one."""
        with self._lock:
            if name not in self._visits:
                return
            self._visits[name] -= 1
            if self._visits[name] != 0:
                return
        if name.endswith(".calling") and self._order.linger_seconds:
            _later(self._order.linger_seconds, lambda: _die(self._order, name))
        else:
            _die(self._order, name)


_dying = threading.Lock()


def _die(order: Order, where: str) -> None:
    # Whoever comes second dies with the first, who must not be cut short while writing.
    _dying.acquire()
    if order.obituary is not None:
        Path(order.obituary).write_text(where)
    os.kill(os.getpid(), signal.SIGKILL)


def _later(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def _drain(container: Container) -> None:
    container.drainer.until_idle(seconds=20)


def _serve(container: Container, *, method: str, path: str, headers: dict[str, str], body: str) -> None:
    """Answer one request, as a web process does."""
    app = create_app(container, [miniprogram_api])
    app.test_client().open(path, method=method, headers=headers, data=body.encode())


def _be_web(container: Container, *, port: int) -> None:
    """Answer requests until the end, as a web process does."""
    logging.disable(logging.CRITICAL)
    app = create_app(container, [miniprogram_api])
    make_server("127.0.0.1", port, app, threaded=True).serve_forever()


def _be_jobs(container: Container) -> None:
    """Drain and knock until the end, as a scheduler process does, only faster."""
    logging.disable(logging.CRITICAL)
    knock_at = 0.0
    while True:
        container.drainer.until_idle(seconds=1)
        if time.monotonic() >= knock_at:
            schedule.poll(container)
            schedule.lapse(container)
            knock_at = time.monotonic() + _KNOCK_SECONDS
        time.sleep(_PAUSE_SECONDS)


def _close(container: Container, *, bill_no: str) -> None:
    """Close a bill, as an operator does from the shell."""
    now = container.clock.now()
    with suppress(BillEnded):
        message = container.db.transact(
            lambda session: closing.close_bill(
                session, bill_no=bill_no, reason="no way on", now=now, actor=SYSTEM
            )
        )
        container.drainer.deliver(closing.CLOSE_TOPIC, message)


TASKS: Mapping[str, Callable[..., object]] = {
    "drain": _drain,
    "serve": _serve,
    "web": _be_web,
    "jobs": _be_jobs,
    "close": _close,
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
