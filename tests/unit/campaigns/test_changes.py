from typing import Any

import pytest

from app.campaigns.changes import Change, changes, needs_approval
from tests.factories.campaigns import (
    document,
    money,
    multiplier,
    nothing,
    points,
    pool,
    random_money,
    rules,
    text,
    voucher,
)

PERIOD = document()["period"]
NARROW = {"conditions": {"who": {"customer": "new"}}, "how": document()["participation"]["how"]}
BASE: dict[str, Any] = {
    "prizes": [money("yuan", 100, stock=10), random_money("lucky", 100, 300), points("ten", 10), nothing()],
    "pools": [
        pool("gold", 5, {"lucky": 1}, conditions={"who": {"tiers": ["gold"]}}),
        pool("everybody", 0, {"yuan": 1, "ten": 2, "thanks": 1}, fallback=["ten"]),
    ],
    "multipliers": [multiplier("m", 20_000, "money", who={"tiers": ["gold"]})],
    "multiplier_cap_bps": 20_000,
    "caps": {"per_campaign": 10, "per_day": 3},
    "fallback": ["ten"],
}


def prizes(**replaced: dict[str, Any]) -> dict[str, Any]:
    return {"prizes": [replaced.get(prize["key"], prize) for prize in BASE["prizes"]]}


def everybody(weights: dict[str, int], **more: Any) -> dict[str, Any]:
    return {"pools": [BASE["pools"][0], pool("everybody", 0, weights, **({"fallback": ["ten"]} | more))]}


def gold(**more: Any) -> dict[str, Any]:
    weights, conditions = {"lucky": 1}, {"who": {"tiers": ["gold"]}}
    return {"pools": [pool("gold", 5, weights, **({"conditions": conditions} | more)), BASE["pools"][1]]}


def multiplied(factor_bps: int = 20_000, applies_to: str = "money", **conditions: Any) -> dict[str, Any]:
    return {
        "multipliers": [
            multiplier("m", factor_bps, applies_to, **(conditions or {"who": {"tiers": ["gold"]}}))
        ]
    }


def found(**after: Any) -> list[Change]:
    return changes(rules(**BASE), rules(**(BASE | after)))


def test_equal_rules_have_no_changes() -> None:
    assert found() == []
    assert not needs_approval([])


FAVOURABLE = [
    (prizes(yuan=money("yuan", 100, stock=11)), "prizes.yuan.stock"),
    (prizes(yuan=money("yuan", 100)), "prizes.yuan.stock"),
    (prizes(yuan=money("yuan", 101, stock=10)), "prizes.yuan.amount"),
    (prizes(lucky=random_money("lucky", 100, 301)), "prizes.lucky.amount"),
    (prizes(ten=points("ten", 11)), "prizes.ten.amount"),
    (prizes(ten=points("ten", 10, claim_window_days=31)), "prizes.ten.claim_window_days"),
    ({"period": PERIOD | {"ends_at": "2026-07-02T00:00:00+08:00"}}, "period.ends_at"),
    (everybody({"yuan": 2, "ten": 4, "thanks": 1}), "pools.everybody.weights"),
    (everybody({"yuan": 1, "ten": 2, "thanks": 1}, fallback=["ten", "lucky"]), "pools.everybody.fallback"),
    (gold(hundred_percent_win=True), "pools.gold.hundred_percent_win"),
    (multiplied(30_000), "multipliers.m.factor_bps"),
    (multiplied(applies_to="both"), "multipliers.m.applies_to"),
    ({"multipliers": [*BASE["multipliers"], multiplier("n", 20_000)]}, "multipliers.n"),
    ({"multiplier_cap_bps": 30_000}, "multiplier_cap_bps"),
    ({"caps": {"per_campaign": 11, "per_day": 3}}, "caps.per_campaign"),
    ({"caps": {"per_campaign": 10}}, "caps.per_day"),
    ({"fallback": ["ten", "yuan"]}, "fallback"),
    ({"phone_policy": "never"}, "phone_policy"),
    ({"points_terms": {"text": document()["points_terms"]["text"], "worth_fen_per_1000": 1001}},
     "points_terms.worth_fen_per_1000"),
]  # fmt: skip


@pytest.mark.parametrize(("after", "path"), FAVOURABLE)
def test_what_leaves_every_shopper_better_off_needs_no_approval(after: dict[str, Any], path: str) -> None:
    assert found(**after) == [Change(path, favours_shoppers=True)]
    assert not needs_approval(found(**after))


