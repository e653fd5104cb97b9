"""What a scan comes to: every combination of facts has one outcome, by a stated precedence."""

from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from app.codes.outcome import (
    UNCOUNTED,
    CodeFacts,
    CodeLevel,
    Earlier,
    Placement,
    ScanOutcome,
    decide,
    decide_case,
)

ME, ANOTHER = 1, 2


def facts(**changes: object) -> CodeFacts:
    plain = {
        "batch_id": 1,
        "code_index": 0,
        "brand_id": 10,
        "product_id": 11,
        "lot": "L",
        "level": CodeLevel.ITEM,
        "placement": Placement.OUTSIDE,
        "needs_shipping": True,
        "activated": True,
        "frozen": False,
        "shipped": True,
        "region": "310000",
        "attributes": {},
        "draw_id": None,
        "drawn_by": None,
        "shipped_first": 0,
        "earlier": Earlier(3, datetime(2026, 5, 1, tzinfo=UTC), ANOTHER),
    }
    return CodeFacts(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, ScanOutcome.OK),
        ({"activated": False}, ScanOutcome.INACTIVE),
        ({"activated": False, "frozen": True, "shipped": False}, ScanOutcome.INACTIVE),
        ({"frozen": True}, ScanOutcome.FROZEN),
        ({"frozen": True, "shipped": False}, ScanOutcome.FROZEN),
        ({"frozen": True, "drawn_by": ANOTHER}, ScanOutcome.FROZEN),
        ({"frozen": True, "drawn_by": ME}, ScanOutcome.DRAWN_BY_ME),
        ({"shipped": False}, ScanOutcome.NOT_SHIPPED),
        ({"shipped": False, "needs_shipping": False}, ScanOutcome.OK),
        ({"shipped": False, "drawn_by": ANOTHER}, ScanOutcome.DRAWN_BY_ANOTHER),
        ({"drawn_by": ME}, ScanOutcome.DRAWN_BY_ME),
        ({"drawn_by": ANOTHER}, ScanOutcome.DRAWN_BY_ANOTHER),
        ({"level": CodeLevel.CASE}, ScanOutcome.PACKAGE),
        ({"level": CodeLevel.PALLET, "shipped": False}, ScanOutcome.PACKAGE),
        ({"level": CodeLevel.CASE, "frozen": True}, ScanOutcome.FROZEN),
        ({"level": CodeLevel.CASE, "activated": False}, ScanOutcome.INACTIVE),
    ],
)
def test_the_outcome_of_facts(changes: dict[str, object], outcome: ScanOutcome) -> None:
    assert decide(facts(**changes), [ME]) is outcome


def test_the_draws_of_the_whole_cluster_are_mine() -> None:
    assert decide(facts(drawn_by=ANOTHER), [ME, ANOTHER]) is ScanOutcome.DRAWN_BY_ME


def test_only_an_activated_unfrozen_undrawn_deliverable_code_is_ok() -> None:
    for activated, frozen, shipped, needed, drawn in product([True, False], repeat=5):
        outcome = decide(
            facts(
                activated=activated,
                frozen=frozen,
                shipped=shipped,
                needs_shipping=needed,
                drawn_by=ANOTHER if drawn else None,
            ),
            [ME],
        )
        may_be_drawn = activated and not frozen and not drawn and (shipped or not needed)
        assert (outcome is ScanOutcome.OK) == may_be_drawn


def test_scans_before_the_sale_do_not_count() -> None:
    assert {outcome.value for outcome in set(ScanOutcome) - UNCOUNTED} == {
        "ok",
        "frozen",
        "drawn_by_me",
        "drawn_by_another",
    }


def test_the_page_says_what_the_shopper_sees_for_each_outcome() -> None:
    page = (Path(__file__).parents[3] / "docs" / "codes.md").read_text()
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(outcome.value for outcome in ScanOutcome)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, ScanOutcome.OK),
        ({"shipped": False}, ScanOutcome.NOT_SHIPPED),
        ({"level": CodeLevel.CASE}, ScanOutcome.OK),
        ({"level": CodeLevel.CASE, "drawn_by": ME}, ScanOutcome.DRAWN_BY_ME),
        ({"level": CodeLevel.CASE, "drawn_by": ANOTHER}, ScanOutcome.DRAWN_BY_ANOTHER),
        ({"level": CodeLevel.CASE, "frozen": True}, ScanOutcome.FROZEN),
        ({"level": CodeLevel.CASE, "activated": False}, ScanOutcome.INACTIVE),
        ({"level": CodeLevel.PALLET}, ScanOutcome.PACKAGE),
    ],
)
def test_what_a_case_comes_to_for_those_who_received_it(
    changes: dict[str, object], outcome: ScanOutcome
) -> None:
    assert decide_case(facts(**changes), {ME}) is outcome
