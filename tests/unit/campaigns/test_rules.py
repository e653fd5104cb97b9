from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.campaigns.parser import parse_rules
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
)

FULL = document(
    prizes=[
        money("yuan", 100, stock=5, claim_window_days=7),
        random_money("lucky", 100, 300),
        points("ten", 10),
        nothing(),
    ],
    pools=[
        pool("vip", 9, {"lucky": 1}, conditions={"who": {"tiers": ["gold"]}}, own_budget=True,
             fallback=["ten"], hundred_percent_win=True),
        pool("everybody", 0, {"yuan": 1, "thanks": 3}),
    ],
    multipliers=[multiplier("friday", 20_000, when={"weekdays": [5]})],
    multiplier_cap_bps=40_000,
    fallback=["ten"],
    abnormal={"strategy": "prize", "prize": "ten"},
    caps={"per_campaign": 9, "per_day": 3},
    phone_policy="never",
    location_counts=True,
    regions_stated=True,
    times_stated=True,
)  # fmt: skip


def test_the_hash_is_frozen() -> None:
    """Published hashes must stay what they are: a change of the normal form needs a new schema number."""
    assert rules().sha256 == "435c20da0d1349ac922a1d5dd0816841a07580f93911d4e440b3868d2e2c68e7"
    assert parse_rules(FULL).sha256 == "eb772ee3ba0756034c9d09eff555a93f2e6b07ac826e3caa74b86227353c0b17"


def test_the_normal_form_is_read_back_to_equal_rules() -> None:
    for source in (document(), FULL):
        read = parse_rules(source)
        assert parse_rules(read.to_json()) == read
        assert parse_rules(read.to_json()).sha256 == read.sha256


def test_the_order_of_fields_and_what_is_left_out_do_not_change_the_hash() -> None:
    source = document()
    turned: dict[str, Any] = dict(reversed(source.items()))
    turned["caps"] = {"per_day": None}
    turned["period"] = {"starts_at": "2026-05-31T16:00:00Z", "ends_at": "2026-06-30T16:00:00.000+00:00"}
    assert rules().sha256 == parse_rules(turned).sha256


def test_every_change_of_substance_changes_the_hash() -> None:
    hashes = {
        rules().sha256,
        rules(caps={"per_day": 1}).sha256,
        rules(name=text("七月", "July")).sha256,
        rules(phone_policy="never").sha256,
        rules(fallback=["ten"]).sha256,
        rules(pools=[pool("everybody", 0, {"yuan": 2, "ten": 2, "thanks": 1})]).sha256,
        rules(prizes=[money("yuan", 101), points("ten", 10), nothing()]).sha256,
        parse_rules(FULL).sha256,
    }
    assert len(hashes) == 8


def test_what_can_be_won_at_most_counts_the_cap_and_values_points() -> None:
    read = rules(
        prizes=[money("yuan", 333), points("ten", 1_000_001), nothing()],
        points_terms={"text": text("规则", "terms"), "worth_fen_per_1000": 3},
        multiplier_cap_bps=15_000,
    )
    assert read.worth_fen(read.prize_by_key["ten"]) == 3_001  # 3000.003, rounded up
    assert read.highest_worth_fen() == 4_502  # 3001 × 1.5, rounded up
    assert read.highest_money_fen() == 499  # 333 × 1.5, as the draw rounds


def test_the_chain_names_each_prize_once() -> None:
    read = parse_rules(FULL)
    assert read.chain(read.pools[0], "lucky") == ("lucky", "ten")
    assert read.chain(read.pools[1], "thanks") == ("thanks", "ten")
    assert read.chain(read.pools[0], "ten") == ("ten",)


def test_a_pools_own_fallback_comes_before_the_campaigns() -> None:
    read = rules(
        pools=[pool("everybody", 0, {"yuan": 1, "thanks": 1}, fallback=["thanks"])], fallback=["ten"]
    )
    assert read.chain(read.pools[0], "yuan") == ("yuan", "thanks", "ten")


@given(weights=st.lists(st.integers(1, 1_000_000_000), min_size=3, max_size=3), stock=st.integers(1, 10**10))
def test_whatever_is_read_is_written_and_read_back(weights: list[int], stock: int) -> None:
    read = rules(
        pools=[pool("everybody", 0, dict(zip(("yuan", "ten", "thanks"), weights, strict=True)))],
        prizes=[money("yuan", 100, stock=stock), points("ten", 10), nothing()],
    )
    assert parse_rules(read.to_json()) == read
