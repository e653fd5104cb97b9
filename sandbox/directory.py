"""Who is registered with this Tencent: apps, merchants, shoppers, and which openid is whose.

An openid is derived from (world, app, shopper): the same shopper has another one in every app, and it is the
same again after a restart. A snapshot visit has its own *virtual* openid.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.errors import AdminError
from sandbox.pay_signing import new_platform_key
from sandbox.store import Event, Store

CORP_RELATIONS = ("", "customer", "staff")
"""What a shopper may be to a corp: nobody, a customer of one of its staff, or of the staff."""
SHORTAGES = ("not_enough", "not_enough_recorded", "processing")


@dataclass(frozen=True, slots=True)
class App:
    """A mini-program or service account.

    kind: ``miniprogram``, ``service`` or ``corp`` (WeCom). open_platform: name of the Open Platform account
    it is bound to; apps with the same one see the same unionid, without one there is no unionid. pages: the
    published pages. oauth_host: the host to which web authorisation may send people back. agentid: of a corp,
    whose appid is its corpid, the application that the secret is of.
    """

    appid: str
    secret: str
    kind: str = "miniprogram"
    open_platform: str | None = None
    pages: tuple[str, ...] = ("pages/index/index",)
    oauth_host: str = ""
    agentid: str = ""


@dataclass(frozen=True, slots=True)
class Shopper:
    """A person with a WeChat account. high_risk: the platform refuses the login with 40226. risk_rank: what
    the platform thinks of their part in promotions, 0 to 4."""

    id: str
    name: str
    phone: str
    country_code: str = "86"
    high_risk: bool = False
    risk_rank: int = 0


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant of WeChat Pay.

    public_key_pem is the merchant's; platform_key_pem is the private key with which the sandbox signs for
    this merchant. scenes: transfer scene id → largest single amount in fen, None for no bound. shortage:
    what a transfer answers when the balance is short. balance_api: whether the balance endpoint is open to
    it. red_packets: whether it holds the red packets of v2, with apiv2_key and, for WeCom's, workwx_secret.
    """

    mchid: str
    serial_no: str
    public_key_pem: str
    apiv3_key: str
    appids: tuple[str, ...]
    scenes: Mapping[str, int | None]
    shortage: str
    balance_api: bool
    platform_key_id: str
    platform_key_pem: str
    platform_public_key_pem: str
    red_packets: bool = False
    apiv2_key: str = ""
    workwx_secret: str = ""


@dataclass(frozen=True, slots=True)
class OpenidOwner:
    """Whose openid it is, and in which app; ``virtual`` for the identity of a snapshot visit."""

    appid: str
    shopper_id: str
    virtual: bool


