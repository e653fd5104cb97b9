"""The examples of the requirements, and what must hold for every draw."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.campaigns.draw import Outcome, Refusal, Result, Shortage, Skipped, decide, matching_pool, refusal_of
from app.campaigns.facts import Behaviour, Region, RegionSource
from app.campaigns.rules import PrizeKind, Rules
from app.risk.lists import Level
from tests.factories.campaigns import (
    FRIDAY,
    MONDAY,
    document,
    facts,
    money,
    multiplier,
    nothing,
    points,
    pool,
    random_money,
    rules,
    stream,
    text,
    voucher,
)


def draw(of: Rules, code_index: int = 0, **found: Any) -> Outcome:
    return decide(facts(**found), of, stream(code_index))


def sure(prizes: list[dict[str, Any]], **changes: Any) -> Rules:
    """Rules of one pool that gives the first prize, and the others when it cannot."""
    keys = [prize["key"] for prize in prizes]
    return rules(
        prizes=prizes,
        pools=[pool("everybody", 0, {keys[0]: 1}, fallback=keys[1:])],
        **changes,
    )


# --- the examples of the requirements ------------------------------


def test_the_first_three_draws_win_one_yuan_and_every_later_one_ten_points() -> None:
    """DRAW-06, and its counting: per person and campaign."""
    of = rules(
        prizes=[money("yuan", 100), points("ten", 10)],
        pools=[
            pool("first_three", 1, {"yuan": 1}, conditions={"what": {"draw_to": 3}}),
            pool("later", 0, {"ten": 1}),
        ],
    )
    won = [draw(of, n, nth_draw=n) for n in range(1, 7)]
    assert [outcome.amount_fen for outcome in won] == [100, 100, 100, 0, 0, 0]
    assert [outcome.points for outcome in won] == [0, 0, 0, 10, 10, 10]


def test_on_fridays_all_prizes_are_doubled() -> None:
    """DRAW-02."""
    of = rules(
        prizes=[money("two", 200), points("ten", 10)],
        pools=[
            pool("first", 1, {"two": 1}, conditions={"what": {"draw_to": 1}}),
            pool("later", 0, {"ten": 1}),
        ],
        multipliers=[multiplier("friday", 20_000, when={"weekdays": [5]})],
        multiplier_cap_bps=20_000,
        times_stated=True,
    )
    thursday = MONDAY.replace(day=4)
    assert draw(of, at=thursday).amount_fen == 200
    assert draw(of, at=FRIDAY).amount_fen == 400
    assert draw(of, at=FRIDAY, nth_draw=2).points == 20


def test_only_in_shanghai_a_disney_ticket_can_be_won() -> None:
    """DRAW-03: elsewhere, and where nothing is known of the region, the prize does not exist."""
    of = rules(
        prizes=[money("disney", 47_500, stock=10), points("ten", 10)],
        pools=[
            pool("shanghai", 1, {"disney": 1, "ten": 9}, conditions={"where": {"areas": ["310000"]}}),
            pool("elsewhere", 0, {"ten": 1}),
        ],
        regions_stated=True,
    )

    def prizes(region: Region | None) -> set[str | None]:
        return {draw(of, index, region=region).prize for index in range(200)}

    assert prizes(Region("310115", RegionSource.SHIPPED)) == {"disney", "ten"}
    assert prizes(Region("320500", RegionSource.SHIPPED)) == {"ten"}
    assert prizes(None) == {"ten"}


def test_diamond_members_get_twice_the_points() -> None:
    """DRAW-04: points only, money stays."""
    of = rules(
        prizes=[points("ten", 10), money("yuan", 100)],
        pools=[pool("a", 1, {"ten": 1}, conditions={"what": {"draw_to": 1}}), pool("b", 0, {"yuan": 1})],
        multipliers=[multiplier("diamond", 20_000, "points", who={"tiers": ["diamond"]})],
        multiplier_cap_bps=20_000,
    )
    assert draw(of, tier="diamond").points == 20
    assert draw(of, tier="gold").points == 10
    assert draw(of, tier="diamond", nth_draw=2).amount_fen == 100


def test_premium_products_give_5_to_10_yuan_and_others_1_to_3() -> None:
    """DRAW-05: every fen of the range can come, both ends included, nothing beyond."""
    of = rules(
        prizes=[random_money("premium", 500, 1000), random_money("normal", 100, 300)],
        pools=[
            pool("premium", 1, {"premium": 1}, conditions={"which": {"lines": ["premium"]}}),
            pool("normal", 0, {"normal": 1}),
        ],
    )
    premium = {draw(of, index, line="premium").amount_fen for index in range(6000)}
    normal = {draw(of, index, line="classic").amount_fen for index in range(3000)}
    assert premium == set(range(500, 1001))
    assert normal == set(range(100, 301))


@pytest.mark.parametrize("field", ["case", "channel", "order", "origin"])
def test_pools_by_case_channel_order_and_origin(field: str) -> None:
    """DRAW-07."""
    of = rules(
        prizes=[money("yuan", 100), nothing()],
        pools=[
            pool("own", 1, {"yuan": 1}, conditions={"own": {f"{field}s": ["A7"]}}),
            pool("everybody", 0, {"thanks": 1}),
        ],
    )
    assert draw(of, **{field: "A7"}).prize == "yuan"
    assert draw(of, **{field: "A8"}).result is Result.NOTHING


def test_a_behaviour_can_have_its_pool() -> None:
    """DRAW-06: shaking."""
    of = rules(
        prizes=[money("yuan", 100), nothing()],
        pools=[
            pool("shake", 1, {"yuan": 1}, conditions={"what": {"behaviours": ["shake"]}}),
            pool("everybody", 0, {"thanks": 1}),
        ],
    )
    assert draw(of, behaviour=Behaviour.SHAKE).prize == "yuan"
    assert draw(of).prize == "thanks"


# --- one pool ------------------------------


def test_of_several_matching_pools_the_highest_priority_counts() -> None:
    """DRAW-01."""
    of = rules(
        prizes=[money("yuan", 100), nothing()],
        pools=[
            pool("diamond", 5, {"yuan": 1}, conditions={"who": {"tiers": ["diamond"]}}),
            pool("shanghai", 9, {"yuan": 1}, conditions={"where": {"areas": ["310000"]}}),
            pool("everybody", 0, {"thanks": 1}),
        ],
    )
    here = Region("310000", RegionSource.ADDRESS)
    assert matching_pool(facts(tier="diamond", region=here), of).key == "shanghai"
    assert matching_pool(facts(tier="diamond"), of).key == "diamond"
    assert matching_pool(facts(), of).key == "everybody"


# --- refusals ------------------------------


@pytest.mark.parametrize(
    ("found", "refusal"),
    [
        ({"at": MONDAY.replace(month=5)}, Refusal.NOT_STARTED),
        ({"at": MONDAY.replace(month=7)}, Refusal.ENDED),
        ({"line": "other"}, Refusal.NOT_ELIGIBLE),
        ({"nth_draw": 4}, Refusal.CAMPAIGN_CAP),
        ({"draws_today": 2}, Refusal.DAY_CAP),
        ({"level": Level.REFUSE}, Refusal.RISK),
        ({"nth_draw": 3, "draws_today": 1}, None),
    ],
)
def test_a_refused_draw_consumes_nothing_and_says_why(found: dict[str, Any], refusal: Refusal | None) -> None:
    of = rules(
        participation={"conditions": {"which": {"lines": ["cola"]}}, "how": text("扫码", "scan")},
        caps={"per_campaign": 3, "per_day": 2},
    )
    outcome = draw(of, **({"line": "cola"} | found))
    assert outcome.refusal == refusal
    assert (outcome.result is Result.REFUSED) is (refusal is not None)
    if refusal is not None:
        assert outcome == Outcome(Result.REFUSED, refusal)


def test_the_period_holds_its_start_but_not_its_end() -> None:
    of = rules()
    assert refusal_of(facts(at=of.period.starts_at), of) is None
    assert refusal_of(facts(at=of.period.ends_at), of) is Refusal.ENDED


# --- the abnormal strategy ------------------------------

_PRIZES = [random_money("lucky", 100, 300), points("ten", 10, stock=5), nothing()]


def abnormal(strategy: dict[str, Any]) -> Rules:
    return rules(
        prizes=_PRIZES,
        pools=[pool("everybody", 0, {"lucky": 1, "ten": 1, "thanks": 1})],
        multipliers=[multiplier("always", 30_000)],
        multiplier_cap_bps=30_000,
        abnormal=strategy,
    )


@pytest.mark.parametrize(
    ("strategy", "prize", "fen", "won"),
    [
        ({"strategy": "smallest"}, "ten", 0, 10),  # worth 10 fen, below 1 yuan
        ({"strategy": "prize", "prize": "lucky"}, "lucky", 100, 0),  # the least of the range
        ({"strategy": "nothing"}, None, 0, 0),
    ],
)
def test_marked_persons_get_the_published_protecting_outcome(
    strategy: dict[str, Any], prize: str | None, fen: int, won: int
) -> None:
    """DRAW-09: whatever the code's roll, without multipliers."""
    outcomes = [draw(abnormal(strategy), index, level=Level.ABNORMAL) for index in range(20)]
    assert {outcome.prize for outcome in outcomes} == {prize}
    assert {outcome.amount_fen for outcome in outcomes} == {fen}
    assert {outcome.points for outcome in outcomes} == {won}
    assert all(outcome.abnormal and not outcome.rolls and not outcome.multipliers for outcome in outcomes)


