"""A whole installation for a test: web server, platform, brand, codes, a campaign, and people with phones.

The product runs in this process behind a real server on loopback, so that the platform's callbacks reach
it; the platform is a process of its own. What a shopper does goes over HTTP, as from the mini-program.
"""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

import miniprogram_api
from app.campaigns import funding
from app.campaigns import operations as campaigns
from app.catalogue.operations import create_product
from app.codes import operations as codes
from app.codes.outcome import Placement
from app.codes.queries import print_pack
from app.factory import Container, create_app
from app.kernel.actor import Actor, ActorKind
from app.ledger.queries import audit
from app.members.operations import publish_policy
from app.organisation.operations import create_brand, register_app
from app.payouts.operations import save_payer
from tests.factories.campaigns import SEED, document, money, pool
from tests.factories.prizes import payer_details
from tests.support.product import product
from tests.support.sandbox import MerchantAccount, SandboxProcess

API = "/miniprogram/v1"
APPID = "wxfunctional00001"
MCHID = "1900000077"
POLICY = "2026-1"
OLGA = Actor(ActorKind.OPERATOR, "olga")
BUDGET_FEN = 10_000_00
_PATIENCE_SECONDS = 20.0


@dataclass(repr=False)
class Shop:
    """The installation. `codes` are ids in one batch of 10,000 activated codes under the cap."""

    container: Container
    app: Flask
    url: str
    sandbox: SandboxProcess
    merchant: MerchantAccount
    ids: dict[str, int]
    _indexes: Any = field(default_factory=itertools.count)
    _phones: Any = field(default_factory=lambda: itertools.count(1))

    def shopper(self, phone: str | None = None, **more: Any) -> "Shopper":
        """Somebody with WeChat who has not logged in yet, by default with a phone number of their own."""
        number = phone or f"1391234{next(self._phones):04d}"
        return Shopper(self, self.sandbox.shopper("李雷", number, **more)["id"])

    def code(self, index: int | None = None) -> str:
        """A code of the batch, by default one that nobody has seen."""
        chosen = next(self._indexes) if index is None else index
        with self.container.db.read() as session:
            pack = print_pack(
                session,
                book=self.container.code_book,
                batch_id=self.ids["batch"],
                now=self.container.clock.now(),
            )
        return pack.code(chosen)

    def link(self, code: str) -> str:
        """The link that is printed for a code."""
        return self.container.code_book.link.url(code)

    def drain(self) -> None:
        """Let everything happen that is due."""
        self.container.drainer.until_idle(seconds=20)

    def faults_of_the_books(self) -> list[str]:
        """What the ledger's audit finds."""
        with self.container.db.read() as session:
            return audit(session)


