"""Payouts a second: from bills that wait in the outbox to awards whose money is booked, through the sandbox.

All parts of an installation run as they do in earnest: one scheduler process drains (the only one), one web
process takes the callbacks, the platform is a process of its own with its call frequencies switched off.
Bills are opened by the drain; shoppers confirm as soon as their bill waits for them; the end arrives by
callback, as almost every end does in production: the query is for callbacks that are lost. The time runs from
the first attempt to open a bill to the last award that is fulfilled. Afterwards the auditors compare the
platform's book with ours.

The baseline is what a program without a database does: it signs and sends the same requests and verifies the
answers, by as many threads.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from sqlalchemy import text
from sqlalchemy.orm import Session
from wechatpayv3.utils import build_authorization, rsa_verify

from app.db.engine import Database
from app.identity import operations as identity
from app.identity import queries as identities
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import SystemClock
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import AccountRef, Transfer, ensure_account, post
from app.organisation.operations import create_brand, register_app
from app.payouts.handlers import OpenBills
from app.payouts.operations import save_payer
from app.rewards import operations as rewards
from app.rewards.models import AwardKind
from app.rewards.new_award import NewAward
from bench import server
from bench.row import Row, at_least, figure
from bench.support import Bench, say
from tests.factories.prizes import payer_details
from tests.support.auditors import audit
from tests.support.product import environment
from tests.support.sandbox import MerchantAccount, SandboxProcess

PAYOUTS = 2_000
SHOPPERS = 100
AMOUNT_FEN = 30
BARE = 600
_APPID, _MCHID, _BARE_MCHID = "wxbench0000000001", "1900000001", "1900000002"
_NOTIFY = f"https://m.example.com/miniprogram/v1/callbacks/pay/{_MCHID}"
_ACTOR = Actor(ActorKind.OPERATOR, "bench")
_CONFIRM_EVERY_SECONDS = 0.2
_PATIENCE_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")


def run(bench: Bench) -> list[Row]:
    """Measure; about a minute, a third of which makes the awards."""
    number = bench.of(PAYOUTS, 40)
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="saoma-bench-")))
        db, url = stack.enter_context(bench.database("payouts"))
        sandbox = stack.enter_context(SandboxProcess(limits=False))
        merchant, bare = _platform(sandbox, number)
        with bench.relaxed():
            _Brand.build(db, merchant).collect(sandbox, number)
        say(f"{number} bills wait to be opened")
        product = environment(url, data, SAOMA_PAY_API_URL=sandbox.base_url)
        web = stack.enter_context(server.product(product, workers=1))
        sandbox.settings(product_url=f"http://127.0.0.1:{web.port}")
        with _drain(product) as drain:
            _await_the_first(db, drain)
            started = _cpu_seconds(drain.pid)
            _await_settled(db, sandbox)
            cpu_ms = (_cpu_seconds(drain.pid) - started) / number * 1000
        _check(db, sandbox, number)
        rate = number / _elapsed(db)
        bare_rate = _bare(sandbox, bare, bench.of(BARE, 20))
    return [
        at_least("payouts_per_second", rate, "payouts/s", 100),
        figure("payouts_vs_bare_http", rate / bare_rate, "ratio"),
        figure("payout_drain_cpu_ms", cpu_ms, "ms"),
    ]


def _platform(sandbox: SandboxProcess, number: int) -> tuple[MerchantAccount, MerchantAccount]:
    sandbox.create_app(_APPID, "app-secret")
    ours, bare = (
        sandbox.create_merchant(mchid, appids=[_APPID], balance_fen=(number + BARE) * AMOUNT_FEN)
        for mchid in (_MCHID, _BARE_MCHID)
    )
    return ours, bare


@dataclass(frozen=True, slots=True)
class _Brand:
    """A brand whose awards are paid by one merchant number."""

    db: Database
    brand_id: int
    app_id: int
    payer_id: int
    budget: AccountRef
    committed: AccountRef

    @classmethod
    def build(cls, db: Database, merchant: MerchantAccount) -> "_Brand":
        now = SystemClock().now()

        def work(session: Session) -> "_Brand":
            brand_id = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=now)
            app_id = register_app(session, appid=_APPID, secret="app-secret", now=now)
            payer = payer_details(
                (app_id,),
                mchid=merchant.mchid,
                serial_no=merchant.serial_no,
                private_key=merchant.private_key_pem,
                apiv3_key=merchant.apiv3_key,
                public_key_id=merchant.platform_public_key_id,
                public_key=merchant.platform_public_key_pem,
                notify_url=_NOTIFY,
            )
            payer_id = save_payer(session, payer=payer, now=now, actor=_ACTOR)

            def account(kind: AccountKind, purpose: str) -> AccountRef:
                return ensure_account(
                    session,
                    kind=kind,
                    asset=Asset.FEN,
                    purpose=purpose,
                    owner_id=1,
                    brand_id=brand_id,
                    now=now,
                )

            budget = account(AccountKind.GUARDED, "budget")
            funding = account(AccountKind.OPEN, "funding")
            post(session, [Transfer("fund", funding, budget, 10_000_000, "fund", 1)], now=now)
            committed = account(AccountKind.OPEN, "committed")
            return _Brand(db, brand_id, app_id, payer_id, budget, committed)

        return db.transact(work)

    def collect(self, sandbox: SandboxProcess, number: int) -> None:
        """Let `number` awards be won and collected by people who take turns."""
        openids = [
            sandbox.shopper("李雷", "13800138000")["openids"][_APPID] for _ in range(min(SHOPPERS, number))
        ]
        for turn, openid in enumerate(openids):
            draws = range(turn + 1, number + 1, len(openids))
            self.db.transact(lambda session: self._collect(session, openid, draws))  # noqa: B023 - called at once

    def _collect(self, session: Session, openid: str, draws: range) -> None:
        now = SystemClock().now()
        person_id = identity.login(
            session,
            app_id=self.app_id,
            openid=openid,
            unionid=None,
            virtual=False,
            session_key="key",
            now=now,
        ).person_id
        cluster = identities.cluster(session, person_id=person_id)
        for draw in draws:
            award = NewAward(
                brand_id=self.brand_id,
                campaign_id=1,
                draw_id=draw,
                person_id=person_id,
                kind=AwardKind.MONEY,
                name_zh="红包",
                name_en="Cash",
                deadline_at=now + timedelta(days=7),
                amount_fen=AMOUNT_FEN,
                payer_id=self.payer_id,
                remark="扫码奖励",
                budget=self.budget,
                committed=self.committed,
            )
            rewards.collect(
                session,
                award_id=rewards.grant(session, award=award, now=now).id,
                person_id=person_id,
                cluster=cluster,
                app_id=self.app_id,
                now=now,
                actor=_ACTOR,
            )


@contextmanager
def _drain(product: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Run the scheduler, the one process that drains."""
    command = [sys.executable, "-m", "jobs"]
    # The log goes to a file, as it does in earnest.
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command, cwd=server.ROOT, env={**os.environ, **product}, stdout=log, stderr=log
        ) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _await_the_first(db: Database, drain: "subprocess.Popen[bytes]") -> None:
    while not _count(db, "outbox_attempts"):
        if drain.poll() is not None:
            raise RuntimeError("the scheduler has ended")
        time.sleep(0.01)


