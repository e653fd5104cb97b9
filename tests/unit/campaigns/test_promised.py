"""What is promised stays payable: no prize is paid out of what is kept for others (art. 15)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.campaigns.backing import owed_fen
from app.campaigns.draw import Outcome, Result, Shortage, Skipped, decide
from app.campaigns.facts import DrawFacts
from app.campaigns.rules import Rules
from app.risk.lists import Level
from tests.factories.campaigns import facts, money, multiplier, points, pool, random_money, rules, stream

BIG, YUAN = money("big", 500, stock=3), money("yuan", 100)


def draw(of: Rules, **found: Any) -> Outcome:
    return decide(facts(**found), of, stream())


def common(**changes: Any) -> Rules:
    """One yuan for everybody, else ten points; the big one is promised out of the same budget."""
    found: dict[str, Any] = {
        "prizes": [BIG, YUAN, points("ten", 10)],
        "pools": [
            pool("gold", 1, {"big": 1}, conditions={"who": {"tiers": ["gold"]}}),
            pool("everybody", 0, {"yuan": 1}),
        ],
        "fallback": ["ten"],
    }
    return rules(**(found | changes))


def test_money_that_limited_prizes_need_pays_no_other_prize() -> None:
    of = common()
    assert draw(of, stock_left={"big": 2}, budget_left_fen=1100).prize == "yuan"
    short = draw(of, stock_left={"big": 2}, budget_left_fen=1099)
    assert (short.prize, short.skipped) == ("ten", (Skipped("yuan", Shortage.BUDGET),))
    assert draw(of, stock_left={"big": 0}, budget_left_fen=100).prize == "yuan"


def test_it_pays_the_limited_prizes_to_the_last_fen() -> None:
    won = draw(common(), tier="gold", stock_left={"big": 2}, budget_left_fen=500)
    assert (won.prize, won.amount_fen) == ("big", 500)


def test_draws_of_the_time_before_are_decided_as_they_were() -> None:
    """Their facts do not say what was in stock."""
    assert draw(common(), budget_left_fen=100).prize == "yuan"


def test_it_is_kept_with_the_multipliers_that_may_count() -> None:
    fridays = multiplier("m", 20_000, "money", when={"weekdays": [5]})
    of = common(multipliers=[fridays], multiplier_cap_bps=20_000)
    assert draw(of, stock_left={"big": 1}, budget_left_fen=1099).prize == "ten"
    assert draw(of, stock_left={"big": 1}, budget_left_fen=1100).prize == "yuan"


def test_a_budget_keeps_only_what_it_may_have_to_pay() -> None:
    of = common(
        pools=[
            pool("gold", 1, {"big": 1}, conditions={"who": {"tiers": ["gold"]}}, own_budget=True),
            pool("everybody", 0, {"yuan": 1}),
        ]
    )
    assert of.kept_fen == {"gold": {"big": 500}, "": {}}
    assert draw(of, stock_left={"big": 3}, budget_left_fen=100).prize == "yuan"


def test_what_marked_persons_get_is_no_exception() -> None:
    """The published strategy may name a prize that the pool's own budget owes nobody."""
    of = common(
        prizes=[BIG, money("fifty", 50, stock=9)],
        pools=[
            pool("gold", 1, {"big": 1}, conditions={"who": {"tiers": ["gold"]}}, own_budget=True),
            pool("everybody", 0, {"fifty": 1}),
        ],
        fallback=[],
        abnormal={"strategy": "prize", "prize": "fifty"},
    )
    marked: dict[str, Any] = {"tier": "gold", "level": Level.ABNORMAL, "stock_left": {"big": 1, "fifty": 9}}
    assert draw(of, **marked, pool_budgets_left_fen={"gold": 550}).prize == "fifty"
    assert draw(of, **marked, pool_budgets_left_fen={"gold": 549}).result is Result.NOTHING


@pytest.mark.parametrize("own", [True, False])
@given(data=st.data())
def test_whatever_is_drawn_every_piece_in_stock_can_be_paid(data: st.DataObject, own: bool) -> None:
    """From a budget that just backs its promise, any draws in any order: limited prizes never lack money."""
    of = rules(
        prizes=[
            money("big", 500, stock=2),
            random_money("luck", 30, 200, stock=4),
            random_money("more", 30, 300),
            money("yuan", 100),
        ],
        pools=[
            pool("friday", 1, {"big": 1, "more": 3}, conditions={"when": {"weekdays": [5]}}, own_budget=own),
            pool("everybody", 0, {"big": 1, "luck": 2, "more": 3}, fallback=["yuan"]),
        ],
        multipliers=[multiplier("m", 15_000, "money", who={"tiers": ["gold"]})],
        multiplier_cap_bps=15_000,
    )
    stock = {"big": 2, "luck": 4}
    budgets = {
        budget: owed_fen(of, budget, stock) + data.draw(st.integers(0, 500)) for budget in of.paid_out_of
    }
    for index in range(data.draw(st.integers(1, 40))):
        seen: DrawFacts = facts(
            tier=data.draw(st.sampled_from(["gold", None])),
            stock_left=dict(stock),
            sold_out=tuple(sorted(key for key, left in stock.items() if not left)),
            budget_left_fen=budgets[""],
            pool_budgets_left_fen={key: left for key, left in budgets.items() if key},
        )
        seen = replace(seen, at=seen.at.replace(day=data.draw(st.sampled_from([1, 5]))))
        won = decide(seen, of, stream(index))
        assert not [it for it in won.skipped if it.prize in stock and it.shortage is Shortage.BUDGET]
        if won.prize is None:
            continue
        paid_by = next(it.budget for it in of.pools if it.key == won.pool)
        budgets[paid_by] -= won.amount_fen
        if won.prize in stock:
            stock[won.prize] -= 1
        for budget, kept in of.kept_fen.items():
            assert budgets[budget] >= sum(stock[key] * fen for key, fen in kept.items())