def test_marked_persons_are_refused_where_that_is_the_strategy() -> None:
    assert draw(abnormal({"strategy": "refuse"}), level=Level.ABNORMAL).refusal is Refusal.RISK


def test_the_protecting_prize_needs_stock_and_budget_too() -> None:
    smallest = abnormal({"strategy": "smallest"})
    outcome = draw(smallest, level=Level.ABNORMAL, sold_out=("ten",))
    assert outcome.result is Result.NOTHING
    assert outcome.skipped == (Skipped("ten", Shortage.STOCK),)
    lucky = abnormal({"strategy": "prize", "prize": "lucky"})
    assert draw(lucky, level=Level.ABNORMAL, budget_left_fen=99).skipped == (
        Skipped("lucky", Shortage.BUDGET),
    )


# --- stock, budget, fallback ------------------------------


def test_what_is_sold_out_falls_to_the_next_that_can_be_paid() -> None:
    """DRAW-08, PAY-09."""
    of = sure([money("ten_yuan", 1000, stock=1), money("yuan", 100), points("ten", 10)])
    assert draw(of).prize == "ten_yuan"
    short = draw(of, sold_out=("ten_yuan",))
    assert (short.rolled, short.prize, short.amount_fen) == ("ten_yuan", "yuan", 100)
    assert short.skipped == (Skipped("ten_yuan", Shortage.STOCK),)
    broke = draw(of, sold_out=("ten_yuan",), budget_left_fen=99)
    assert (broke.prize, broke.points) == ("ten", 10)
    assert broke.skipped[1] == Skipped("yuan", Shortage.BUDGET)


