"""Rules documents for tests: a complete campaign that may be published, to be bent as a test needs."""

import copy
from datetime import UTC, datetime
from typing import Any

from app.campaigns.facts import DrawFacts
from app.campaigns.parser import parse_rules
from app.campaigns.rules import Rules
from app.campaigns.seed import Chance, DrawStream

SEED = bytes(range(32))
"""A seed that tests roll with; nothing about it is secret."""

MONDAY = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
"""Noon in Shanghai."""

FRIDAY = datetime(2026, 6, 5, 4, 0, tzinfo=UTC)


def text(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def money(key: str, fen: int, **more: Any) -> dict[str, Any]:
    name = text(f"现金红包{key}", f"Money {key}")
    return {"key": key, "name": name, "kind": "money_fixed", "amount_fen": fen, **more}


def random_money(key: str, least: int, most: int, **more: Any) -> dict[str, Any]:
    name = text("随机红包", "Random money")
    return {"key": key, "name": name, "kind": "money_random", "min_fen": least, "max_fen": most, **more}


def points(key: str, number: int, **more: Any) -> dict[str, Any]:
    name = text(f"积分{key}", f"Points {key}")
    return {"key": key, "name": name, "kind": "points", "points": number, **more}


def voucher(key: str, face_fen: int, *, stock: int = 10, **more: Any) -> dict[str, Any]:
    name = text(f"会员卡{key}", f"Membership {key}")
    stated = {"kind": "voucher", "voucher": "membership", "face_fen": face_fen, "stock": stock}
    return {"key": key, "name": name, **stated, **more}


def goods(key: str, face_fen: int, *, stock: int = 10, **more: Any) -> dict[str, Any]:
    name = text(f"礼品{key}", f"Goods {key}")
    stated = {"kind": "goods", "delivery": "either", "face_fen": face_fen, "stock": stock}
    return {"key": key, "name": name, **stated, **more}


def nothing(key: str = "thanks") -> dict[str, Any]:
    return {"key": key, "name": text("谢谢参与", "Thank you"), "kind": "nothing"}


def pool(key: str, priority: int, weights: dict[str, int], **more: Any) -> dict[str, Any]:
    return {
        "key": key,
        "name": text(f"奖池{key}", f"Pool {key}"),
        "priority": priority,
        "weights": [{"prize": prize, "weight": weight} for prize, weight in weights.items()],
        **more,
    }


def multiplier(key: str, factor_bps: int, applies_to: str = "both", **conditions: Any) -> dict[str, Any]:
    return {
        "key": key,
        "name": text(f"加倍{key}", f"Multiplier {key}"),
        "conditions": conditions,
        "factor_bps": factor_bps,
        "applies_to": applies_to,
    }


def document(**changes: Any) -> dict[str, Any]:
    """A campaign of June 2026 that gives 1 yuan at 1 in 4, 10 points at 1 in 2, else nothing."""
    base: dict[str, Any] = {
        "schema": 1,
        "market": "cn",
        "name": text("六月扫码有礼", "June: scan and win"),
        "organiser": {"name": text("示例饮料公司", "Example Drinks"), "contact": "400-000-0000"},
        "period": {"starts_at": "2026-06-01T00:00:00+08:00", "ends_at": "2026-07-01T00:00:00+08:00"},
        "participation": {"conditions": {}, "how": text("扫描瓶盖内二维码", "Scan the code under the cap")},
        "claim": {
            "how": text("在小程序内点击领取", "Tap Collect in the mini-program"),
            "conditions": text("须为会员", "Members only"),
            "delivery": text("发放至微信零钱", "Paid to the WeChat balance"),
            "forfeiture": text("逾期未领视为放弃", "Forfeited when not collected in time"),
        },
        "points_terms": {"text": text("积分可在商城兑换", "Points buy things"), "worth_fen_per_1000": 1000},
        "prizes": [money("yuan", 100), points("ten", 10), nothing()],
        "pools": [pool("everybody", 0, {"yuan": 1, "ten": 2, "thanks": 1})],
    }
    return copy.deepcopy(base) | copy.deepcopy(changes)


def rules(**changes: Any) -> Rules:
    return parse_rules(document(**changes))


def facts(**changes: Any) -> DrawFacts:
    """Facts of a plain draw on a Monday noon, with a budget of 1,000 yuan."""
    said: dict[str, Any] = {"at": MONDAY, "budget_left_fen": 100_000, **changes}
    return DrawFacts(**said)


def stream(code_index: int = 0, *, seed: bytes = SEED) -> DrawStream:
    return DrawStream(seed, Chance(campaign_id=7, batch_id=3, code_index=code_index))
