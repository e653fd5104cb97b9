import hashlib
import re

import pytest

from app.campaigns.publication import Publication, publish_text
from app.campaigns.rules import Rules
from app.kernel.json import canonical
from tests.factories.campaigns import (
    document,
    goods,
    money,
    multiplier,
    nothing,
    points,
    pool,
    random_money,
    rules,
    voucher,
)

COMMITMENT = "c" * 64


def publish(of: Rules) -> Publication:
    return publish_text(of, version=3, commitment_sha256=COMMITMENT)


def full() -> Rules:
    return rules(
        prizes=[
            money("disney", 47_500, stock=10, claim_window_days=7),
            random_money("lucky", 100, 300),
            points("ten", 10),
            nothing(),
        ],
        pools=[
            pool(
                "shanghai",
                9,
                {"disney": 1, "lucky": 2},
                conditions={"where": {"areas": ["310000"]}, "when": {"weekdays": [5], "days_of_month": [-1]}},
                hundred_percent_win=True,
                fallback=["ten"],
            ),
            pool("everybody", 0, {"lucky": 1, "thanks": 6}),
        ],
        multipliers=[multiplier("diamond", 25_000, "points", who={"tiers": ["diamond"]})],
        multiplier_cap_bps=30_000,
        fallback=["ten"],
        caps={"per_campaign": 9, "per_day": 3},
        regions_stated=True,
        times_stated=True,
        abnormal={"strategy": "smallest"},
    )


def test_the_text_states_everything_that_article_13_asks_for() -> None:
    of = full()
    zh, en = publish(of).text.zh, publish(of).text.en
    for part in (
        "示例饮料公司", "400-000-0000", "2026-06-01 00:00:00 (UTC+0800)", "2026-07-01 00:00:00 (UTC+0800)",
        "扫描瓶盖内二维码", "最多抽奖9次", "每日最多抽奖3次", COMMITMENT, of.sha256, "第3版",
        "现金红包disney:微信零钱475.00元,共10份;中奖概率1/3 (≈33.333333%)", "1.00至3.00元", "数量不限",
        "积分ten:10积分(价值0.10元)", "地区为上海(310000)",
        "周五", "最后一天", "必有奖品",
        "依次改发:积分ten", "兜底", "×2.5", "合计最高3倍", "会员等级为diamond", "不同地区", "不同时间",
        "价值最低的奖品", "中奖后7天内", "中奖后30天内",
        "在小程序内点击领取", "须为会员", "发放至微信零钱", "逾期未领视为放弃",
        "积分可在商城兑换", "超过500.00元", "2年",
    ):  # fmt: skip
        assert part in zh, part
    for part in (
        "Example Drinks", "400-000-0000", "Scan the code under the cap", "9 times in this campaign",
        "3 times a day", "odds 2/3 (≈66.666666%)", "odds 1/7", "475.00 yuan", "10 in all",
        "1.00 to 3.00 yuan", "unlimited", "10 points (worth 0.10 yuan)", "in Shanghai (310000)",
        "on Friday", "Every draw wins",
        "× 2.5", "up to 3 times", "member tier diamond", "differ by region", "differ by time", "least worth",
        "within 7 days", "within 30 days", "Tap Collect", "Members only", "Paid to the WeChat balance",
        "Forfeited when", "Points buy things", "more than 500.00 yuan", "2 years", COMMITMENT, of.sha256,
    ):  # fmt: skip
        assert part in en, part


def test_odds_are_exact_where_they_can_be() -> None:
    zh = publish(rules()).text.zh
    assert "中奖概率1/4 (25%)" in zh
    assert "中奖概率2/4 (50%)" in zh
    tiny = rules(pools=[pool("everybody", 0, {"yuan": 1, "ten": 1, "thanks": 999_999_998})])
    assert "中奖概率1/1000000000 (≈0%)" in publish(tiny).text.zh


def test_there_is_no_chinese_in_the_english_text() -> None:
    english = publish(full()).text.en
    assert not re.search(r"[\u4e00-\u9fff]", english)


def test_money_without_a_number_is_limited_by_the_budget_and_says_so() -> None:
    text = publish(rules()).text
    assert "现金红包yuan:微信零钱1.00元,数量以活动预算为限" in text.zh
    assert "1.00 yuan to the WeChat balance, as many as the campaign's budget allows" in text.en
    assert "积分ten:10积分(价值0.10元),数量不限" in text.zh


def test_what_does_not_apply_is_not_mentioned() -> None:
    zh = publish(rules()).text.zh
    for part in ("特别说明", "加倍:", "必有奖品", "兜底", "最多抽奖"):
        assert part not in zh


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"location_counts": True}, "您的位置"),
        ({"location_counts": False}, "不使用定位"),
        ({"phone_policy": "before_draw"}, "抽奖前将请您授权手机号;您可以拒绝"),
        ({"phone_policy": "at_collection"}, "抽奖不需要手机号"),
        ({"phone_policy": "never"}, "不收集手机号"),
        ({"abnormal": {"strategy": "refuse"}}, "不予抽奖"),
        ({"abnormal": {"strategy": "nothing"}}, "不发放奖品"),
        ({"abnormal": {"strategy": "prize", "prize": "ten"}}, "仅发放积分ten:10积分"),
    ],
)
def test_each_choice_is_published(changes: dict[str, object], part: str) -> None:
    assert part in publish(rules(**changes)).text.zh


