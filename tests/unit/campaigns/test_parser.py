import json
from pathlib import Path
from typing import Any

import pytest

from app.campaigns.disclosure import missing_fields, refusals
from app.campaigns.errors import RulesInvalid
from app.campaigns.parser import parse_rules
from app.codes.outcome import CodeLevel
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

SHANGHAI = {"where": {"areas": ["310000"]}}


def faults_of(value: object) -> set[tuple[str, str]]:
    with pytest.raises(RulesInvalid) as refused:
        parse_rules(value)
    return {(fault.path, fault.code) for fault in refused.value.faults}


def test_a_complete_document_is_read() -> None:
    read = rules()
    assert [prize.key for prize in read.prizes] == ["yuan", "ten", "thanks"]
    assert read.pools[0].total_weight == 4
    assert read.multiplier_cap_bps == 10_000
    assert read.phone_policy == "at_collection"
    assert read.abnormal.strategy == "refuse"
    assert not read.location_counts
    assert not read.regions_stated
    assert not read.times_stated


@pytest.mark.parametrize("value", [None, [], "rules", 7, {}])
def test_what_is_no_document_is_refused_and_never_an_exception(value: object) -> None:
    assert faults_of(value)


def test_all_faults_are_listed_at_once() -> None:
    bent = document(market="xx", typo=1, multiplier_cap_bps=9_999)
    bent["pools"][0]["weights"][0]["weight"] = 0
    bent["prizes"][0]["amount_fen"] = "1 yuan"
    assert faults_of(bent) == {
        ("market", "unknown_market"),
        ("typo", "unknown_field"),
        ("multiplier_cap_bps", "out_of_range"),
        ("pools[0].weights[0].weight", "out_of_range"),
        ("prizes[0].amount_fen", "not_an_integer"),
    }


def test_the_refusal_carries_its_faults_for_the_api() -> None:
    with pytest.raises(RulesInvalid) as refused:
        parse_rules(document(market="xx", typo=1))
    assert refused.value.status == 422
    assert refused.value.code == "campaign_rules_invalid"
    assert "and 1 more" in refused.value.detail
    assert {
        "path": "typo",
        "code": "unknown_field",
        "detail": "this field is not known here",
    } in refused.value.extra["errors"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"schema": 2}, ("schema", "out_of_range")),
        ({"name": {"zh": "只有中文"}}, ("name.en", "missing")),
        ({"period": {"starts_at": "2026-07-01T00:00:00Z", "ends_at": "2026-06-01T00:00:00Z"}},
         ("period", "ends_before_start")),
        ({"period": {"starts_at": "2026-07-01", "ends_at": "2026-06-01T00:00:00Z"}},
         ("period.starts_at", "not_a_moment")),
        ({"pools": []}, ("pools", "wrong_length")),
        ({"prizes": []}, ("prizes", "wrong_length")),
        ({"caps": {"per_day": 0}}, ("caps.per_day", "out_of_range")),
        ({"fallback": ["ten", "ten"]}, ("fallback", "repeated")),
        ({"fallback": ["gold"]}, ("fallback", "unknown_prize")),
        ({"abnormal": {"strategy": "prize"}}, ("abnormal", "prize_and_strategy")),
        ({"abnormal": {"strategy": "refuse", "prize": "ten"}}, ("abnormal", "prize_and_strategy")),
        ({"abnormal": {"strategy": "prize", "prize": "gold"}}, ("abnormal.prize", "unknown_prize")),
        ({"points_terms": None}, ("points_terms", "missing")),
        ({"phone_policy": "always"}, ("phone_policy", "unknown_choice")),
        ({"location_counts": 1}, ("location_counts", "not_a_boolean")),
        ({"multipliers": [multiplier("same", 10_000)]}, ("multipliers[0].factor_bps", "out_of_range")),
        ({"multipliers": [multiplier("a", 20_000)] * 2}, ("multipliers", "repeated_key")),
    ],
)  # fmt: skip
def test_each_fault_has_its_path_and_code(changes: dict[str, Any], fault: tuple[str, str]) -> None:
    assert fault in faults_of(document(**changes))