def test_after_the_pools_own_fallback_comes_the_campaigns() -> None:
    """DRAW-08."""
    of = rules(
        prizes=[money("ten_yuan", 1000, stock=1), money("yuan", 100), points("ten", 10)],
        pools=[pool("everybody", 0, {"ten_yuan": 1}, fallback=["yuan"])],
        fallback=["ten"],
    )
    assert draw(of, sold_out=("ten_yuan",), budget_left_fen=100).prize == "yuan"
    assert draw(of, sold_out=("ten_yuan",), budget_left_fen=99).prize == "ten"


def test_the_budget_is_enough_to_the_last_fen() -> None:
    of = sure([money("yuan", 100), points("ten", 10)])
    assert draw(of, budget_left_fen=100).prize == "yuan"
    assert draw(of, budget_left_fen=99).prize == "ten"


def test_the_budget_must_hold_the_multiplied_amount() -> None:
    of = sure(
        [money("yuan", 100), points("ten", 10)],
        multipliers=[multiplier("always", 20_000, "money")],
        multiplier_cap_bps=20_000,
    )
    assert draw(of, budget_left_fen=200).amount_fen == 200
    assert draw(of, budget_left_fen=199).prize == "ten"


def test_a_pool_with_its_own_budget_spends_nothing_else() -> None:
    """DRAW-18: campaign and pool budgets."""
    of = rules(
        prizes=[money("yuan", 100), nothing()],
        pools=[pool("everybody", 0, {"yuan": 1}, own_budget=True, fallback=["thanks"])],
    )
    assert draw(of, budget_left_fen=0, pool_budgets_left_fen={"everybody": 100}).prize == "yuan"
    assert draw(of, budget_left_fen=100, pool_budgets_left_fen={"everybody": 99}).prize == "thanks"


def test_when_nothing_can_be_paid_a_common_pool_gives_nothing() -> None:
    outcome = draw(sure([money("yuan", 100)]), budget_left_fen=0)
    assert (outcome.result, outcome.kind, outcome.prize) == (Result.NOTHING, PrizeKind.NOTHING, None)
    assert outcome.rolled == "yuan"