def test_every_condition_is_put_into_words() -> None:
    conditions = {
        "when": {
            "windows": [{"from": "2026-06-01T00:00:00+08:00", "to": "2026-06-02T00:00:00+08:00"}],
            "hours": [{"from": "22:00", "to": "02:00"}],
        },
        "who": {"customer": "new", "tags_any": ["t1"], "tags_all": ["t2"], "tags_none": ["t3"]},
        "which": {"skus": ["k1"], "lines": ["k2"], "categories": ["k3"], "specs": ["k4"], "tags": ["k5"]},
        "what": {"behaviours": ["shake"], "draw_from": 2, "draw_to": 5},
        "own": {"cases": ["o1"], "channels": ["o2"], "orders": ["o3"], "origins": ["o4"]},
    }
    pools = [
        pool("special", 1, {"yuan": 1}, conditions=conditions),
        pool("everybody", 0, {"ten": 1, "thanks": 1}),
    ]
    text = publish(rules(pools=pools, times_stated=True)).text
    words = [
        "t1",
        "t2",
        "t3",
        *[f"k{n}" for n in range(1, 6)],
        *[f"o{n}" for n in range(1, 5)],
        "22:00–02:00",
    ]
    for word in words:
        assert word in text.zh
        assert word in text.en
    for word in ("摇一摇", "首次抽奖的新顾客", "第2次抽奖起", "第5次抽奖止"):
        assert word in text.zh
    for word in ("shaking", "new customers", "from draw number 2", "up to draw number 5"):
        assert word in text.en


def test_the_hash_binds_both_languages() -> None:
    made = publish(rules())
    assert made.sha256 == hashlib.sha256(canonical({"zh": made.text.zh, "en": made.text.en})).hexdigest()
    other = publish_text(rules(), version=4, commitment_sha256=COMMITMENT)
    assert other.sha256 != made.sha256
    assert publish_text(rules(), version=3, commitment_sha256="d" * 64).sha256 != made.sha256
    assert publish(rules(**document())).sha256 == made.sha256


def test_campaigns_held_beside_it_are_named() -> None:
    assert "只参加其中一个" in publish(rules()).text.zh
    assert "is drawn in one of them" in publish(rules()).text.en
    other = rules(name={"zh": "七月", "en": "July"})
    made = publish_text(rules(), version=3, commitment_sha256=COMMITMENT, beside=[other])
    assert "- 七月(2026-06-01" in made.text.zh
    assert "- July (2026-06-01" in made.text.en
    assert made.sha256 != publish(rules()).sha256


def test_a_voucher_is_published_with_its_worth_and_number() -> None:
    made = publish(rules(prizes=[voucher("video", 1500)], pools=[pool("everybody", 0, {"video": 1})]))
    assert "会员卡video:会员兑换码(价值15.00元),共10份;中奖概率1/1" in made.text.zh
    assert "Membership video: a membership by a code (worth 15.00 yuan), 10 in all; odds 1/1" in made.text.en


def test_goods_are_published_with_their_worth_and_the_way_to_their_winner() -> None:
    made = publish(rules(prizes=[goods("cup", 3900)], pools=[pool("everybody", 0, {"cup": 1})]))
    assert "礼品cup:实物(价值39.00元),快递寄送或门店领取,共10份" in made.text.zh
    assert "Goods cup: goods (worth 39.00 yuan), sent by courier or fetched in a store, 10" in made.text.en


def test_what_unlocks_money_is_published_with_the_time_for_it() -> None:
    locked = [money("yuan", 100, unlock_draws=2)]
    made = publish(rules(prizes=locked, pools=[pool("everybody", 0, {"yuan": 1})]))
    assert "中奖后30天内;须先在本活动中再抽奖2次方可领取(与是否中奖无关),逾期未解锁视为放弃" in made.text.zh
    assert "within 30 days of winning, and after 2 more draws in this campaign" in made.text.en


def test_what_becomes_of_locked_money_when_nobody_can_unlock_it_is_published() -> None:
    locked, plain = money("yuan", 100, unlock_draws=2), money("yuan", 100)
    for prize, is_said in ((locked, True), (plain, False)):
        text = publish_text(
            rules(prizes=[prize], pools=[pool("everybody", 0, {"yuan": 1})]),
            version=1,
            commitment_sha256="0" * 64,
        ).text
        assert ("needs no unlocking" in text.en) is is_said
        assert ("无须再解锁" in text.zh) is is_said
        assert ("less than 3 days left it is given 7" in text.en) is is_said


def test_what_friends_unlock_is_published_with_all_its_conditions() -> None:
    locked = [money("yuan", 100, unlock_helpers=3)]
    made = publish(rules(prizes=locked, pools=[pool("everybody", 0, {"yuan": 1})]))
    assert "须有3位好友在此期间各自扫码参加本活动抽奖并为您助力" in made.text.zh
    assert "after 3 friends have each scanned a code, drawn in this campaign and helped" in made.text.en
