"""The demo's brand: products, a batch of a million codes, a running campaign, a payer with money.

Everything is made through the same operations as in production; the sandbox's registers are filled over
HTTP, as a person would fill the platform's consoles. A second start finds it all and changes nothing.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy.orm import Session

from app.access import operations as accounts
from app.access.operations import NewAccount
from app.access.roles import Role
from app.access.sessions import change_password
from app.campaigns import funding
from app.campaigns import operations as campaigns
from app.catalogue.operations import create_product
from app.codes import operations as codes
from app.codes.outcome import Placement
from app.config import CaptchaAccount, load_settings
from app.db import migrate
from app.db import secrets as keyring
from app.db.engine import Database
from app.db.nodes import claim_node
from app.db.secrets import KeyRing
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import SystemClock
from app.members.models import PlacementKind
from app.members.operations import create_placement, publish_policy
from app.organisation.operations import create_brand, register_app
from app.organisation.queries import brands
from app.payouts.interfaces import ReportInfo
from app.payouts.operations import PayerDetails, save_payer

APPID = "wxdemo0000000001"
MCHID = "1900000001"
BATCH_SIZE = 1_000_000
PAYER_FEN = 100_000_00
BUDGET_FEN = 20_000_00
LIMIT_FEN = 200_00
SHOPPERS = (("林晓", "13800138001"), ("王磊", "13800138002"), ("陈静", "13800138003"))

Say = Callable[[str], None]


def seed(environment: Mapping[str, str], sandbox: str, say: Say) -> None:
    """Migrate the database, and make the brand of the demo unless it is there."""
    settings = load_settings(environment)
    keyring.bind(KeyRing(settings.master_keys))
    db = Database(settings.database_url)
    say("bringing the database to the present schema")
    migrate.upgrade(db)
    claim_node(db)
    keys = _platform_keys(settings.data / "demo-platform.json")
    platform = _register_on_platform(sandbox, keys)
    if settings.captcha is not None:
        _register_captcha_app(sandbox, settings.captcha)
    with db.read() as session:
        present = bool(brands(session))
    if not present:
        say(f"making the demo brand, {BATCH_SIZE:,} codes and a running campaign")
        notify_url = f"{settings.public_url}/miniprogram/v1/callbacks/pay/{MCHID}"
        db.transact(lambda session: _make_brand(session, keys, platform, notify_url))
    file = settings.data / "demo-accounts.txt"
    if not file.exists():
        _make_accounts(db, file)
        say(f"made console accounts; their names and passwords are in {file}")
    db.dispose()


def _register_captcha_app(sandbox: str, account: CaptchaAccount) -> None:
    names = ("app_id", "app_key", "secret_id", "secret_key")
    _call(sandbox, "/captchas", {name: getattr(account, name) for name in names})


def _make_accounts(db: Database, file: Path) -> None:
    """Make two accounts with every role, since what matters takes two; keep their passwords in `file`."""
    passwords = {login: secrets.token_urlsafe(15) for login in ("olga", "peter")}
    passing, now = secrets.token_urlsafe(15), SystemClock().now()

    def work(session: Session) -> None:
        first = NewAccount("olga", "Olga", passwords["olga"], frozenset(Role))
        accounts.create_first(session, account=first, now=now)
        second = NewAccount("peter", "Peter", passing, frozenset(Role))
        accounts.create(session, account=second, now=now)
        change_password(
            session, login="peter", password=passing, new_password=passwords["peter"], now=now
        ).require()

    temporary = file.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text("".join(f"{login} {password}\n" for login, password in passwords.items()))
    db.transact(work)
    temporary.replace(file)


def _make_brand(
    session: Session, keys: Mapping[str, str], platform: Mapping[str, Any], notify_url: str
) -> None:
    now = SystemClock().now()
    actor = Actor(ActorKind.OPERATOR, "demo")
    brand = create_brand(session, slug="spring", name_zh="山泉茶饮", name_en="Spring Tea", now=now)
    app = register_app(session, appid=APPID, secret=keys["app_secret"], brand_id=None, now=now)
    publish_policy(session, version="2026-11", text_zh=_POLICY["zh"], text_en=_POLICY["en"], now=now)
    create_placement(session, kind=PlacementKind.TILL, label="南京东路店 3 号收银台", brand_id=brand, now=now)
    classic = create_product(
        session,
        brand_id=brand,
        sku="OOLONG-500",
        line="classic",
        name_zh="山泉乌龙茶 500ml",
        name_en="Spring oolong 500 ml",
        category="tea",
        spec="500ml",
        now=now,
    )
    create_product(
        session,
        brand_id=brand,
        sku="JASMINE-900",
        line="premium",
        name_zh="山泉茉莉花茶 900ml",
        name_en="Spring jasmine 900 ml",
        category="tea",
        spec="900ml",
        tags=("premium",),
        now=now,
    )
    batch = codes.create_batch(
        session,
        product_id=classic,
        lot="L2026-11",
        size=BATCH_SIZE,
        placement=Placement.UNDER_CAP,
        actor=actor,
        now=now,
    )
    codes.activate(session, batch_id=batch, actor=actor, now=now)
    half = BATCH_SIZE // 2
    codes.ship(session, batch_id=batch, region="310000", last_index=half - 1, actor=actor, now=now)
    codes.ship(session, batch_id=batch, region="440000", first_index=half, actor=actor, now=now)
    payer = save_payer(
        session,
        payer=PayerDetails(
            name="Spring Tea",
            mchid=MCHID,
            serial_no=keys["serial_no"],
            private_key=keys["private_key"],
            apiv3_key=keys["apiv3_key"],
            public_key_id=platform["platform_public_key_id"],
            public_key=platform["platform_public_key_pem"],
            app_ids=(app,),
            product_max_fen=LIMIT_FEN,
            report_infos=(
                ReportInfo("活动名称", "扫码有礼"),
                ReportInfo("奖励说明", "扫码现金红包"),
            ),
            notify_url=notify_url,
            brand_id=brand,
        ),
        now=now,
        actor=actor,
    )
    _make_campaign(session, brand, payer, actor, now)


def _make_campaign(session: Session, brand: int, payer: int, actor: Actor, now: datetime) -> None:
    campaign = campaigns.create(
        session, brand_id=brand, key="scan-and-win", payer_id=payer, now=now, actor=actor
    )
    campaigns.save_version(session, campaign_id=campaign, document=_rules(now), now=now, actor=actor)
    funding.fund(session, campaign_id=campaign, amount_fen=BUDGET_FEN, reference="demo", now=now, actor=actor)
    funding.stock_in(
        session, campaign_id=campaign, prize="big", pieces=100, reference="demo", now=now, actor=actor
    )
    campaigns.publish(session, campaign_id=campaign, now=now, actor=actor, random_bytes=secrets.token_bytes)


def _rules(now: datetime) -> dict[str, Any]:
    """One yuan for each of the first three draws; then money or points; Fridays double."""
    return {
        "schema": 1,
        "market": "cn",
        "name": _text("扫码有礼", "Scan and win"),
        "organiser": {"name": _text("山泉茶饮有限公司", "Spring Tea Ltd"), "contact": "400-000-0000"},
        "period": {
            "starts_at": (now - timedelta(minutes=1)).isoformat(timespec="seconds"),
            "ends_at": (now + timedelta(days=365)).isoformat(timespec="seconds"),
        },
        "participation": {
            "conditions": {},
            "how": _text("扫描瓶盖内的二维码，每码一次", "Scan the code under the cap, once per code"),
        },
        "claim": {
            "how": _text(
                "在小程序内点击收款并在微信确认", "Tap Collect in the mini-program, confirm in WeChat"
            ),
            "conditions": _text("须为会员", "Members only"),
            "delivery": _text("发放至微信零钱", "Paid to the WeChat balance"),
            "forfeiture": _text("逾期未领视为放弃", "Forfeited when not collected in time"),
        },
        "points_terms": {
            "text": _text("积分一年内有效，可兑换饮品", "Points are good for a year and buy drinks"),
            "worth_fen_per_1000": 1000,
        },
        "prizes": [
            {"key": "one", "name": _text("1 元现金", "1 yuan"), "kind": "money_fixed", "amount_fen": 100},
            {
                "key": "random",
                "name": _text("1 至 3 元现金", "1 to 3 yuan"),
                "kind": "money_random",
                "min_fen": 100,
                "max_fen": 300,
            },
            {
                "key": "big",
                "name": _text("20 元现金", "20 yuan"),
                "kind": "money_fixed",
                "amount_fen": 2000,
                "stock": 100,
            },
            {"key": "ten", "name": _text("10 积分", "10 points"), "kind": "points", "points": 10},
        ],
        "pools": [
            {
                "key": "first_three",
                "name": _text("前三次", "The first three"),
                "priority": 10,
                "conditions": {"what": {"draw_to": 3}},
                "weights": [{"prize": "one", "weight": 1}],
                "hundred_percent_win": True,
                "fallback": ["ten"],
            },
            {
                "key": "later",
                "name": _text("第四次起", "From the fourth"),
                "priority": 0,
                "weights": [
                    {"prize": "random", "weight": 30},
                    {"prize": "big", "weight": 1},
                    {"prize": "ten", "weight": 69},
                ],
                "hundred_percent_win": True,
                "fallback": ["ten"],
            },
        ],
    }


def _text(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


_POLICY = {
    "zh": (
        "演示品牌隐私政策：我们为发放奖品处理您的微信标识；手机号仅在您同意时收集，用于账户安全与积分通知；"
        "保存至您注销后六个月；您可随时在“我的”中撤回同意、查看或删除您的信息。联系：400-000-0000。"
    ),
    "en": (
        "Privacy policy of the demo brand: we process your WeChat identity to deliver prizes. Your phone"
        " number is collected only if you agree, for account security and notices about points. Data are"
        " kept for six months after you leave. You may withdraw, see or delete them under Me."
        " Contact: 400-000-0000."
    ),
}


def _platform_keys(file: Path) -> dict[str, str]:
    """Return the demo's platform secrets, made on the first start and kept beside the database."""
    if not file.exists():
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        made = {
            "app_secret": secrets.token_hex(16),
            "apiv3_key": secrets.token_hex(16),
            "serial_no": secrets.token_hex(20).upper(),
            "private_key": private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ).decode(),
            "public_key": private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode(),
        }
        temporary = file.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(made))
        temporary.replace(file)
    kept: dict[str, str] = json.loads(file.read_text())
    return kept


def _register_on_platform(sandbox: str, keys: Mapping[str, str]) -> dict[str, Any]:
    """Fill the sandbox's registers, which know what is there already; return the platform's public key."""
    _call(sandbox, "/apps", {"appid": APPID, "secret": keys["app_secret"]})
    merchant = _call(
        sandbox,
        "/merchants",
        {
            "mchid": MCHID,
            "serial_no": keys["serial_no"],
            "public_key_pem": keys["public_key"],
            "apiv3_key": keys["apiv3_key"],
            "appids": [APPID],
            "scenes": ["1000"],
            "balance_fen": PAYER_FEN,
        },
    )
    known = {shopper["name"] for shopper in _call(sandbox, "/shoppers")["shoppers"]}
    for name, phone in SHOPPERS:
        if name not in known:
            _call(sandbox, "/shoppers", {"name": name, "phone": phone})
    return merchant


def _call(sandbox: str, path: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    request = Request(  # noqa: S310 - an http address of ours
        f"{sandbox}/_sandbox{path}",
        data=None if fields is None else json.dumps(fields).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        result: dict[str, Any] = json.load(answer)
        return result