UNFAVOURABLE = [
    (prizes(yuan=money("yuan", 100, stock=9)), "prizes.yuan.stock"),
    (prizes(lucky=random_money("lucky", 100, 300, stock=1_000_000)), "prizes.lucky.stock"),
    (prizes(yuan=money("yuan", 99, stock=10)), "prizes.yuan.amount"),
    (prizes(lucky=random_money("lucky", 99, 1000)), "prizes.lucky.amount"),
    (prizes(ten=points("ten", 10, claim_window_days=29)), "prizes.ten.claim_window_days"),
    (prizes(ten=points("ten", 10) | {"name": text("十积分", "ten")}), "prizes.ten"),
    ({"period": PERIOD | {"ends_at": "2026-06-30T00:00:00+08:00"}}, "period.ends_at"),
    ({"period": PERIOD | {"starts_at": "2026-06-02T00:00:00+08:00"}}, "period.starts_at"),
    # A dearer prize does not make up for a cheaper one that became rarer.
    (everybody({"yuan": 2, "ten": 1, "thanks": 1}), "pools.everybody.weights"),
    (everybody({"yuan": 1, "ten": 2, "thanks": 2}), "pools.everybody.weights"),
    # The same odds in another order: other rolls win, nobody is better off.
    (everybody({"ten": 2, "yuan": 1, "thanks": 1}), "pools.everybody.weights"),
    (everybody({"yuan": 1, "ten": 2, "thanks": 1}, fallback=[]), "pools.everybody.fallback"),
    (gold(conditions={"who": {"tiers": ["gold", "iron"]}}), "pools.gold"),
    (gold(own_budget=True), "pools.gold"),
    (multiplied(15_000), "multipliers.m.factor_bps"),
    (multiplied(applies_to="points"), "multipliers.m.applies_to"),
    (multiplied(who={"tiers": ["iron"]}), "multipliers.m.conditions"),
    ({"multipliers": []}, "multipliers.m"),
    ({"multiplier_cap_bps": 15_000}, "multiplier_cap_bps"),
    ({"caps": {"per_campaign": 9, "per_day": 3}}, "caps.per_campaign"),
    ({"caps": {"per_campaign": 10, "per_day": 2}}, "caps.per_day"),
    ({"fallback": ["yuan", "ten"]}, "fallback"),
    ({"phone_policy": "before_draw"}, "phone_policy"),
    ({"abnormal": {"strategy": "nothing"}}, "abnormal"),
    ({"name": text("改名", "renamed")}, "name"),
    ({"organiser": {"name": text("别的公司", "Another"), "contact": "1"}}, "organiser"),
    ({"claim": document()["claim"] | {"how": text("改", "changed")}}, "claim"),
    ({"participation": NARROW}, "participation.conditions"),
    ({"participation": {"how": text("改", "changed")}}, "participation.how"),
    ({"participation": document()["participation"] | {"codes": "case"}}, "participation.codes"),
    ({"location_counts": True}, "location_counts"),
    ({"regions_stated": True}, "regions_stated"),
    ({"times_stated": True}, "times_stated"),
    ({"points_terms": {"text": text("改", "changed"), "worth_fen_per_1000": 1000}}, "points_terms.text"),
]  # fmt: skip


@pytest.mark.parametrize(("after", "path"), UNFAVOURABLE)
def test_everything_else_needs_a_reason_and_a_second_approval(after: dict[str, Any], path: str) -> None:
    assert found(**after) == [Change(path, favours_shoppers=False)]
    assert needs_approval(found(**after))


def test_lifting_conditions_favours_and_setting_them_does_not() -> None:
    lifted = [Change("participation.conditions", favours_shoppers=True)]
    assert changes(rules(participation=NARROW), rules()) == lifted
    for_everybody = {"multipliers": [multiplier("m", 20_000, "money")]}
    assert found(**for_everybody) == [Change("multipliers.m.conditions", favours_shoppers=True)]


def test_a_new_prize_is_welcome_and_a_new_pool_is_not_by_itself() -> None:
    added = [*BASE["prizes"], money("extra", 500)]
    extra = pool("extra", 7, {"extra": 1}, conditions={"who": {"tiers": ["diamond"]}})
    assert found(prizes=added, pools=[*BASE["pools"], extra]) == [
        Change("prizes.extra", favours_shoppers=True),
        Change("pools.extra", favours_shoppers=False),
    ]


def test_removing_a_prize_is_seen_at_the_prize_and_in_its_pool() -> None:
    after = {"prizes": [prize for prize in BASE["prizes"] if prize["key"] != "yuan"]}
    pools = everybody({"ten": 2, "thanks": 1})
    assert found(**after, **pools) == [
        Change("prizes.yuan", favours_shoppers=False),
        Change("pools.everybody.weights", favours_shoppers=False),
    ]


def test_one_unfavourable_change_among_favourable_ones_needs_approval() -> None:
    mixed = found(**(prizes(ten=points("ten", 11)) | {"multiplier_cap_bps": 15_000}))
    assert [change.favours_shoppers for change in mixed] == [True, False]
    assert needs_approval(mixed)


def test_an_empty_prize_may_go() -> None:
    after = {"prizes": [prize for prize in BASE["prizes"] if prize["key"] != "thanks"]}
    assert found(**after, **everybody({"yuan": 1, "ten": 2})) == [
        Change("prizes.thanks", favours_shoppers=True),
        Change("pools.everybody.weights", favours_shoppers=True),
    ]


def test_a_voucher_of_more_worth_is_welcome_and_another_kind_is_not_by_itself() -> None:
    def between(**after: Any) -> list[Change]:
        old, new = (
            rules(prizes=[prize], pools=[pool("all", 0, {"video": 1})])
            for prize in (voucher("video", 1500), voucher("video", 1500) | after)
        )
        return changes(old, new)

    assert between(face_fen=1600) == [Change("prizes.video.amount", favours_shoppers=True)]
    assert between(face_fen=1400) == [Change("prizes.video.amount", favours_shoppers=False)]
    assert between(voucher="coupon") == [Change("prizes.video", favours_shoppers=False)]


def test_fewer_draws_to_unlock_money_are_welcome_and_more_are_not() -> None:
    def between(before: int, after: int) -> list[Change]:
        old, new = (
            rules(
                prizes=[money("yuan", 100, **({"unlock_draws": draws} if draws else {}))],
                pools=[pool("all", 0, {"yuan": 1})],
            )
            for draws in (before, after)
        )
        return changes(old, new)

    assert between(2, 1) == [Change("prizes.yuan.unlock_draws", favours_shoppers=True)]
    assert between(1, 0) == [Change("prizes.yuan.unlock_draws", favours_shoppers=True)]
    assert between(0, 1) == [Change("prizes.yuan.unlock_draws", favours_shoppers=False)]
