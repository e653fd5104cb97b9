"""Rules of risk: reading them, and what they make of what was measured."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.risk.errors import InvalidPolicy
from app.risk.lists import Level, Step, Verdict, combine
from app.risk.measures import PHRASES, Measure
from app.risk.policy import STANDARD, VERDICTS, Policy, Rule, judge, parse_policy

LEAKED = Rule("leaked", {Measure.RANGE_HOUR: 60, Measure.RANGE_PERSONS_HOUR: 25}, Level.HOLD)
HASTY = Rule("hasty", {Measure.HASTY_SCANS: 5}, Level.VERIFY)
RANK = Rule("rank_4", {Measure.WECHAT_RANK: 4}, Level.REFUSE)
POLICY = Policy((LEAKED, HASTY, RANK))


def document(**changes: Any) -> dict[str, Any]:
    rule = {"key": "hasty", "when": {"hasty_scans": 5}, "verdict": "verify"}
    return {"schema": 1, "rules": [rule], **changes}


def test_a_rule_is_hit_when_every_measure_reaches_its_number() -> None:
    assert judge({Measure.RANGE_HOUR: 60}, POLICY) == Verdict(Level.PASS)
    found = judge({Measure.RANGE_HOUR: 60, Measure.RANGE_PERSONS_HOUR: 25}, POLICY)
    assert found == Verdict(Level.HOLD, ("leaked",))
    assert judge({Measure.RANGE_HOUR: 59, Measure.RANGE_PERSONS_HOUR: 99}, POLICY).level is Level.PASS


def test_the_strictest_counts_and_every_hit_is_a_reason() -> None:
    signals = {Measure.HASTY_SCANS: 9, Measure.WECHAT_RANK: 4}
    assert judge(signals, POLICY) == Verdict(Level.REFUSE, ("hasty", "rank_4"))


def test_who_has_just_shown_a_phone_is_verified_unless_it_is_virtual() -> None:
    fresh = {Measure.HASTY_SCANS: 9, Measure.PHONE_FRESH: 1}
    assert judge(fresh, POLICY) == Verdict(Level.PASS, ("hasty", "verified_phone"))
    assert judge({**fresh, Measure.PHONE_VIRTUAL: 1}, POLICY).level is Level.VERIFY
    held = {**fresh, Measure.RANGE_HOUR: 60, Measure.RANGE_PERSONS_HOUR: 25}
    assert judge(held, POLICY).level is Level.HOLD


def test_a_white_person_is_not_judged_by_signals() -> None:
    assert (
        combine(Verdict(Level.PASS, ("white_person",)), Verdict(Level.REFUSE, ("rank_4",))).level
        is Level.PASS
    )
    both = combine(Verdict(Level.ABNORMAL, ("black_batch",)), Verdict(Level.HOLD, ("leaked",)))
    assert both == Verdict(Level.ABNORMAL, ("black_batch", "leaked"))


@given(st.dictionaries(st.sampled_from(Measure), st.integers(1, 5000)))
def test_more_of_anything_but_a_step_is_never_judged_milder(signals: dict[Measure, int]) -> None:
    order = list(Level)
    signals.pop(Measure.PHONE_FRESH, None)
    signals.pop(Measure.CAPTCHA_PASSED, None)
    more = {name: number + 1 for name, number in signals.items()}
    assert order.index(judge(more, STANDARD).level) >= order.index(judge(signals, STANDARD).level)


@given(st.dictionaries(st.sampled_from(Measure), st.integers(1, 5000)))
def test_a_verdict_has_a_reason_and_never_changes_the_odds(signals: dict[Measure, int]) -> None:
    """Contract 13.6, 14.1: the abnormal strategy is for published lists, not for thresholds."""
    verdict = judge(signals, STANDARD)
    assert verdict.level in {Level.PASS, *VERDICTS}
    assert verdict.level is Level.PASS or verdict.reasons


def test_a_policy_is_read_back_as_it_was_written() -> None:
    assert parse_policy(STANDARD.to_json()) == STANDARD
    assert parse_policy(STANDARD.to_json()).sha256 == STANDARD.sha256
    assert STANDARD.reads_rank
    assert not Policy((LEAKED,)).reads_rank


def test_a_hit_is_explained_in_both_languages() -> None:
    (events, persons) = LEAKED.explain({Measure.RANGE_HOUR: 77, Measure.RANGE_PERSONS_HOUR: 30})
    assert "77" in events.zh
    assert "77" in events.en
    assert "30" in persons.en
    assert set(PHRASES) == set(Measure)


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (None, "object"),
        (document(schema=2), "schema"),
        (document(odds=1), "odds"),
        (document(rules={}), "rules"),
        (document(rules=[{"key": "a", "when": {"hasty_scans": 1}}]), "rules[0]"),
        (document(rules=[{"key": "A b", "when": {"hasty_scans": 1}, "verdict": "hold"}]), "key"),
        (document(rules=[{"key": "a", "when": {}, "verdict": "hold"}]), "when"),
        (document(rules=[{"key": "a", "when": {"shoe_size": 1}, "verdict": "hold"}]), "shoe_size"),
        (document(rules=[{"key": "a", "when": {"hasty_scans": 0}, "verdict": "hold"}]), "hasty_scans"),
        (document(rules=[{"key": "a", "when": {"hasty_scans": True}, "verdict": "hold"}]), "hasty_scans"),
        (document(rules=[{"key": "a", "when": {"hasty_scans": 1}, "verdict": "abnormal"}]), "verdict"),
        (document(rules=document()["rules"] * 2), "twice"),
        (document(mark_after=0), "mark_after"),
        (document(mark_days="30"), "mark_days"),
    ],
)
def test_what_cannot_be_read_is_said(bad: object, word: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(bad)
    assert word in refused.value.detail


def test_every_fault_is_listed_at_once() -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(document(schema=3, mark_after=-1))
    assert len(refused.value.faults) == 2


SLOW = Rule("slow", {Measure.PERSON_HOUR: 3}, Level.VERIFY, Step.CAPTCHA)


def test_each_rule_says_which_step_it_asks_for() -> None:
    policy = Policy((HASTY, SLOW))
    slow, both = {Measure.PERSON_HOUR: 3}, {Measure.PERSON_HOUR: 3, Measure.HASTY_SCANS: 9}
    assert judge(slow, policy) == Verdict(Level.VERIFY, ("slow",), Step.CAPTCHA)
    # A phone lasts a day, a captcha one draw: the phone comes first.
    assert judge(both, policy) == Verdict(Level.VERIFY, ("hasty", "slow"), Step.PHONE)
    shown = {**both, Measure.PHONE_FRESH: 1}
    assert judge(shown, policy) == Verdict(Level.VERIFY, ("hasty", "slow", "verified_phone"), Step.CAPTCHA)
    every = ("hasty", "slow", "verified_captcha", "verified_phone")
    assert judge({**shown, Measure.CAPTCHA_PASSED: 1}, policy) == Verdict(Level.PASS, every)


def test_one_step_is_not_the_other() -> None:
    solved = {Measure.HASTY_SCANS: 9, Measure.CAPTCHA_PASSED: 1}
    assert judge(solved, POLICY) == Verdict(Level.VERIFY, ("hasty",), Step.PHONE)
    shown = {Measure.PERSON_HOUR: 3, Measure.PHONE_FRESH: 1}
    assert judge(shown, Policy((SLOW,))) == Verdict(Level.VERIFY, ("slow",), Step.CAPTCHA)
    assert combine(Verdict(Level.PASS), judge(shown, Policy((SLOW,)))).step is Step.CAPTCHA
    assert combine(Verdict(Level.REFUSE, ("black_batch",)), judge(shown, Policy((SLOW,)))).step is None


def test_where_no_captcha_can_be_checked_the_phone_is_asked_for() -> None:
    policy = Policy((LEAKED, SLOW))
    assert policy.asks_for_captcha
    plain = policy.without_captcha
    assert not plain.asks_for_captcha
    assert judge({Measure.PERSON_HOUR: 3}, plain).step is Step.PHONE
    assert judge({Measure.PERSON_HOUR: 3, Measure.PHONE_FRESH: 1}, plain).level is Level.PASS


def test_a_step_is_written_read_and_hashed_and_the_phone_is_what_was_always_meant() -> None:
    plain = parse_policy(document())
    assert plain.rules[0].step is Step.PHONE
    assert parse_policy(document(rules=[document()["rules"][0] | {"step": "phone"}])).sha256 == plain.sha256
    asking = parse_policy(document(rules=[document()["rules"][0] | {"step": "captcha"}]))
    assert asking.rules[0].step is Step.CAPTCHA
    assert parse_policy(asking.to_json()) == asking
    assert asking.sha256 != plain.sha256


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"step": "quiz"}, "rules[0].step: one of phone, captcha"),
        ({"step": None}, "rules[0].step: one of"),
        ({"step": "captcha", "verdict": "hold"}, "only a rule whose verdict is verify"),
    ],
)
def test_a_step_that_cannot_be_asked_for_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse_policy(document(rules=[document()["rules"][0] | changes]))
    assert fault in str(refused.value)