def _await_settled(db: Database, sandbox: SandboxProcess) -> None:
    """Let everybody confirm whose bill waits, until no message is left."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _count(db, "outbox_messages") or _count(db, "awards WHERE resolved_at IS NULL"):
        if time.monotonic() > deadline:
            raise RuntimeError("the payouts do not come to an end")
        sandbox.confirm_all(_MCHID)
        time.sleep(_CONFIRM_EVERY_SECONDS)


def _count(db: Database, what: str) -> int:
    with db.read() as session:
        return int(session.execute(text(f"SELECT COUNT(*) FROM {what}")).scalar_one())


def _elapsed(db: Database) -> float:
    with db.read() as session:
        first = session.execute(text("SELECT MIN(started_at) FROM outbox_attempts")).scalar_one()
        last = session.execute(text("SELECT MAX(resolved_at) FROM awards")).scalar_one()
    return float((last - first).total_seconds())


def _check(db: Database, sandbox: SandboxProcess, number: int) -> None:
    """Raise RuntimeError unless the platform's book and ours agree to the fen."""
    book = sandbox.book()
    with db.read() as session:
        faults = audit(session, book, openids=set(book["paid"]))
    paid = sum(book["paid"].values())
    if faults or paid != number * AMOUNT_FEN:
        raise RuntimeError(f"{paid} fen were paid for {number} awards: {'; '.join(faults)}")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _bare(sandbox: SandboxProcess, merchant: MerchantAccount, number: int) -> float:
    """Return how many bills a second are opened by a program that does nothing else."""
    openid = sandbox.shopper("李雷", "13800138000")["openids"][_APPID]
    key = load_pem_private_key(merchant.private_key_pem.encode(), None)
    platform_key = load_pem_public_key(merchant.platform_public_key_pem.encode())
    path = "/v3/fund-app/mch-transfer/transfer-bills"

    def open_bill(turn: int) -> None:
        body = json.dumps(_fields(openid, turn), ensure_ascii=False)
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Wechatpay-Serial": merchant.platform_public_key_id,
            "Authorization": build_authorization(
                path, "POST", merchant.mchid, merchant.serial_no, key, data=body
            ),
        }
        answer = http.post(sandbox.base_url + path, data=body.encode(), headers=headers, timeout=30)
        stamp, nonce, signature = (
            answer.headers[f"Wechatpay-{mark}"] for mark in ("Timestamp", "Nonce", "Signature")
        )
        if answer.status_code != 200 or not rsa_verify(stamp, nonce, answer.text, signature, platform_key):
            raise RuntimeError(f"the bare program was answered {answer.status_code}: {answer.text}")

    with requests.Session() as http, ThreadPoolExecutor(OpenBills.concurrency) as threads:
        http.trust_env = False
        http.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=OpenBills.concurrency))
        started = time.perf_counter()
        list(threads.map(open_bill, range(number)))
        return number / (time.perf_counter() - started)


def _fields(openid: str, turn: int) -> dict[str, object]:
    return {
        "appid": _APPID,
        "out_bill_no": f"BARE{turn:08d}",
        "transfer_scene_id": "1000",
        "openid": openid,
        "transfer_amount": AMOUNT_FEN,
        "transfer_remark": "扫码奖励",
        "transfer_scene_report_infos": [
            {"info_type": "活动名称", "info_content": "扫码有奖"},
            {"info_type": "奖励说明", "info_content": "现金红包"},
        ],
    }
