import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.campaigns.draw import decide
from app.campaigns.facts import DrawFacts
from app.campaigns.rules import Rules
from app.campaigns.seed import Chance, Commitment, DrawStream, commit
from app.campaigns.verify import DrawRecord, make_record, verify
from tests.factories.campaigns import FRIDAY, MONDAY, SEED, facts, multiplier, rules

SALT = b"s" * 32
COMMITMENT = Commitment(SEED, SALT, commit(SEED, SALT))


def weekday_rules() -> Rules:
    return rules(
        multipliers=[multiplier("friday", 20_000, when={"weekdays": [5]})],
        multiplier_cap_bps=20_000,
        times_stated=True,
    )


def record(of: Rules, found: DrawFacts | None = None, code_index: int = 41) -> DrawRecord:
    seen = found or facts(tags=("fan",), tier="gold", sku="cola-500")
    chance = Chance(campaign_id=7, batch_id=3, code_index=code_index)
    return make_record(
        draw_id=1,
        version=1,
        chance=chance,
        scan_id=2,
        person_id=5,
        rules=of,
        facts=seen,
        outcome=decide(seen, of, DrawStream(SEED, chance)),
    )


def mismatches(of: DrawRecord, seal: str, under: Rules, commitment: Commitment = COMMITMENT) -> set[str]:
    return {mismatch.field for mismatch in verify(of, seal, under, commitment)}


@given(code_index=st.integers(0, 1 << 27), friday=st.booleans(), budget=st.integers(0, 300))
def test_a_draw_verifies_by_its_own_record(code_index: int, friday: bool, budget: int) -> None:
    of = weekday_rules()
    made = record(of, facts(at=FRIDAY if friday else MONDAY, budget_left_fen=budget), code_index)
    assert verify(made, made.seal(SEED), of, COMMITMENT) == []


@pytest.mark.parametrize("name", [item.name for item in fields(DrawRecord)])
def test_a_change_of_any_field_of_the_record_is_found(name: str) -> None:
    of = weekday_rules()
    made = record(of)
    value: Any = getattr(made, name)
    changed = {
        "at": lambda: value + timedelta(microseconds=1),
        "facts": lambda: {**value, "tier": "diamond"},
        "outcome": lambda: {**value, "amount_fen": value["amount_fen"] + 1},
        "rules_sha256": lambda: "0" * 64,
    }.get(name, lambda: value + 1)()
    assert mismatches(replace(made, **{name: changed}), made.seal(SEED), of)


def test_a_change_of_any_fact_is_found_even_where_the_outcome_stays() -> None:
    of = weekday_rules()
    made = record(of)
    for name, value in made.facts.items():
        bent = {**made.facts, name: _other(value)}
        assert "seal" in mismatches(replace(made, facts=bent), made.seal(SEED), of), name
        without = {key: kept for key, kept in made.facts.items() if key != name}
        assert "seal" in mismatches(replace(made, facts=without), made.seal(SEED), of), name


def test_a_change_of_any_part_of_the_outcome_is_named() -> None:
    of = weekday_rules()
    made = record(of)
    for name, value in made.outcome.items():
        bent = replace(made, outcome={**made.outcome, name: _other(value)})
        assert f"outcome.{name}" in mismatches(bent, made.seal(SEED), of)
    extra = replace(made, outcome={**made.outcome, "bonus": 1})
    assert "outcome.bonus" in mismatches(extra, made.seal(SEED), of)


def test_a_change_that_its_author_sealed_again_with_the_seed_is_still_caught_by_recomputing() -> None:
    of = weekday_rules()
    made = record(of)
    bent = replace(made, outcome={**made.outcome, "amount_fen": 10_000})
    assert mismatches(bent, bent.seal(SEED), of) == {"outcome.amount_fen"}


def test_a_record_whose_moment_is_not_that_of_its_facts_is_found() -> None:
    of = weekday_rules()
    made = record(of)
    moved = replace(made, at=made.at + timedelta(days=4))
    assert mismatches(moved, moved.seal(SEED), of) == {"facts.at"}


def test_other_rules_are_found() -> None:
    of = weekday_rules()
    made = record(of)
    assert "rules_sha256" in mismatches(made, made.seal(SEED), rules())


def test_another_seed_is_found() -> None:
    of = weekday_rules()
    made = record(of)
    other = Commitment(b"x" * 32, SALT, COMMITMENT.sha256)
    assert {"commitment", "seal"} <= mismatches(made, made.seal(SEED), of, other)


@pytest.mark.parametrize("bent", [{}, {"at": "never"}, {"phone": "1"}])
def test_facts_that_cannot_be_read_are_a_mismatch_and_not_an_exception(bent: dict[str, Any]) -> None:
    of = weekday_rules()
    made = record(of)
    changed = replace(made, facts=bent if not bent else {**made.facts, **bent})
    assert any(name.startswith("facts.") for name in mismatches(changed, made.seal(SEED), of))


def test_the_seal_stays_the_same_after_a_trip_through_json() -> None:
    made = record(weekday_rules())
    stored = replace(
        made, facts=json.loads(json.dumps(made.facts)), outcome=json.loads(json.dumps(made.outcome))
    )
    assert stored.seal(SEED) == made.seal(SEED)


def _other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    return None if value else ["x"]