@dataclass(repr=False)
class Shopper:
    """A shopper with the mini-program open."""

    shop: Shop
    id: str
    token: str = ""
    http: requests.Session = field(default_factory=requests.Session)
    _keys: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.http.trust_env = False

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> requests.Response:
        """Send one request to the API."""
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if key is not None:
            headers["Idempotency-Key"] = key
        with self.http.request(
            method, f"{self.shop.url}{API}{path}", json=body, headers=headers, timeout=30
        ) as answer:
            return answer

    def get(self, path: str) -> requests.Response:
        """Read."""
        return self.call("GET", path)

    def ok(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> dict[str, Any]:
        """Send a request that must succeed; return its body."""
        answer = self.call(method, path, body, key=key)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def new_key(self) -> str:
        """An idempotency key for a new intention."""
        return f"intention-{next(self._keys):04d}"

    def login(self, *, virtual: bool = False) -> dict[str, Any]:
        """Log in."""
        js_code = self.shop.sandbox.js_code(self.id, APPID, virtual=virtual)
        answer = self.ok("POST", "/sessions", {"app_id": APPID, "js_code": js_code})
        self.token = answer["token"]
        return answer

    def join(self, **more: Any) -> dict[str, Any]:
        """Agree to the policy and join."""
        policy = self.ok("GET", "/policies/current")
        body = {"policy_version": policy["version"], "age_band": "adult", **more}
        return self.ok("POST", "/members", body)

    def scan(self, code: str | None = None) -> dict[str, Any]:
        """Scan a code, by default a fresh one, as WeChat hands it over."""
        link = self.shop.link(code or self.shop.code())
        return self.ok("POST", "/scans", {"q": quote(link, safe="")})

    def give_phone(self, *, quota_empty: bool = False) -> requests.Response:
        """Tap the phone-number button and send what it gives."""
        code = self.shop.sandbox.phone_code(self.id, APPID, quota_empty=quota_empty)
        return self.call("POST", "/phone", {"code": code})

    def draw(self, scan: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Draw for a scan."""
        return self.ok("POST", "/draws", {"scan": scan["scan"]["id"], **more}, key=self.new_key())

    def member(self) -> "Shopper":
        """Log in and join."""
        self.login()
        self.join()
        return self

    def win(self, code: str | None = None) -> dict[str, Any]:
        """Scan and draw; return the award."""
        award: dict[str, Any] = self.draw(self.scan(code))["award"]
        return award

    def collect(self, award: dict[str, Any], *, key: str | None = None, **body: Any) -> requests.Response:
        """Tap Collect."""
        asked = {"phone_declined": True, **body}
        return self.call("POST", f"/awards/{award['id']}/collect", asked, key=key or self.new_key())

    def confirm(self, transfer: dict[str, str]) -> None:
        """Confirm on WeChat's page."""
        self.shop.sandbox.confirm(self.id, **transfer)

    def award(self, award: dict[str, Any]) -> dict[str, Any]:
        """Read an award as it is now."""
        found: dict[str, Any] = self.ok("GET", f"/awards/{award['id']}")["award"]
        return found

    def wait_for(self, award: dict[str, Any], state: str) -> dict[str, Any]:
        """Let the product work until an award has come to `state`."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            self.shop.drain()
            found = self.award(award)
            if found["state"] == state:
                return found
            assert time.monotonic() < end, f"still {found['state']}"
            time.sleep(0.05)

    def balance_fen(self) -> int:
        """What WeChat says that this shopper has."""
        (found,) = [it for it in self.shop.sandbox.shoppers() if it["id"] == self.id]
        return int(found["balance_fen"])


@contextmanager
def open_shop(
    database_url: str, data: Path, sandbox: SandboxProcess, merchant: MerchantAccount, **environment: str
) -> Iterator[Shop]:
    """Yield an installation on a migrated database, with a campaign in which every draw wins one yuan."""
    kinds = ("WECHAT_API", "WECHAT_OPEN", "WECOM_API", "PAY_API")
    names = [f"SAOMA_{kind}_URL" for kind in kinds]
    platform = dict.fromkeys(names, sandbox.base_url)
    with product(database_url, data, **(platform | environment)) as container:
        ids = container.db.transact(lambda session: _make_brand(session, container, merchant))
        app = create_app(container, [miniprogram_api])
        with serve(app) as url:
            sandbox.clear_faults()
            sandbox.settings(product_url=url)
            yield Shop(container, app, url, sandbox, merchant, ids)
            # The next installation has the same address at the platform, and knows none of these bills.
            sandbox.forget_callbacks()


@contextmanager
def serve(app: Flask) -> Iterator[str]:
    """Serve `app` on loopback; yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _make_brand(session: Session, container: Container, merchant: MerchantAccount) -> dict[str, int]:
    now = container.clock.now()
    brand = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=now)
    app = register_app(session, appid=APPID, secret="app-secret", now=now)
    publish_policy(session, version=POLICY, text_zh="隐私政策", text_en="Privacy policy", now=now)
    tea = create_product(
        session,
        brand_id=brand,
        sku="T-330",
        line="classic",
        name_zh="绿茶 <330ml>",
        name_en="Green tea <330ml>",
        spec="330ml",
        now=now,
    )
    payer = payer_details(
        (app,),
        mchid=merchant.mchid,
        serial_no=merchant.serial_no,
        private_key=merchant.private_key_pem,
        apiv3_key=merchant.apiv3_key,
        public_key_id=merchant.platform_public_key_id,
        public_key=merchant.platform_public_key_pem,
        notify_url=f"https://m.example.com{API}/callbacks/pay/{merchant.mchid}",
    )
    payer_id = save_payer(session, payer=payer, now=now, actor=OLGA)
    batch = codes.create_batch(
        session,
        product_id=tea,
        lot="L-1",
        size=10_000,
        placement=Placement.UNDER_CAP,
        actor=OLGA,
        now=now,
    )
    codes.activate(session, batch_id=batch, actor=OLGA, now=now)
    campaign = campaigns.create(session, brand_id=brand, key="scan", payer_id=payer_id, now=now, actor=OLGA)
    rules = document(
        period={
            "starts_at": (now - timedelta(hours=1)).isoformat(timespec="seconds"),
            "ends_at": (now + timedelta(days=30)).isoformat(timespec="seconds"),
        },
        prizes=[money("yuan", 100)],
        pools=[pool("everybody", 0, {"yuan": 1})],
    )
    campaigns.save_version(session, campaign_id=campaign, document=rules, now=now, actor=OLGA)
    funding.fund(session, campaign_id=campaign, amount_fen=BUDGET_FEN, reference="fund", now=now, actor=OLGA)
    campaigns.publish(
        session, campaign_id=campaign, now=now, actor=OLGA, random_bytes=lambda count: SEED[:count]
    )
    return {"brand": brand, "app": app, "product": tea, "batch": batch, "campaign": campaign}