@pytest.mark.parametrize(
    ("prize", "fault"),
    [
        (money("yuan", 9), ("prizes.yuan", "below_transfer_minimum")),
        (money("yuan", 0), ("prizes[0].amount_fen", "out_of_range")),
        (random_money("yuan", 100, 100), ("prizes[0]", "empty_range")),
        (money("yuan", 100) | {"kind": "car"}, ("prizes[0].kind", "unknown_choice")),
        (money("yuan", 100) | {"kind": ["nothing"]}, ("prizes[0].kind", "unknown_choice")),
        (money("yuan", 100) | {"points": 5}, ("prizes[0].points", "unknown_field")),
        (money("yuan", 100, stock=0), ("prizes[0].stock", "out_of_range")),
        (nothing("yuan") | {"stock": 1}, ("prizes[0].stock", "unknown_field")),
        (points("yuan", 1, claim_window_days=0), ("prizes[0].claim_window_days", "out_of_range")),
        ("yuan", ("prizes[0]", "not_an_object")),
    ],
)
def test_each_fault_of_a_prize(prize: dict[str, Any], fault: tuple[str, str]) -> None:
    assert fault in faults_of(document(prizes=[prize, points("ten", 10), nothing()]))


def test_an_unknown_kind_is_one_fault_and_not_a_flood() -> None:
    prizes = [money("yuan", 100) | {"kind": "car"}, points("ten", 10), nothing()]
    assert faults_of(document(prizes=prizes)) == {("prizes[0].kind", "unknown_choice")}


def test_two_pools_of_one_priority_are_refused() -> None:
    pools = [pool("a", 5, {"yuan": 1}, conditions=SHANGHAI), pool("b", 5, {"ten": 1, "thanks": 1})]
    assert ("pools", "priority_tie") in faults_of(document(pools=pools))


def test_there_must_be_a_pool_for_everybody_and_nothing_behind_it() -> None:
    local = pool("a", 5, {"yuan": 1, "ten": 1, "thanks": 1}, conditions=SHANGHAI)
    assert faults_of(document(pools=[local])) == {("pools", "no_pool_for_everybody")}
    everybody = pool("b", 9, {"yuan": 1, "ten": 1, "thanks": 1})
    assert ("pools.b", "hides_others") in faults_of(document(pools=[local, everybody]))


def test_pools_are_kept_in_descending_priority() -> None:
    low = pool("low", 1, {"yuan": 1, "ten": 1, "thanks": 1})
    high = pool("high", 9, {"yuan": 1}, conditions=SHANGHAI)
    assert [item.key for item in rules(pools=[low, high]).pools] == ["high", "low"]


def test_a_sure_win_has_no_empty_prize_in_its_weights_nor_in_its_fallback() -> None:
    fault = ("pools.everybody", "nothing_in_a_sure_win")
    empty = pool("everybody", 0, {"yuan": 1, "ten": 1, "thanks": 1}, hundred_percent_win=True)
    assert fault in faults_of(document(pools=[empty]))
    behind = pool("everybody", 0, {"yuan": 1, "ten": 1}, hundred_percent_win=True, fallback=["thanks"])
    assert fault in faults_of(document(pools=[behind]))
    sure = pool("everybody", 0, {"yuan": 1}, hundred_percent_win=True)
    assert fault in faults_of(document(pools=[sure], fallback=["ten", "thanks"]))
    assert rules(pools=[sure], fallback=["ten"], prizes=[money("yuan", 100), points("ten", 10)])


def test_a_prize_that_nothing_gives_is_refused() -> None:
    """An invented prize is fraud (Interim Provisions, art. 15)."""
    prizes = [*document()["prizes"], money("bait", 1_000_000)]
    assert faults_of(document(prizes=prizes)) == {("prizes.bait", "never_given")}


def test_a_prize_occurs_once_in_a_pool() -> None:
    twice = pool("everybody", 0, {"yuan": 1, "ten": 1, "thanks": 1})
    twice["weights"].append({"prize": "yuan", "weight": 1})
    assert faults_of(document(pools=[twice])) == {("pools.everybody.weights", "repeated")}


def test_only_tags_that_the_rules_name_are_read() -> None:
    read = rules(
        participation={"conditions": {"who": {"tags_none": ["staff"]}}, "how": document()["claim"]["how"]},
        multipliers=[multiplier("m", 20_000, who={"tags_any": ["fan"], "tags_all": ["old"]})],
    )
    assert read.tags_read == {"staff", "fan", "old"}


def test_the_example_in_the_documentation_can_be_published() -> None:
    page = (Path(__file__).parents[3] / "docs" / "campaigns.md").read_text()
    example = json.loads(page.split("```json\n")[1].split("```")[0])
    read = parse_rules(example)
    assert refusals(read, payer_limit_fen=200_000) == []
    assert missing_fields(read) == []
    assert [item.key for item in read.pools] == ["shanghai", "premium", "first_three", "everybody"]


