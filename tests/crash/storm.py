"""A storm: people collect, processes die at every boundary, the platform misbehaves, all at the same time.

Web, jobs and desk are processes of the product, forked from a warm parent and killed one after another. The
people are threads here that know nothing but HTTP: whoever gets no answer taps again. When every boundary
has killed often enough the weather clears, what waits is brought to its end, and the auditors come.

Time passes `speed` times as fast as on the wall, but not faster than the platform's slowest answer allows: a
request must not be older than its signature when ten minutes of ours have passed.
"""

import heapq
import itertools
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db.engine import db_now
from app.outbox.models import MessageState, OutboxMessage
from app.outbox.operations import replay
from app.outbox.queries import parked
from app.payouts import operations as payouts
from app.payouts import queries
from app.payouts.models import Bill
from app.payouts.operations import LONGEST_POLL, OPEN_TOPIC
from app.payouts.states import BillState
from app.rewards import operations as rewards
from app.rewards.queries import AwardView
from app.tax.terms import Assessment
from tests.crash.path import DESK, EFFECTS, JOBS, WEB, Plan
from tests.crash.town import Town
from tests.factories.prizes import APPID
from tests.factories.taxes import taxed
from tests.support.doomed import ELSEWHERE, Order
from tests.support.nursery import Ward
from tests.support.sandbox import SandboxRefusedError

API = "/miniprogram/v1"
BILLS = "/v3/fund-app/mch-transfer/transfer-bills"
CLOSINGS = tuple(f"payouts.close.{phase}" for phase in ("preparing", "prepared", "calling", "performed"))
ENDED = frozenset({"already_fulfilled", "already_paid", "award_lapsed", "award_refused"})

