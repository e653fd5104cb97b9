"""When two campaigns may be held for the same code: excluded only by what cannot change."""

from typing import Any

import pytest

from app.campaigns.conditions import Own, Which
from app.campaigns.overlap import may_overlap, same_reach
from app.campaigns.rules import Rules
from tests.factories.campaigns import document, facts, rules, text

JUNE = document()["period"]
JULY = {"starts_at": JUNE["ends_at"], "ends_at": "2026-08-01T00:00:00+08:00"}
LAST_SECOND = {"starts_at": "2026-06-30T23:59:59+08:00", "ends_at": "2026-08-01T00:00:00+08:00"}


def held_for(period: dict[str, str] = JUNE, **conditions: Any) -> Rules:
    how = text("扫码", "Scan")
    return rules(period=period, participation={"conditions": conditions, "how": how})


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ({}, {}, True),
        ({"skus": ["a"]}, {}, True),
        ({"skus": ["a", "b"]}, {"skus": ["b", "c"]}, True),
        ({"skus": ["a"]}, {"skus": ["b"]}, False),
        ({"lines": ["a"]}, {"lines": ["b"]}, False),
        ({"categories": ["a"]}, {"categories": ["b"]}, False),
        ({"specs": ["a"]}, {"specs": ["b"]}, False),
        # One product has both tags; one SKU may be moved to another line.
        ({"tags": ["a"]}, {"tags": ["b"]}, True),
        ({"skus": ["a"]}, {"lines": ["b"]}, True),
        ({"skus": ["a"], "lines": ["x"]}, {"skus": ["a"], "lines": ["y"]}, False),
    ],
)
def test_products(one: dict[str, Any], other: dict[str, Any], overlap: bool) -> None:
    first = held_for(which=one) if one else held_for()
    second = held_for(which=other) if other else held_for()
    assert may_overlap(first, second) is may_overlap(second, first) is overlap


@pytest.mark.parametrize("field", ["cases", "channels", "orders", "origins"])
def test_what_a_code_has_one_of_tells_campaigns_apart(field: str) -> None:
    assert not may_overlap(held_for(own={field: ["a"]}), held_for(own={field: ["b"]}))
    assert may_overlap(held_for(own={field: ["a"]}), held_for(own={field: ["a", "b"]}))
    assert may_overlap(held_for(own={field: ["a"]}), held_for())


@pytest.mark.parametrize(("period", "overlap"), [(JUNE, True), (JULY, False), (LAST_SECOND, True)])
def test_periods(period: dict[str, str], overlap: bool) -> None:
    assert may_overlap(held_for(), held_for(period)) is overlap
    assert may_overlap(held_for(period), held_for()) is overlap


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"who": {"customer": "new"}}, {"who": {"customer": "old"}}),
        ({"where": {"areas": ["310000"]}}, {"where": {"areas": ["110000"]}}),
        ({"when": {"weekdays": [1]}}, {"when": {"weekdays": [2]}}),
    ],
)
def test_who_where_and_when_exclude_nothing(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert may_overlap(held_for(**one), held_for(**other))


def test_whatever_a_code_satisfies_both_of_is_an_overlap() -> None:
    """The decision never says "apart" of two conditions that one code meets."""
    seen = facts(sku="a", line="x", case="c", channel="k", product_tags=("n", "g"))
    products = [Which(), Which(skus=("a", "b")), Which(lines=("x",)), Which(tags=("n",)), Which(tags=("g",))]
    codes = [Own(), Own(cases=("c",)), Own(channels=("k", "l"))]
    held = [
        held_for(which=_given(which), own=_given(own))
        for which in products
        for own in codes
        if which.hold(seen) and own.hold(seen)
    ]
    assert len(held) == 15
    assert all(may_overlap(one, other) for one in held for other in held)


def _given(part: Which | Own) -> dict[str, Any]:
    return {name: list(getattr(part, name)) for name in part.__dataclass_fields__ if getattr(part, name)}


def test_items_and_cases_are_other_codes() -> None:
    items = held_for()
    for_cases = document()["participation"] | {"codes": "case"}
    cases = rules(participation=for_cases)
    assert not may_overlap(items, cases)
    assert may_overlap(cases, cases)
    assert not same_reach(items, rules(participation=for_cases, period=JUNE))


def test_the_reach_is_period_products_and_codes() -> None:
    assert same_reach(held_for(), held_for(who={"customer": "new"}))
    assert not same_reach(held_for(), held_for(JULY))
    assert not same_reach(held_for(), held_for(which={"skus": ["a"]}))
    assert not same_reach(held_for(), held_for(own={"cases": ["a"]}))