class Directory:
    """The registers. Writes happen under the store's lock; reads are single dictionary look-ups."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._world_seed = ""
        self.apps: dict[str, App] = {}
        self.shoppers: dict[str, Shopper] = {}
        self.merchants: dict[str, Merchant] = {}
        self._openids: dict[str, OpenidOwner] = {}
        self._relations: dict[tuple[str, str], str] = {}
        store.on("born", self._apply_born)
        store.on("app", self._apply_app)
        store.on("shopper", self._apply_shopper)
        store.on("merchant", self._apply_merchant)
        store.on("corp_relation", self._apply_relation)

    def be_born(self) -> None:
        """Gives a new world its seed; a world that was replayed keeps its own."""
        with self._store.lock:
            if not self._world_seed:
                self._store.record("born", seed=secrets.token_hex(16))

    def put_app(self, app: App) -> None:
        """Registers or replaces an app."""
        if app.kind not in ("miniprogram", "service", "corp"):
            raise AdminError(422, "bad_app", "kind must be miniprogram, service or corp")
        with self._store.lock:
            if self.apps.get(app.appid) != app:
                self._store.record("app", **asdict(app))

    def put_merchant(self, fields: Mapping[str, Any]) -> tuple[Merchant, bool]:
        """Registers or replaces a merchant; returns it and whether it is new. The platform key stays the
        same."""
        key = ("", "", "")
        if fields["mchid"] not in self.merchants:
            # Making an RSA key takes a while: outside of the lock.
            key = new_platform_key()
        with self._store.lock:
            known = self.merchants.get(fields["mchid"])
            if known is not None:
                key = (known.platform_key_id, known.platform_key_pem, known.platform_public_key_pem)
            key_id, private_pem, public_pem = key
            self._store.record(
                "merchant",
                **fields,
                platform_key_id=key_id,
                platform_key_pem=private_pem,
                platform_public_key_pem=public_pem,
            )
            return self.merchants[fields["mchid"]], known is None

    def add_shopper(
        self, *, name: str, phone: str, country_code: str, high_risk: bool, risk_rank: int = 0
    ) -> Shopper:
        """Registers a new shopper. AdminError 422 for a risk_rank that the platform does not have."""
        if not 0 <= risk_rank <= 4:
            raise AdminError(422, "bad_shopper", "risk_rank must be from 0 to 4")
        with self._store.lock:
            shopper_id = f"s{len(self.shoppers) + 1}"
            self._store.record(
                "shopper",
                id=shopper_id,
                name=name,
                phone=phone,
                country_code=country_code,
                high_risk=high_risk,
                risk_rank=risk_rank,
            )
            return self.shoppers[shopper_id]

    def relate(self, corpid: str, shopper_id: str, relation: str) -> None:
        """Says what a shopper is to a corp: one of CORP_RELATIONS. AdminError 422 for anything else."""
        if relation not in CORP_RELATIONS:
            raise AdminError(422, "bad_relation", f"relation must be one of {CORP_RELATIONS}")
        with self._store.lock:
            self._store.record("corp_relation", corpid=corpid, shopper_id=shopper_id, relation=relation)

    def userid(self, corpid: str, shopper_id: str) -> str | None:
        """The shopper's name among the corp's staff; None for who is none of them."""
        return f"staff.{shopper_id}" if self._relations.get((corpid, shopper_id)) == "staff" else None

    def staff(self, corpid: str, userid: str) -> str | None:
        """The shopper who has this name among the corp's staff."""
        return next((one for one in self.shoppers if self.userid(corpid, one) == userid), None)

    def external_userid(self, corpid: str, shopper_id: str) -> str | None:
        """The corp's name for a customer: ``wm`` and 30 characters; None for who is none."""
        if self._relations.get((corpid, shopper_id)) != "customer":
            return None
        return "wm" + self._derive("external_userid", corpid, shopper_id)[:30]

    def app(self, appid: str) -> App:
        """The app, or AdminError 404."""
        app = self.apps.get(appid)
        if app is None:
            raise AdminError(404, "unknown_app", f"no app {appid}; register it with POST /_sandbox/apps")
        return app

    def shopper(self, shopper_id: str) -> Shopper:
        """The shopper, or AdminError 404."""
        shopper = self.shoppers.get(shopper_id)
        if shopper is None:
            raise AdminError(
                404, "unknown_shopper", f"no shopper {shopper_id}; make one with POST /_sandbox/shoppers"
            )
        return shopper

    def merchant(self, mchid: str) -> Merchant:
        """The merchant, or AdminError 404."""
        merchant = self.merchants.get(mchid)
        if merchant is None:
            raise AdminError(404, "unknown_merchant", f"no merchant {mchid}; see POST /_sandbox/merchants")
        return merchant

    def openid(self, appid: str, shopper_id: str, *, virtual: bool = False) -> str:
        """The shopper's openid in the app: ``o`` and 27 characters."""
        return "o" + self._derive("openid", appid, shopper_id, "virtual" if virtual else "real")[:27]

    def unionid(self, app: App, shopper_id: str, *, virtual: bool = False) -> str | None:
        """The shopper's unionid as this app sees it; None for an app that is bound to no Open Platform
        account."""
        if app.open_platform is None:
            return None
        kind = "virtual" if virtual else "real"
        return "o" + self._derive("unionid", app.open_platform, shopper_id, kind)[:27]

    def owner(self, openid: str) -> OpenidOwner | None:
        """Whose openid this is; None for one that nobody has."""
        return self._openids.get(openid)

    def _derive(self, *parts: str) -> str:
        digest = hashlib.sha256("\0".join((self._world_seed, *parts)).encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _know_openids(self, appid: str, shopper_id: str) -> None:
        for virtual in (False, True):
            openid = self.openid(appid, shopper_id, virtual=virtual)
            self._openids[openid] = OpenidOwner(appid, shopper_id, virtual)

    def _apply_born(self, event: Event) -> None:
        self._world_seed = event["seed"]

    def _apply_app(self, event: Event) -> None:
        appid = event["appid"]
        self.apps[appid] = App(
            appid,
            event["secret"],
            event["kind"],
            event["open_platform"],
            tuple(event["pages"]),
            # A journal of an earlier release does not say.
            event.get("oauth_host", ""),
            event.get("agentid", ""),
        )
        for shopper_id in self.shoppers:
            self._know_openids(appid, shopper_id)

    def _apply_shopper(self, event: Event) -> None:
        shopper = Shopper(
            event["id"],
            event["name"],
            event["phone"],
            event["country_code"],
            event["high_risk"],
            event.get("risk_rank", 0),
        )
        self.shoppers[shopper.id] = shopper
        for appid in self.apps:
            self._know_openids(appid, shopper.id)

    def _apply_relation(self, event: Event) -> None:
        self._relations[event["corpid"], event["shopper_id"]] = event["relation"]

    def _apply_merchant(self, event: Event) -> None:
        self.merchants[event["mchid"]] = Merchant(
            mchid=event["mchid"],
            serial_no=event["serial_no"],
            public_key_pem=event["public_key_pem"],
            apiv3_key=event["apiv3_key"],
            appids=tuple(event["appids"]),
            scenes=dict(event["scenes"]),
            shortage=event["shortage"],
            balance_api=event["balance_api"],
            platform_key_id=event["platform_key_id"],
            platform_key_pem=event["platform_key_pem"],
            platform_public_key_pem=event["platform_public_key_pem"],
            # A journal of an earlier release does not say.
            red_packets=event.get("red_packets", False),
            apiv2_key=event.get("apiv2_key", ""),
            workwx_secret=event.get("workwx_secret", ""),
        )