# What goes wrong, and how often: answers that say nothing, answers that never come, work done in silence.
WEATHER: tuple[Mapping[str, Any], ...] = (
    {"path": f"{BILLS}*", "kind": "system_error", "probability": 0.03},
    {"path": f"{BILLS}*", "kind": "system_error", "probability": 0.02, "after_commit": True},
    {"path": f"{BILLS}*", "kind": "html_502", "probability": 0.02},
    {"path": f"{BILLS}*", "kind": "html_502", "probability": 0.02, "after_commit": True},
    {"path": f"{BILLS}*", "kind": "frequency_limited", "probability": 0.01},
    {"path": f"{BILLS}*", "kind": "timeout_before", "probability": 0.01, "hold_seconds": 0.2},
    {"path": f"{BILLS}*", "kind": "timeout_after_commit", "probability": 0.03, "hold_seconds": 0.2},
    {"path": f"{BILLS}*", "kind": "latency", "probability": 0.03, "latency_ms": 500},
    {"path": f"{BILLS}*/cancel", "kind": "latency", "probability": 0.3, "latency_ms": 700},
    {"path": f"{BILLS}/out-bill-no/*", "kind": "latency", "probability": 0.1, "latency_ms": 500},
    {"path": BILLS, "kind": "user_account_abnormal", "probability": 0.01},
    {"path": "/sns/jscode2session", "kind": "-1", "probability": 0.1},
    {"path": "*", "kind": "no_callback", "probability": 0.15},
    {"path": "*", "kind": "duplicate_callback", "probability": 0.1, "copies": 3},
    {"path": "*", "kind": "reorder_callback", "probability": 0.1, "hold_seconds": 1.5},
    {"path": "*", "kind": "late_callback", "probability": 0.05, "delay_seconds": 4},
)
# Slower than any caller waits, and still at work when nobody listens any more.
GALES: tuple[Mapping[str, Any], ...] = (
    {"path": f"{BILLS}*", "kind": "latency", "probability": 0.004, "latency_ms": 2_000},
    {"path": f"{BILLS}*", "kind": "latency", "probability": 0.002, "latency_ms": 9_000},
    {"path": BILLS, "kind": "latency", "probability": 0.002, "latency_ms": 30_000},
)
SLOWEST_SECONDS = 32.0
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything; `large`: until each boundary has killed, with answers of half a minute."""

    payouts: int
    kills: int
    seed: int
    large: bool
    most_seconds: float

    @property
    def workers(self) -> int:
        """How many processes drain at the same time."""
        return 3 if self.large else 2

    @property
    def speed(self) -> float:
        """How many seconds pass in one."""
        return 12.0 if self.large else 60.0


@dataclass(slots=True)
class Prize:
    """What somebody has won and goes for; `pages` are the confirmations that they were shown."""

    number: int
    award: AwardView
    path: str
    key: str | None = None
    taps: int = 0
    pages: list[str] = field(default_factory=list)


class Storm:
    """One storm over a town."""

    def __init__(self, town: Town, size: Size, *, folder: Path) -> None:
        self.town, self.size, self.plan = town, size, Plan(size.kills)
        self.faults: list[str] = []
        self._folder = folder
        self._over = threading.Event()
        self._began, self._start = time.monotonic(), town.world.clock.now()
        self._lock = threading.Lock()
        self._prizes: list[tuple[float, int, Prize]] = []
        self._backlog: list[Prize] = []
        self._tokens: dict[int, str] = {}
        self._numbers = itertools.count()
        self._port = _free_port()
        self._chance = random.Random(size.seed)
        with town.container.db.read() as session:
            self._payer = asdict(queries.credentials(queries.payer_of(session, town.workers.mchid)))

    def now(self) -> datetime:
        """Return the storm's time."""
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self.size.speed)

    def rage(self) -> None:
        """Let it rage until processes enough have died, or the time is up."""
        self._win()
        sandbox = self.town.sandbox
        sandbox.settings(product_url=f"http://127.0.0.1:{self._port}")
        for number, fault in enumerate((*WEATHER, *(GALES if self.size.large else ()))):
            sandbox.fault(**{"seed": self.size.seed + number, **fault})
        self._began = time.monotonic()
        keepers = [("web", WEB), *(("jobs", JOBS) for _ in range(self.size.workers)), ("close", DESK)]
        with ExitStack() as stack:
            wards = [stack.enter_context(self.town.workers.nursery.ward()) for _ in keepers]
            threads = [
                *(
                    self._thread(self._keep, ward, *keeper)
                    for ward, keeper in zip(wards, keepers, strict=True)
                ),
                *(self._thread(self._tap_on) for _ in range(3)),
                self._thread(self._lease_thief),
            ]
            try:
                self._conduct()
            finally:
                self._over.set()
                for thread in threads:
                    thread.join()

    def clear_up(self) -> None:
        """Let the weather clear and everything come to its end: held calls, parked messages, people."""
        town = self.town
        with town.sandbox_without_callbacks():
            if self.size.large:
                time.sleep(SLOWEST_SECONDS)
            town.world.clock.set(self.now())
            town.world.do(rewards.lapse_due, limit=10_000)
            for _ in range(_ROUNDS):
                self._ask_about_everything()
                unresolved = town.unresolved()
                if not unresolved and not town.world.read(parked):
                    return
                for award in unresolved:
                    with suppress(SandboxRefusedError):  # it has ended there meanwhile
                        town.tap(award)

    def _ask_about_everything(self) -> None:
        world = self.town.world
        world.do(self._replay_parked)
        world.clock.advance(2 * LONGEST_POLL)
        while world.do(payouts.poll_due):
            self.town.drain()
        self.town.drain()

    # The brand and its people

    def _win(self) -> None:
        town = self.town
        people = [town.person() for _ in range(max(10, self.size.payouts // 10))]
        for number in range(self.size.payouts):
            self._backlog.append(self._won(number, people[number % len(people)]))

    def _won(self, number: int, person: int) -> Prize:
        fen = 12 + self._chance.randrange(5)
        # Every third is taxed: what is withheld must be set aside with the payment, or not at all.
        tax = taxed(fen) if number % 3 == 0 else None
        award = self._grant(person, amount_fen=fen, days=60, tax=tax)
        path = f"/awards/{self.town.container.public_ids.encode('aw', award.id)}/collect"
        return Prize(number, award, path)

    def _grant(
        self, person: int, *, amount_fen: int, days: float, tax: Assessment | None = None
    ) -> AwardView:
        world = self.town.world
        with self._lock:
            award = world.new_award(
                person,
                amount_fen=amount_fen,
                deadline_at=self.now() + timedelta(days=days),
                stock=None,
                awarded=None,
                tax=tax,
            )
        won = world.db.transact(lambda session: rewards.grant(session, award=award, now=self.now()))
        self.town.awards.append(won)
        return won

    def _conduct(self) -> None:
        """Let people come as the dying goes on, so that there is work at every boundary to the end."""
        total = len(self._backlog)
        end = time.monotonic() + self.size.most_seconds
        next_lapse = next_more = 0.0
        while time.monotonic() < end and not self.faults:
            left = self._left()
            waited = time.monotonic() - self._began
            due = min(total, int(total * self.plan.share + 40 + waited)) if left else total
            with self._lock:
                for _ in range(due - (total - len(self._backlog))):
                    heapq.heappush(self._prizes, (0.0, next(self._numbers), self._backlog.pop(0)))
                at_work = len(self._prizes)
            if not left and not self._backlog and at_work < 3 + total // 10:
                return
            if left and not self._backlog and at_work < 3 + total // 10 and time.monotonic() > next_more:
                # Nobody is left to pass what has not killed often enough.
                self._backlog.append(self._won(total, self._chance.choice(list(self.town.shoppers))))
                total, next_more = total + 1, time.monotonic() + 0.5
            if "rewards.lapsing" in left and time.monotonic() > next_lapse:
                person = next(iter(self.town.shoppers))
                self._grant(person, amount_fen=12, days=0, tax=taxed(12))
                next_lapse = time.monotonic() + (2.0 if self.size.large else 0.5)
            time.sleep(0.05)

    def _left(self) -> list[str]:
        """What is still to kill: in a small storm any boundaries will do."""
        if not self.size.large and self.plan.kills >= self.size.kills:
            return []
        return self.plan.left()

    def _tap_on(self) -> None:
        with requests.Session() as http:
            http.trust_env = False
            while not self._over.is_set():
                prize = self._next_prize()
                if prize is None:
                    time.sleep(0.02)
                    continue
                pause = self._tap(http, prize)
                if pause is not None:
                    with self._lock:
                        again = (time.monotonic() + pause, next(self._numbers), prize)
                        heapq.heappush(self._prizes, again)

    def _next_prize(self) -> Prize | None:
        with self._lock:
            if self._prizes and self._prizes[0][0] <= time.monotonic():
                return heapq.heappop(self._prizes)[2]
        return None

    def _tap(self, http: requests.Session, prize: Prize) -> float | None:
        """Tap on Collect once; return after how many seconds to come back, None when there is no more."""
        prize.taps += 1
        prize.key = prize.key or f"storm-{prize.number}-{prize.taps}"
        try:
            token = self._token(http, prize.award.person_id)
            if token is None:
                return 0.3
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": prize.key}
            body = {"phone_declined": True}
            answer = http.post(self._url + prize.path, json=body, headers=headers, timeout=20)
        except requests.RequestException:
            # No answer: the same intention again, as the mini-program does.
            return 0.2
        prize.key = None
        found = answer.json() if answer.content else {}
        if answer.status_code == 401:
            self._tokens.pop(prize.award.person_id, None)
        if answer.status_code not in (200, 202):
            return None if found.get("code") in ENDED else 1.0
        transfer = found["transfer"]
        if transfer is None:
            return None if answer.status_code == 200 else 1.0
        return self._decide(http, prize, transfer)

    def _token(self, http: requests.Session, person: int) -> str | None:
        if person not in self._tokens:
            code = self.town.sandbox.js_code(self.town.shoppers[person], APPID)
            answer = http.post(f"{self._url}/sessions", json={"app_id": APPID, "js_code": code}, timeout=20)
            if answer.status_code != 201:
                return None
            self._tokens[person] = answer.json()["token"]
        return self._tokens[person]

    def _decide(self, http: requests.Session, prize: Prize, transfer: Mapping[str, str]) -> float:
        """Confirm, or run into a failure, or look away; the first page of a bill decides."""
        page = transfer["package_info"]
        if page not in prize.pages:
            prize.pages.append(page)
        chance = random.Random(f"{self.size.seed}:{prize.number}:{len(prize.pages)}").random()
        if chance < 0.1 and len(prize.pages) == 1:
            return 20.0  # not now: the operator may close it, or it expires
        fail_reason = "ACCOUNT_ERROR" if chance < 0.3 and len(prize.pages) < 3 else ""
        shopper = self.town.shoppers[prize.award.person_id]
        confirmation = {**transfer, "fail_reason": fail_reason}
        base = self.town.sandbox.base_url
        http.post(f"{base}/_sandbox/shoppers/{shopper}/confirm", json=confirmation, timeout=20)
        return 2.0

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}{API}"

    # Those who die

    def _keep(self, ward: Ward, task: str, names: tuple[str, ...]) -> None:
        """Send one process after another to its fate."""
        chance = random.Random(self.size.seed + next(self._numbers))
        obituary = self._folder / f"obituary-{next(self._numbers)}"
        while not self._over.is_set():
            arguments = self._arguments(task)
            if arguments is None:
                time.sleep(0.1)
                continue
            among = (*names, *CLOSINGS) if task == "close" else names
            # Every tap passes most boundaries of the web: it must live for a while to serve anybody.
            latest = max(1, self.size.payouts // 40) if task == "web" else 1
            fates = self.plan.fates(among, chance, latest=latest)
            obituary.unlink(missing_ok=True)
            order = Order(
                task=task,
                now=self.now().isoformat(),
                database_url=self.town.container.db.engine.url.render_as_string(hide_password=False),
                pay_api_url=self.town.container.settings.pay_api_url,
                payer=self._payer,
                data=str(self.town.container.settings.data),
                fates=fates,
                linger_seconds=chance.uniform(0.001, 0.1),
                life_seconds=8.0 if self.size.large else 3.0,
                obituary=str(obituary),
                speed=self.size.speed,
                arguments=arguments,
            )
            child = ward.bear(order)
            if child.end() == 0:
                continue
            if not obituary.exists():
                self.faults.append(f"a process that was to {task} ended without being killed")
                return
            self.plan.note(obituary.read_text() or ELSEWHERE)
            self._bury(child.pid)

    def _arguments(self, task: str) -> dict[str, Any] | None:
        if task == "web":
            return {"port": self._port}
        if task == "close":
            bill_no = self._in_trouble()
            return None if bill_no is None else {"bill_no": bill_no}
        return {}

    def _in_trouble(self) -> str | None:
        """Some bill that an operator might close: refused, or waiting for a confirmation."""
        if not self.plan.left((*DESK, *(name for name in JOBS if name.startswith("payouts.close")))):
            return None
        refused = select(OutboxMessage.key).where(
            OutboxMessage.topic == OPEN_TOPIC, OutboxMessage.state == MessageState.PARKED
        )
        waiting = select(Bill.bill_no).where(Bill.state == BillState.WAIT_USER_CONFIRM)
        with self.town.container.db.read() as session:
            found = [*session.scalars(refused.limit(5)), *session.scalars(waiting.limit(20))]
        return self._chance.choice(found) if found else None

    def _bury(self, pid: int) -> None:
        """Let the leases of a dead process run out at once."""
        self._expire(OutboxMessage.lease_owner.like(f"%-{pid}-%"))

    def _lease_thief(self) -> None:
        """Take leases from living processes, as if their calls lasted too long."""
        lost = tuple(f"{topic}.lost" for topic in EFFECTS)
        while not self._over.is_set():
            time.sleep(0.05)
            for name in self.plan.left(lost):
                self._expire(OutboxMessage.topic == name.removesuffix(".lost"))

    def _expire(self, *which: Any) -> None:
        def work(session: Session) -> None:
            past = db_now(session) - timedelta(seconds=1)
            leased = update(OutboxMessage).where(OutboxMessage.lease_until.is_not(None), *which)
            session.execute(leased.values(lease_until=past))

        self.town.container.db.transact(work)

    @staticmethod
    def _replay_parked(session: Session, *, now: datetime) -> None:
        for message in parked(session, limit=10_000):
            replay(session, message_id=message.id, by="olga", now=now)

    def _thread(self, work: Callable[..., None], *arguments: Any) -> threading.Thread:
        def run() -> None:
            try:
                work(*arguments)
            except Exception as error:  # noqa: BLE001 - the test must hear of it
                self.faults.append(f"{work.__name__}: {type(error).__name__}: {error}")

        thread = threading.Thread(target=run)
        thread.start()
        return thread


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
