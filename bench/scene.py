"""A brand whose codes can be scanned and drawn: what the HTTP benchmarks play on.

Everything is made through the product's own operations. One campaign, one pool, one prize of one yuan that
every draw wins: so each draw goes the whole way, through award, ledger and the hot row of the budget.
"""

import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.campaigns import funding
from app.campaigns import operations as campaigns
from app.catalogue.operations import create_product
from app.codes import operations as codes
from app.codes.models import Scan
from app.codes.outcome import Placement
from app.codes.pack import Pack
from app.codes.queries import print_pack
from app.db.engine import Database
from app.factory import Container
from app.identity import operations as identity
from app.identity import session_token
from app.identity.queries import Principal
from app.kernel.actor import Actor, ActorKind
from app.members import operations as members
from app.members.models import AgeBand
from app.members.operations import Source
from app.organisation.operations import create_brand, register_app
from app.payouts.interfaces import ReportInfo
from app.payouts.operations import PayerDetails, save_payer

BATCH_SIZE = 100_000_000
LARGE_BATCHES = 100
LARGE_SCANS = 5_000_000

_SCANS: Any = Scan.__table__

_POLICY = "1"
_BUDGET_FEN = 10**12
_ACTOR = Actor(ActorKind.OPERATOR, "bench")
# Codes are used from here on, a step apart, so that neighbours on a page are no advantage.
_FIRST_INDEX = 12_345_678
_STEP = 7919