def test_when_nothing_can_be_paid_a_sure_win_refuses_and_the_code_keeps_its_chance() -> None:
    of = rules(
        prizes=[money("yuan", 100)], pools=[pool("everybody", 0, {"yuan": 1}, hundred_percent_win=True)]
    )
    outcome = draw(of, budget_left_fen=0)
    assert (outcome.result, outcome.refusal) == (Result.REFUSED, Refusal.SOLD_OUT)


def test_the_odds_do_not_move_when_a_prize_is_sold_out() -> None:
    of = rules()
    before = [draw(of, index).rolled for index in range(300)]
    after = [draw(of, index, sold_out=("ten",)).rolled for index in range(300)]
    assert before == after


# --- multipliers ------------------------------


def test_multipliers_stack_up_to_the_stated_cap_and_round_down_once() -> None:
    def of(cap: int, *factors: int) -> Outcome:
        raised = [multiplier(f"m{index}", factor) for index, factor in enumerate(factors)]
        return draw(sure([money("yuan", 333)], multipliers=raised, multiplier_cap_bps=cap))

    assert of(40_000, 20_000, 20_000).amount_fen == 1332
    assert of(30_000, 20_000, 20_000).amount_fen == 999
    assert of(30_000, 20_000, 20_000).factor_bps == 30_000
    assert of(30_000, 15_000).amount_fen == 499  # 499.5
    assert of(1_000_000, 11_111, 11_111).factor_bps == 12_345  # 1.23454321
    assert of(10_000, 20_000).amount_fen == 333  # a cap of one switches multipliers off
    assert of(30_000).multipliers == ()


def test_the_order_of_multipliers_does_not_matter() -> None:
    def of(*factors: int) -> int:
        raised = [multiplier(f"m{factor}", factor) for factor in factors]
        return draw(sure([money("a", 99_999)], multipliers=raised, multiplier_cap_bps=1_000_000)).amount_fen

    assert of(10_001, 13_333, 17_777) == of(17_777, 10_001, 13_333)


# --- what holds for every draw ------------------------------

_KEYS = ("big", "lucky", "yuan", "ten", "thanks")


@st.composite
def _campaigns(pick: st.DrawFn) -> Rules:
    stock = st.none() | st.integers(1, 5)
    least = pick(st.integers(10, 500))
    prizes = [
        money("big", pick(st.integers(10, 5_000)), stock=pick(stock)),
        random_money("lucky", least, least + pick(st.integers(1, 500)), stock=pick(stock)),
        money("yuan", 100, stock=pick(stock)),
        points("ten", pick(st.integers(1, 1000)), stock=pick(stock)),
        nothing(),
    ]
    sure_win = pick(st.booleans())
    keys = _KEYS[:4] if sure_win else _KEYS
    weights = {key: pick(st.integers(1, 50)) for key in keys}
    chain = pick(st.lists(st.sampled_from(keys), unique=True, max_size=3))
    regional = {"where": {"areas": ["310000"]}}
    pools = [
        pool("everybody", 0, weights, hundred_percent_win=sure_win, fallback=chain),
        pool("shanghai", 2, {"big": 1, "thanks": 1}, conditions=regional, own_budget=True),
        pool("diamond", 1, {"big": 1, "ten": 1}, conditions={"who": {"tiers": ["diamond"]}}),
    ]
    raised = [
        multiplier(
            f"m{index}", pick(st.integers(10_001, 50_000)), pick(st.sampled_from(["money", "points", "both"]))
        )
        for index in range(pick(st.integers(0, 3)))
    ]
    return rules(
        prizes=prizes,
        pools=pools,
        multipliers=raised,
        multiplier_cap_bps=pick(st.integers(10_000, 60_000)),
        fallback=[] if sure_win else pick(st.sampled_from([[], ["ten"], ["thanks"]])),
        abnormal=pick(st.sampled_from([{"strategy": s} for s in ("smallest", "nothing", "refuse")])),
    )  # fmt: skip


_FOUND = st.fixed_dictionaries(
    {
        "nth_draw": st.integers(1, 10),
        "tier": st.sampled_from([None, "gold", "diamond"]),
        "region": st.sampled_from([None, Region("310115", RegionSource.SHIPPED)]),
        "level": st.sampled_from([Level.PASS, Level.PASS, Level.PASS, Level.ABNORMAL]),
        "sold_out": st.lists(st.sampled_from(_KEYS[:4]), unique=True).map(lambda keys: tuple(sorted(keys))),
        "budget_left_fen": st.integers(0, 12_000),
        "pool_budgets_left_fen": st.fixed_dictionaries({"shanghai": st.integers(0, 12_000)}),
    }
)


