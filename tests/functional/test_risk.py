"""Risk over HTTP: WeChat's rank is asked for before the draw, and what is refused is told and noted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.risk.lists import Level
from app.risk.measures import Measure
from app.risk.policy import Policy, Rule
from app.risk.watch import hits
from tests.factories.risk import switch_on
from tests.support.sandbox import MerchantAccount, SandboxProcess
from tests.support.shop import Shop, open_shop

RULES = Policy(
    (
        Rule("rank_4", {Measure.WECHAT_RANK: 4}, Level.REFUSE),
        Rule("rank_3", {Measure.WECHAT_RANK: 3}, Level.HOLD),
        Rule("rank_2", {Measure.WECHAT_RANK: 2}, Level.VERIFY),
    )
)


@pytest.fixture
def guarded(
    platform: tuple[SandboxProcess, MerchantAccount], sqlite_url: str, tmp_path: Path
) -> Iterator[Shop]:
    """An installation that asks for ranks, with rules on them."""
    with open_shop(sqlite_url, tmp_path, *platform, SAOMA_RISK_RANK="1") as shop:
        now, brand = shop.container.clock.now(), shop.ids["brand"]
        shop.container.db.transact(lambda session: switch_on(session, brand_id=brand, rules=RULES, now=now))
        yield shop


def _draw(shop: Shop, rank: int) -> tuple[Any, Any]:
    who = shop.shopper(risk_rank=rank).member()
    scan = who.scan()["scan"]
    return who, who.call("POST", "/draws", {"scan": scan["id"]}, key=who.new_key())


def _noted(shop: Shop) -> list[tuple[str, list[str]]]:
    with shop.container.db.read() as session:
        found = hits(session, brand_id=shop.ids["brand"])
        return [(hit.level.value, hit.reasons) for hit in found]


def test_wechats_rank_lets_pass_holds_asks_or_refuses(guarded: Shop) -> None:
    """Contract 13.6: verify or refuse with a reason, never other odds."""
    _, fine = _draw(guarded, 0)
    assert fine.status_code == 201
    assert fine.json()["award"]["state"] == "collectible"
    _, held = _draw(guarded, 3)
    assert held.json()["award"]["state"] == "held"
    assert held.json()["draw"]["prize"] == fine.json()["draw"]["prize"]
    _, refused = _draw(guarded, 4)
    assert (refused.status_code, refused.json()["code"]) == (409, "draw_refused")
    every = ["rank_2", "rank_3", "rank_4"]
    assert refused.json()["reasons"] == every
    assert sorted(_noted(guarded)) == [("hold", every[:2]), ("refuse", every)]
    asked = [json.dumps(it) for it in guarded.sandbox.exchanges() if "getuserriskrank" in it["url"]]
    assert len(asked) == 3


def test_who_is_asked_to_verify_gives_a_phone_and_draws(guarded: Shop) -> None:
    who, asked = _draw(guarded, 2)
    assert (asked.status_code, asked.json()["code"], asked.json()["step"]) == (
        409,
        "verification_needed",
        "phone",
    )
    assert who.give_phone().status_code == 200
    scan = who.scan(guarded.code(0))["scan"]
    drawn = who.call("POST", "/draws", {"scan": scan["id"]}, key=who.new_key())
    assert drawn.status_code == 201
    assert _noted(guarded) == [("verify", ["rank_2"])]