@dataclass(frozen=True, slots=True)
class Shopper:
    """A member with a session."""

    principal: Principal
    token: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One shopper with one code that nobody has scanned."""

    shopper: Shopper
    code_index: int
    code: str


@dataclass(slots=True)
class Scene:
    """A set-up database and the visits that can be made."""

    shoppers: list[Shopper]
    pack: Pack
    _turns: Iterator[int] = field(default_factory=itertools.count)

    def visits(self, number: int, *, among: int | None = None) -> list[Visit]:
        """Return `number` visits, each with a code of its own, the shoppers (the first `among`) in turns."""
        shoppers = self.shoppers[:among]
        return [
            self._visit(shoppers[turn % len(shoppers)], turn)
            for turn in itertools.islice(self._turns, number)
        ]

    def _visit(self, shopper: Shopper, turn: int) -> Visit:
        index = (_FIRST_INDEX + turn * _STEP) % BATCH_SIZE
        return Visit(shopper, index, self.pack.code(index))


def set_up(container: Container, *, shoppers: int) -> Scene:
    """Make the brand, its campaign, a batch of a hundred million codes and `shoppers` members."""
    db, now = container.db, container.clock.now()
    app_id, batch_id = db.transact(lambda session: _make_brand(session, now))
    principals = [db.transact(partial(_join, app_id=app_id, turn=turn, now=now)) for turn in range(shoppers)]
    keys = container.keyring.signing_keys(session_token.PURPOSE)
    expires_at = now + timedelta(hours=12)
    with db.read() as session:
        pack = print_pack(session, book=container.code_book, batch_id=batch_id, now=now)
    return Scene(
        [
            Shopper(who, session_token.sign(keys, session_id=who.session_id, expires_at=expires_at))
            for who in principals
        ],
        pack,
    )


def fill(db: Database, *, batches: int, scans: int) -> None:
    """Copy the scene's batch until there are `batches`, with `scans` scans scattered over all of them.

    The server itself counts the rows up (MariaDB's SEQUENCE engine), and builds the two indexes in one sort
    each instead of row by row. About a minute for five million scans.
    """
    batch = "size, brand_id, product_id, lot, `key`, placement, needs_shipping, created_at, created_by"
    range_ = "aspect, first_index, last_index, region, attributes"
    scan = (
        "id, person_id, batch_id, code_index, outcome, region, at, counted_scans, first_at, first_person_id"
    )
    indexes = {index.name: ", ".join(index.columns.keys()) for index in _SCANS.indexes}
    statements = [
        f"INSERT INTO code_batches (id, {batch}) SELECT seq, {batch} FROM code_batches, seq_2_to_{batches}",
        (
            f"INSERT INTO code_ranges (batch_id, {range_})"
            f" SELECT seq, {range_} FROM code_ranges, seq_2_to_{batches}"
        ),
        f"ALTER TABLE scans {', '.join(f'DROP INDEX {name}' for name in indexes)}",
        (
            f"INSERT INTO scans ({scan}) SELECT seq << 22, seq % 1000000, 1 + seq % {batches},"
            f" (seq * 2654435761) % {BATCH_SIZE}, 'ok', '310000', UTC_TIMESTAMP(6) - INTERVAL 1 DAY, 1,"
            f" UTC_TIMESTAMP(6) - INTERVAL 1 DAY, seq % 1000000 FROM seq_1_to_{scans}"
        ),
        f"ALTER TABLE scans {', '.join(f'ADD INDEX {name} ({keys})' for name, keys in indexes.items())}",
        "ANALYZE TABLE scans, code_batches, code_ranges",
    ]
    with db.engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
            connection.commit()


def _make_brand(session: Session, now: datetime) -> tuple[int, int]:
    brand_id = create_brand(session, slug="bench", name_zh="测速", name_en="Bench", now=now)
    app_id = register_app(session, appid="wxbench0000000001", secret="secret", now=now)
    members.publish_policy(session, version=_POLICY, text_zh="隐私政策", text_en="Privacy policy", now=now)
    product_id = create_product(
        session,
        brand_id=brand_id,
        sku="OOLONG-500",
        line="classic",
        name_zh="乌龙茶 500ml",
        name_en="Oolong 500 ml",
        category="tea",
        spec="500ml",
        now=now,
    )
    batch_id = codes.create_batch(
        session,
        product_id=product_id,
        lot="L-1",
        size=BATCH_SIZE,
        placement=Placement.UNDER_CAP,
        actor=_ACTOR,
        now=now,
    )
    codes.activate(session, batch_id=batch_id, actor=_ACTOR, now=now)
    codes.ship(session, batch_id=batch_id, region="310000", actor=_ACTOR, now=now)
    payer = PayerDetails(
        name="Bench",
        mchid="1900000001",
        serial_no="5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
        private_key="none",
        apiv3_key="none",
        public_key_id="PUB_KEY_ID_0001",
        public_key="none",
        app_ids=(app_id,),
        product_max_fen=20_000,
        report_infos=(ReportInfo("活动名称", "扫码有礼"), ReportInfo("奖励说明", "扫码现金红包")),
    )
    payer_id = save_payer(session, payer=payer, now=now, actor=_ACTOR)
    campaign_id = campaigns.create(
        session, brand_id=brand_id, key="bench", payer_id=payer_id, now=now, actor=_ACTOR
    )
    campaigns.save_version(session, campaign_id=campaign_id, document=_rules(now), now=now, actor=_ACTOR)
    funding.fund(
        session, campaign_id=campaign_id, amount_fen=_BUDGET_FEN, reference="bench", now=now, actor=_ACTOR
    )
    campaigns.publish(
        session, campaign_id=campaign_id, now=now, actor=_ACTOR, random_bytes=secrets.token_bytes
    )
    return app_id, batch_id


def _rules(now: datetime) -> dict[str, Any]:
    def words(zh: str, en: str) -> dict[str, str]:
        return {"zh": zh, "en": en}

    return {
        "schema": 1,
        "market": "cn",
        "name": words("扫码有礼", "Scan and win"),
        "organiser": {"name": words("测速饮料公司", "Bench Drinks"), "contact": "400-000-0000"},
        "period": {
            "starts_at": (now - timedelta(minutes=1)).isoformat(timespec="seconds"),
            "ends_at": (now + timedelta(days=30)).isoformat(timespec="seconds"),
        },
        "participation": {"conditions": {}, "how": words("扫描瓶盖内二维码", "Scan the code under the cap")},
        "claim": {
            "how": words("在小程序内点击领取", "Tap Collect in the mini-program"),
            "conditions": words("须为会员", "Members only"),
            "delivery": words("发放至微信零钱", "Paid to the WeChat balance"),
            "forfeiture": words("逾期未领视为放弃", "Forfeited when not collected in time"),
        },
        "prizes": [{"key": "one", "name": words("1 元", "1 yuan"), "kind": "money_fixed", "amount_fen": 100}],
        "pools": [
            {
                "key": "all",
                "name": words("全部", "Everybody"),
                "priority": 0,
                "weights": [{"prize": "one", "weight": 1}],
            }
        ],
    }


def _join(session: Session, *, app_id: int, turn: int, now: datetime) -> Principal:
    login = identity.login(
        session,
        app_id=app_id,
        openid=f"bench-openid-{turn:015}",
        unionid=None,
        virtual=False,
        session_key="session-key",
        now=now,
    )
    members.join(
        session,
        person_id=login.person_id,
        policy_version=_POLICY,
        age_band=AgeBand.ADULT,
        guardian_consent=False,
        source=Source(),
        actor=Actor(ActorKind.PERSON, "shopper", login.person_id),
        now=now,
    )
    return Principal(login.person_id, login.root_id, app_id, None, False, login.session_id)