@given(of=_campaigns(), found=_FOUND, code_index=st.integers(0, 1 << 27))
def test_invariants(of: Rules, found: dict[str, Any], code_index: int) -> None:
    seen = facts(**found)
    outcome = decide(seen, of, stream(code_index))
    local = seen.at.astimezone(of.profile.zone)
    matching = [item for item in of.pools if item.conditions.hold(seen, local)]
    chosen = max(matching, key=lambda item: item.priority)

    assert outcome == decide(seen, of, stream(code_index)), "the same again"
    assert outcome.pool in (None, chosen.key), "one pool, the first"
    assert outcome.amount_fen <= of.highest_money_fen()
    left = seen.pool_budgets_left_fen["shanghai"] if chosen.own_budget else seen.budget_left_fen
    assert outcome.amount_fen <= left, "never above the budget"
    assert outcome.prize not in seen.sold_out, "nothing that is sold out"
    assert outcome.factor_bps <= of.multiplier_cap_bps
    assert (outcome.result is Result.AWARDED) == (outcome.amount_fen + outcome.points > 0)
    assert not (outcome.amount_fen and outcome.points)
    if outcome.abnormal:
        assert outcome.factor_bps == 10_000
    if chosen.hundred_percent_win and seen.level is Level.PASS:
        assert outcome.result is not Result.NOTHING, "a sure win is never nothing"
        if outcome.refusal is Refusal.SOLD_OUT:
            assert outcome.rolled is not None
            skipped = {item.prize for item in outcome.skipped}
            assert skipped == set(of.chain(chosen, outcome.rolled)), "all was tried"


@pytest.mark.parametrize("weights", [(1, 2, 1), (1, 1, 1), (1, 10, 989), (333, 333, 334)])
def test_prizes_come_as_often_as_their_weights_say(weights: tuple[int, int, int]) -> None:
    """Chi-square over ten fixed seeds, so twenty degrees of freedom: 45.3 is passed once in a thousand."""
    keys = ("yuan", "ten", "thanks")
    of = rules(pools=[pool("everybody", 0, dict(zip(keys, weights, strict=True)))])
    tries = 4_000
    expected = {key: tries * weight / sum(weights) for key, weight in zip(keys, weights, strict=True)}
    distance = 0.0
    for number in range(10):
        seed = bytes([number]) * 32
        counts = Counter(decide(facts(), of, stream(index, seed=seed)).rolled for index in range(tries))
        distance += sum((counts[key] - want) ** 2 / want for key, want in expected.items())
    assert distance < 45.3


def test_the_first_and_the_last_number_win_the_first_and_the_last_prize() -> None:
    """A peer's rand(0, total) reached one number too far: its last prize came too often."""
    of = rules(pools=[pool("everybody", 0, {"yuan": 1, "ten": 1, "thanks": 1})])
    by_number = {}
    for index in range(200):
        outcome = draw(of, index)
        by_number[outcome.rolls[0].value] = outcome.rolled
    assert by_number == {0: "yuan", 1: "ten", 2: "thanks"}


def test_a_document_needs_no_optional_part_to_be_drawn_by() -> None:
    source = document()
    least = {
        key: source[key] for key in ("schema", "market", "name", "period", "pools", "prizes", "points_terms")
    }
    assert rules(**least) is not None
    assert draw(rules()).result in (Result.AWARDED, Result.NOTHING)


def test_a_voucher_comes_out_of_its_stock_and_nothing_multiplies_it() -> None:
    doubled = [multiplier("double", 20_000, "both")]
    of = sure([voucher("video", 1500), nothing()], multipliers=doubled, multiplier_cap_bps=20_000)
    outcome = draw(of, budget_left_fen=0)
    assert (outcome.prize, outcome.kind, outcome.result) == ("video", PrizeKind.VOUCHER, Result.AWARDED)
    assert (outcome.amount_fen, outcome.points, outcome.multipliers) == (0, 0, ())
    assert of.highest_worth_fen() == 1500
    assert of.highest_money_fen() == 0
    gone = draw(of, sold_out=("video",))
    assert (gone.prize, gone.skipped) == ("thanks", (Skipped("video", Shortage.STOCK),))
