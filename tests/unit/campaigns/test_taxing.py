"""What a campaign says about tax is read, published and decided by, all from one place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.campaigns.changes import changes
from app.campaigns.disclosure import refusals
from app.campaigns.draw import Result, decide
from app.campaigns.errors import RulesInvalid
from app.campaigns.parser import parse_rules
from app.campaigns.taxing import describe_tax
from app.tax.terms import TaxBasis, TaxedKind, TaxMode
from tests.factories.campaigns import (
    document,
    facts,
    goods,
    money,
    multiplier,
    pool,
    random_money,
    rules,
    stream,
)

WITHHOLD = {"mode": "incidental_withhold"}
BEARS = {"mode": "incidental_company_bears"}


def only(prize: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"prizes": [prize], "pools": [pool("all", 0, {prize["key"]: 1})], **more}


def test_rules_that_say_nothing_follow_the_market_and_keep_their_bytes() -> None:
    said = rules()
    assert said.tax_terms == said.profile.tax
    assert said.tax_terms.mode is TaxMode.NONE_GIFT_WITH_PURCHASE
    assert "tax" not in said.to_json()


def test_what_is_left_out_is_as_in_the_markets_profile() -> None:
    terms = rules(tax={"mode": "incidental_withhold", "from_fen": 100}).tax_terms
    assert (terms.from_fen, terms.identity_over_fen, terms.basis) == (100, 0, TaxBasis.NET_GROSSUP)
    assert TaxedKind.COUPON not in terms.kinds
    assert TaxedKind.MONEY in terms.kinds


def test_the_terms_come_back_from_their_normal_form() -> None:
    tax = {
        **BEARS,
        "kinds": ["money", "goods"],
        "basis": "gross",
        "vat_excluded": True,
        "identity_over_fen": 1,
    }
    said = rules(tax=tax)
    assert parse_rules(said.to_json()).sha256 == said.sha256
    assert said.to_json()["tax"] == {**tax, "kinds": ["goods", "money"], "from_fen": 0}


@pytest.mark.parametrize(
    ("tax", "path", "code"),
    [
        ({}, "tax.mode", "missing"),
        ({"mode": "none"}, "tax.mode", "unknown_choice"),
        ({**WITHHOLD, "kinds": []}, "tax.kinds", "wrong_length"),
        ({**WITHHOLD, "kinds": ["points"]}, "tax.kinds[0]", "unknown_choice"),
        ({**WITHHOLD, "kinds": ["money", "money"]}, "tax.kinds", "repeated"),
        ({**WITHHOLD, "from_fen": -1}, "tax.from_fen", "out_of_range"),
        ({**WITHHOLD, "identity_over_fen": 1.5}, "tax.identity_over_fen", "not_an_integer"),
        ({**WITHHOLD, "rate": 1}, "tax.rate", "unknown_field"),
    ],
)
def test_faults_have_their_place(tax: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(RulesInvalid) as refused:
        parse_rules(document(tax=tax))
    assert [(fault.path, fault.code) for fault in refused.value.faults] == [(path, code)]


@pytest.mark.parametrize(
    ("tax", "zh", "en"),
    [
        ({"mode": "none_discount"}, "价格折扣", "price discounts"),
        ({"mode": "none_gift_with_purchase"}, "随购买商品赠送", "given with a purchase"),
        (WITHHOLD, "税款由中奖人承担:公示金额为税前金额", "the winner bears it"),
        (BEARS, "税款由主办方承担:公示的金额为税后金额", "The organiser bears it"),
        ({**BEARS, "from_fen": 80_000}, "单个价值800.00元及以上", "worth 800.00 yuan or more each"),
        (
            {**WITHHOLD, "kinds": ["money"]},
            "现金奖品为偶然所得,按20%",
            "prizes of money are incidental income",
        ),
        (WITHHOLD, "其他奖品的税款由主办方承担", "On all other prizes the organiser bears it"),
        (WITHHOLD, "领取应税奖品前须提供真实姓名", "before a taxed prize is collected"),
        ({**WITHHOLD, "identity_over_fen": 100_000}, "合计超过1000.00元", "more than 1000.00 yuan"),
    ],
)
def test_shoppers_are_told_in_both_languages(tax: dict[str, Any], zh: str, en: str) -> None:
    said = describe_tax(rules(tax=tax))
    assert zh in said.zh
    assert en in said.en
    assert said.zh.startswith("税费:")
    assert said.en.startswith("Tax: ")


def test_what_the_brand_bears_must_be_in_the_budget() -> None:
    of = rules(**only(money("ten", 1_000), tax=BEARS))
    assert of.most_fen(of.prizes[0]) == 1_250
    assert decide(facts(budget_left_fen=1_250), of, stream()).result is Result.AWARDED
    assert decide(facts(budget_left_fen=1_249), of, stream()).result is Result.NOTHING
    thing = rules(**only(goods("cup", 4_000, stock=5), tax=BEARS))
    assert thing.most_fen(thing.prizes[0]) == 1_000
    assert decide(facts(budget_left_fen=1_000), thing, stream()).result is Result.AWARDED
    assert decide(facts(budget_left_fen=999), thing, stream()).result is Result.NOTHING


def test_what_the_winner_bears_costs_no_more_than_the_prize() -> None:
    of = rules(**only(money("ten", 1_000), tax=WITHHOLD))
    assert of.most_fen(of.prizes[0]) == 1_000
    assert decide(facts(budget_left_fen=1_000), of, stream()).amount_fen == 1_000


def test_a_prize_of_which_too_little_is_left_is_not_promised() -> None:
    of = rules(**only(money("little", 12), tax=WITHHOLD))
    assert refusals(of, payer_limit_fen=20_000) == []
    of = rules(**only(money("little", 11), tax=WITHHOLD))
    assert [fault.code for fault in refusals(of, payer_limit_fen=20_000)] == ["net_below_payer_minimum"]
    assert refusals(rules(**only(money("little", 11), tax=BEARS)), payer_limit_fen=20_000) == []
    of = rules(**only(money("packet", 110), tax=WITHHOLD))
    found = refusals(of, payer_limit_fen=20_000, payer_least_fen=100)
    assert [fault.path for fault in found] == ["prizes.packet"]


def test_other_terms_are_a_change_that_somebody_approves() -> None:
    found = changes(rules(tax=WITHHOLD), rules(tax=BEARS))
    assert [(change.path, change.favours_shoppers) for change in found] == [("tax", False)]


def test_the_smallest_amount_that_is_taxed_counts_and_multipliers_may_reach_it() -> None:
    tax = {**WITHHOLD, "from_fen": 110}
    between = rules(**only(random_money("lucky", 100, 300), tax=tax))
    assert [fault.code for fault in refusals(between, payer_limit_fen=20_000, payer_least_fen=100)] == [
        "net_below_payer_minimum"
    ]
    assert refusals(between, payer_limit_fen=20_000) == []
    below = rules(**only(money("small", 100), tax=tax))
    assert refusals(below, payer_limit_fen=20_000, payer_least_fen=100) == []
    doubled = {"multipliers": [multiplier("double", 20_000)], "multiplier_cap_bps": 20_000}
    raised = rules(**only(money("small", 100), tax=tax, **doubled))
    assert len(refusals(raised, payer_limit_fen=20_000, payer_least_fen=100)) == 1


@given(
    least=st.integers(10, 60),
    more=st.integers(0, 200),
    from_fen=st.integers(0, 300),
    factor_bps=st.integers(10_001, 50_000),
)
def test_what_may_be_promised_can_always_be_paid(
    least: int, more: int, from_fen: int, factor_bps: int
) -> None:
    prize = random_money("lucky", least, least + more) if more else money("lucky", least)
    raised = {"multipliers": [multiplier("m", factor_bps)], "multiplier_cap_bps": factor_bps}
    of = rules(**only(prize, tax={**WITHHOLD, "from_fen": from_fen}, **raised))
    if refusals(of, payer_limit_fen=20_000):
        return
    for base in range(least, least + more + 1):
        for amount in (base, base * factor_bps // 10_000):
            tax = of.tax_on(of.prizes[0], amount)
            assert tax is None or tax.net_fen >= of.profile.min_transfer_fen
