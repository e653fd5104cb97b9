"""Web processes die with a request in their hands; whoever sent it sees no answer and sends it again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.campaigns.models import Draw
from app.db.engine import Database
from app.outbox.models import InboxMessage
from app.payouts.models import Bill
from tests.crash.town import await_that
from tests.crash.workers import IN_FLIGHT, WAITING, Workers
from tests.support.auditors import audit
from tests.support.loopback import LoopbackServer, Seen
from tests.support.nursery import Nursery
from tests.support.sandbox import MerchantAccount, SandboxProcess
from tests.support.shop import API, APPID, Shop, Shopper, open_shop

pytestmark = pytest.mark.crash


@dataclass(repr=False)
class Counter:
    """An installation whose web processes die, and one member who comes back."""

    shop: Shop
    workers: Workers
    shopper: Shopper

    def die(self, at: str, path: str, body: Any, key: str) -> None:
        """Send a request of the shopper's to a process that dies at boundary `at`."""
        headers = {
            "Authorization": f"Bearer {self.shopper.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        self.workers.die("serve", at, method="POST", path=API + path, headers=headers, body=json.dumps(body))

    @property
    def openid(self) -> str:
        """The shopper's openid in the app."""
        (found,) = [it for it in self.shop.sandbox.shoppers() if it["id"] == self.shopper.id]
        return str(found["openids"][APPID])

    def faults(self) -> list[str]:
        """What the auditors find."""
        with self.shop.container.db.read() as session:
            return audit(session, self.shop.sandbox.book(), openids=[self.openid])

    def await_answers(self) -> None:
        """Wait until the platform knows that each of its callbacks about the shopper has arrived."""
        openid = self.openid

        def answered() -> bool:
            bills = [bill for bill in self.shop.sandbox.book()["bills"] if bill["openid"] == openid]
            return all(bill["acknowledged"] for bill in bills)

        await_that(answered, "an answer")

    def rows(self, model: Any) -> int:
        """How many rows a table has."""
        with self.shop.container.db.read() as session:
            return session.scalar(select(func.count()).select_from(model)) or 0

    @contextmanager
    def closed(self) -> Iterator[LoopbackServer]:
        """Let the platform find nobody who takes its callbacks."""
        with LoopbackServer() as server:
            server.reply(503, b"")
            self.shop.sandbox.settings(product_url=server.url)
            yield server
            self.shop.sandbox.settings(product_url=self.shop.url)


@pytest.fixture
def counter(
    *,
    clean_db: Database,
    mariadb_url: str,
    tmp_path: Path,
    nursery: Nursery,
    sandbox: SandboxProcess,
    merchant: MerchantAccount,
) -> Iterator[Counter]:
    with open_shop(mariadb_url, tmp_path, sandbox, merchant) as shop:
        workers = Workers(shop.container, nursery, merchant.mchid)
        yield Counter(shop, workers, shop.shopper().member())


@pytest.mark.parametrize("boundary", ["edge.committing", "edge.committed"])
def test_a_draw(counter: Counter, kills: int, boundary: str) -> None:
    shopper = counter.shopper
    for kill in range(kills):
        asked = {"scan": shopper.scan()["scan"]["id"]}
        key = shopper.new_key()
        counter.die(boundary, "/draws", asked, key)
        assert counter.rows(Draw) == kill + (boundary == "edge.committed")
        again = shopper.call("POST", "/draws", asked, key=key)
        assert again.status_code == 201
        assert ("Idempotency-Replayed" in again.headers) is (boundary == "edge.committed")
        assert counter.rows(Draw) == kill + 1
        assert counter.faults() == []
    assert len(shopper.ok("GET", "/awards")["items"]) == kills


@pytest.mark.parametrize(
    ("boundary", "left"),
    [
        ("edge.committing", set()),  # the tap was for nothing: no lock, no bill, no message
        ("edge.committed", {WAITING}),  # not delivered, not answered
        ("payouts.open.performed", {IN_FLIGHT}),  # delivered by the edge, which never knew
        ("payouts.open.settled", set()),  # known, and not answered
    ],
)
def test_a_tap_on_collect(counter: Counter, kills: int, boundary: str, left: set[str]) -> None:
    shopper = counter.shopper
    for kill in range(kills):
        award, key = shopper.win(), shopper.new_key()
        counter.die(boundary, f"/awards/{award['id']}/collect", {"phone_declined": True}, key)
        assert counter.workers.standing("payouts.open") == left
        assert counter.rows(Bill) == kill + (boundary != "edge.committing")
        counter.workers.let_leases_run_out()
        # With the same key, as the mini-program repeats, or with another one, as people do.
        transfer = shopper.collect(award, key=key if kill % 2 else None).json()["transfer"]
        shopper.confirm(transfer)
        shopper.wait_for(award, "fulfilled")
        assert counter.rows(Bill) == kill + 1
        assert counter.faults() == []
    assert shopper.balance_fen() == 100 * kills


@pytest.mark.parametrize("boundary", ["edge.recording", "edge.recorded"])
def test_a_callback(counter: Counter, kills: int, boundary: str) -> None:
    """The platform gets no answer, so it sends the same notice again."""
    shopper = counter.shopper
    for _ in range(kills):
        award = shopper.win()
        with counter.closed() as nobody:
            shopper.confirm(shopper.collect(award).json()["transfer"])
            counter.workers.die("serve", boundary, **_repeated(_first(nobody)))
            left = set() if boundary == "edge.recording" else {WAITING}
            assert counter.workers.standing("inbox.pay") == left
        shopper.wait_for(award, "fulfilled")
        counter.await_answers()
        assert counter.faults() == []
    with counter.shop.container.db.read() as session:
        times = list(session.scalars(select(InboxMessage.received_times)))
    assert len(times) == kills
    assert {number > 1 for number in times} == {boundary == "edge.recorded"}


def _repeated(seen: Seen) -> dict[str, Any]:
    """A request as it came, to be sent again."""
    headers = {
        name: value for name, value in seen.headers.items() if name.lower() not in {"host", "content-length"}
    }
    return {"method": seen.method, "path": seen.target, "headers": headers, "body": seen.body.decode()}


def _first(server: LoopbackServer) -> Seen:
    await_that(lambda: bool(server.seen), "a callback")
    return server.seen[0]
