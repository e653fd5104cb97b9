from typing import Any

import pytest

from app.campaigns.disclosure import missing_fields, refusals
from app.campaigns.parser import parse_rules
from app.campaigns.rules import Rules
from tests.factories.campaigns import document, money, multiplier, nothing, points, pool, rules, text

IN_SHANGHAI = {"where": {"areas": ["310000"]}}
ON_FRIDAYS = {"when": {"weekdays": [5]}}


def codes(of: Rules, payer_limit_fen: int | None = 20_000) -> list[tuple[str, str]]:
    return [(fault.path, fault.code) for fault in refusals(of, payer_limit_fen=payer_limit_fen)]


def with_pool(conditions: dict[str, Any], **changes: Any) -> Rules:
    pools = [
        pool("special", 1, {"yuan": 1}, conditions=conditions),
        pool("everybody", 0, {"ten": 1, "thanks": 1}),
    ]
    return rules(pools=pools, **changes)


def test_a_lawful_campaign_may_be_saved() -> None:
    assert codes(rules()) == []


@pytest.mark.parametrize(
    ("fen", "cap", "refused"),
    [
        (5_000_000, 10_000, False),
        (5_000_001, 10_000, True),
        (2_500_000, 20_000, False),
        (2_500_001, 20_000, True),
    ],
)
def test_no_draw_may_give_more_than_50_000_yuan_with_its_multipliers(
    fen: int, cap: int, refused: bool
) -> None:
    """Interim Provisions, art. 17."""
    prizes = [money("yuan", fen), points("ten", 10), nothing()]
    found = codes(rules(prizes=prizes, multiplier_cap_bps=cap), payer_limit_fen=100_000_000)
    assert found == ([("prizes", "prize_above_legal_maximum")] if refused else [])


def test_points_count_by_their_stated_worth() -> None:
    prizes = [money("yuan", 100), points("ten", 5_000_001), nothing()]
    terms = {"text": text("规则", "terms"), "worth_fen_per_1000": 1000}
    assert codes(rules(prizes=prizes, points_terms=terms)) == [("prizes", "prize_above_legal_maximum")]
    terms["worth_fen_per_1000"] = 500
    assert codes(rules(prizes=prizes, points_terms=terms)) == []


def test_the_highest_prize_with_the_cap_must_fit_the_payer() -> None:
    of = rules(prizes=[money("yuan", 10_000), points("ten", 10), nothing()], multiplier_cap_bps=20_000)
    assert codes(of, payer_limit_fen=20_000) == []
    assert codes(of, payer_limit_fen=19_999) == [("prizes", "prize_above_payer_limit")]


def test_money_needs_a_payer_and_points_do_not() -> None:
    assert codes(rules(), payer_limit_fen=None) == [("prizes", "payer_missing")]
    only_points = rules(prizes=[points("ten", 10)], pools=[pool("everybody", 0, {"ten": 1})])
    assert codes(only_points, payer_limit_fen=None) == []


def test_regions_may_change_prizes_only_when_the_rules_say_so() -> None:
    """Interim Provisions, art. 15."""
    fault = ("pools.special.conditions", "region_weighting_not_stated")
    assert codes(with_pool(IN_SHANGHAI)) == [fault]
    assert codes(with_pool(IN_SHANGHAI, times_stated=True)) == [fault]
    assert codes(with_pool(IN_SHANGHAI, regions_stated=True)) == []


def test_times_may_change_prizes_only_when_the_rules_say_so() -> None:
    fault = ("pools.special.conditions", "time_weighting_not_stated")
    assert codes(with_pool(ON_FRIDAYS)) == [fault]
    assert codes(with_pool(ON_FRIDAYS, regions_stated=True)) == [fault]
    assert codes(with_pool(ON_FRIDAYS, times_stated=True)) == []


def test_multipliers_by_region_or_time_are_weighting_too() -> None:
    raised = [multiplier("here", 20_000, **IN_SHANGHAI), multiplier("friday", 20_000, **ON_FRIDAYS)]
    assert codes(rules(multipliers=raised)) == [
        ("multipliers.here.conditions", "region_weighting_not_stated"),
        ("multipliers.friday.conditions", "time_weighting_not_stated"),
    ]


def test_a_campaign_that_is_held_in_one_region_weights_nothing() -> None:
    assert codes(rules(participation={"conditions": IN_SHANGHAI, "how": text("扫码", "scan")})) == []


def test_a_complete_campaign_can_be_published() -> None:
    assert missing_fields(rules()) == []


@pytest.mark.parametrize(
    "path",
    [
        "organiser.name",
        "organiser.contact",
        "participation.how",
        "claim.how",
        "claim.conditions",
        "claim.delivery",
        "claim.forfeiture",
        "points_terms.text",
    ],
)
def test_every_field_of_article_13_and_14_is_required(path: str) -> None:
    source = document()
    outer, inner = path.split(".")
    source[outer][inner] = "" if inner == "contact" else {"zh": "只有中文", "en": ""}
    of = rules(**source)
    assert [(fault.path, fault.code) for fault in missing_fields(of)] == [(path, "disclosure_missing")]


def test_a_draft_may_leave_everything_out_and_is_told_what() -> None:
    source = document()
    for name in ("organiser", "participation", "claim"):
        del source[name]
    assert len(missing_fields(parse_rules(source))) == 7


def test_a_prize_below_what_the_payer_can_send_is_not_promised() -> None:
    of = rules(prizes=[money("coin", 99)], pools=[pool("everybody", 0, {"coin": 1})])
    found = refusals(of, payer_limit_fen=20_000, payer_least_fen=100)
    assert [(fault.path, fault.code) for fault in found] == [("prizes.coin", "prize_below_payer_minimum")]
    assert refusals(of, payer_limit_fen=20_000, payer_least_fen=99) == []