def test_a_voucher_has_a_kind_a_worth_and_a_stock_and_keeps_its_normal_form() -> None:
    """PAY-03: credit of variable amount is several prizes, each with its own published odds."""
    written = [
        voucher(f"credit{yuan}", yuan * 100, stock=5) | {"voucher": "phone_credit"} for yuan in (1, 10, 500)
    ]
    weights = {"credit1": 900, "credit10": 99, "credit500": 1}
    read = rules(prizes=written, pools=[pool("everybody", 0, weights)])
    assert [(prize.voucher, prize.face_fen, prize.stock) for prize in read.prizes] == [
        ("phone_credit", 100, 5),
        ("phone_credit", 1000, 5),
        ("phone_credit", 50_000, 5),
    ]
    assert parse_rules(read.to_json()) == read


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"stock": None}, ("prizes[0].stock", "missing")),
        ({"face_fen": 0}, ("prizes[0].face_fen", "out_of_range")),
        ({"voucher": "lottery"}, ("prizes[0].voucher", "unknown_choice")),
        ({"amount_fen": 5}, ("prizes[0].amount_fen", "unknown_field")),
    ],
)
def test_a_voucher_that_could_not_be_handed_out_is_refused(
    changes: dict[str, Any], fault: tuple[str, str]
) -> None:
    bent = document(prizes=[voucher("video", 1500) | changes], pools=[pool("everybody", 0, {"video": 1})])
    assert faults_of(bent) == {fault}


def test_goods_have_a_way_to_their_winner_a_worth_and_a_stock() -> None:
    read = rules(prizes=[goods("cup", 3900)], pools=[pool("everybody", 0, {"cup": 1})])
    assert (read.prizes[0].delivery, read.prizes[0].face_fen, read.prizes[0].stock) == ("either", 3900, 10)
    assert read.highest_worth_fen() == 3900
    assert parse_rules(read.to_json()) == read
    bent = document(prizes=[goods("cup", 3900, delivery="drone")], pools=[pool("all", 0, {"cup": 1})])
    assert faults_of(bent) == {("prizes[0].delivery", "unknown_choice")}


def test_money_may_be_unlocked_by_further_draws_and_by_nothing_else() -> None:
    """DRAW-11; sharing is no condition that could be written down (contract 13.7)."""
    sure = [pool("everybody", 0, {"yuan": 1})]
    locked = money("yuan", 100, unlock_draws=2)
    read = rules(prizes=[locked], pools=sure)
    assert read.prizes[0].unlock_draws == 2
    assert parse_rules(read.to_json()) == read
    assert "unlock_draws" not in json.dumps(rules(prizes=[money("yuan", 100)], pools=sure).to_json())
    assert faults_of(document(prizes=[locked], pools=sure, caps={"per_campaign": 2})) == {
        ("prizes.yuan.unlock_draws", "never_unlocked")
    }
    assert parse_rules(document(prizes=[locked], pools=sure, caps={"per_campaign": 3}))
    bent = [voucher("video", 1500, unlock_draws=1)]
    assert faults_of(document(prizes=bent, pools=[pool("everybody", 0, {"video": 1})])) == {
        ("prizes[0].unlock_draws", "unknown_field")
    }


def test_friends_unlock_a_fixed_amount_only() -> None:
    """DRAW-15; contract 13.7: no uncertain benefit for help."""
    sure = [pool("everybody", 0, {"yuan": 1})]
    read = rules(prizes=[money("yuan", 100, unlock_helpers=3)], pools=sure)
    assert read.prizes[0].unlock_helpers == 3
    assert parse_rules(read.to_json()) == read
    bent = [random_money("lucky", 100, 300, unlock_helpers=3)]
    assert faults_of(document(prizes=bent, pools=[pool("everybody", 0, {"lucky": 1})])) == {
        ("prizes[0].unlock_helpers", "unknown_field")
    }


def test_a_campaign_is_held_for_items_unless_it_says_cases() -> None:
    said = document()["participation"]
    items = parse_rules(document())
    assert items.participation.codes is CodeLevel.ITEM
    assert parse_rules(document(participation=said | {"codes": "item"})).sha256 == items.sha256
    assert "codes" not in items.participation.to_json()  # type: ignore[operator]  # it is an object
    cases = parse_rules(document(participation=said | {"codes": "case"}))
    assert parse_rules(cases.to_json()) == cases
    assert cases.sha256 != items.sha256
    for wrong in ("pallet", "bottle"):
        with pytest.raises(RulesInvalid):
            parse_rules(document(participation=said | {"codes": wrong}))
