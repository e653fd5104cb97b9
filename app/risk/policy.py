"""A set of limits and what reaching them leads to: immutable, hashed, pure (RISK-01, 02, 07, 08).

A rule names measures with the number that each must reach; when all do, its verdict counts and its key is
the reason. The verdicts are a verification, a review, a refusal: never other odds. Odds are published, and
lowering them in secret for one person would break the promise (contract 13.6, 14.1). A verification asks for
a phone number or for a captcha: each rule says which.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from app.kernel.json import Json, canonical
from app.risk.errors import InvalidPolicy
from app.risk.lists import Level, Step, Verdict, strictest
from app.risk.measures import PHRASES, RANK_MEASURES, Measure, Phrase, Signals

SCHEMA = 1
VERDICTS = (Level.VERIFY, Level.HOLD, Level.REFUSE)
VERIFIED = {Step.PHONE: "verified_phone", Step.CAPTCHA: "verified_captcha"}
"""The reason that says that a rule's step has been taken."""

_MOST_RULES = 50
_MOST = 1_000_000_000
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


@dataclass(frozen=True, slots=True)
class Rule:
    """When every measure reaches its number, the verdict counts; `step` is what a verification asks for."""

    key: str
    when: Mapping[Measure, int]
    verdict: Level
    step: Step = Step.PHONE

    def holds(self, signals: Signals) -> bool:
        """Tell whether the rule is hit."""
        return all(signals.get(measure, 0) >= number for measure, number in self.when.items())

    def to_json(self) -> dict[str, Json]:
        """Return the rule in its normal form; a phone, which is what was always asked for, is not named."""
        written: dict[str, Json] = {
            "key": self.key,
            "when": {str(measure): number for measure, number in self.when.items()},
            "verdict": str(self.verdict),
        }
        return written | ({"step": str(self.step)} if self.step is not Step.PHONE else {})

    def explain(self, signals: Signals) -> list[Phrase]:
        """Return in words what was measured of what the rule asks for."""
        return [PHRASES[measure].about(signals.get(measure, 0)) for measure in self.when]


@dataclass(frozen=True)
class Policy:
    """The rules, in the order in which they were written.

    mark_after: a person with this many hits within a week goes on the black list for `mark_days` (RISK-07);
    None for nobody.
    """

    rules: tuple[Rule, ...]
    mark_after: int | None = None
    mark_days: int = 30

    @cached_property
    def reads_rank(self) -> bool:
        """Tell whether a verdict may depend on WeChat's risk rank."""
        return any(RANK_MEASURES & rule.when.keys() for rule in self.rules)

    @cached_property
    def asks_for_captcha(self) -> bool:
        """Tell whether a rule may ask for a captcha."""
        return any(rule.step is Step.CAPTCHA for rule in self.rules)

    @cached_property
    def without_captcha(self) -> "Policy":
        """Return the same limits where no captcha can be checked: a phone is asked for instead."""
        return replace(self, rules=tuple(replace(rule, step=Step.PHONE) for rule in self.rules))

    def hits(self, signals: Signals) -> list[Rule]:
        """Return the rules that are hit."""
        return [rule for rule in self.rules if rule.holds(signals)]

    def to_json(self) -> dict[str, Json]:
        """Return the policy in its normal form; reading it gives an equal policy."""
        return {
            "schema": SCHEMA,
            "rules": [rule.to_json() for rule in self.rules],
            "mark_after": self.mark_after,
            "mark_days": self.mark_days,
        }

    @cached_property
    def sha256(self) -> str:
        """Return the hash of the normal form, 64 hex digits."""
        return hashlib.sha256(canonical(self.to_json())).hexdigest()


def judge(signals: Signals, policy: Policy) -> Verdict:
    """Return the strictest verdict of the rules that are hit, with their keys as reasons, ascending.

    Pure. Who has shown a phone number within the last day, and not one of a virtual operator, or has solved a
    captcha for this draw, has taken that step: rules that ask for it count no more, and the reasons say so.
    Of two steps that are wanted the phone is named first: it lasts a day, a captcha one draw.
    """
    hits = policy.hits(signals)
    taken = _steps_taken(signals)
    asking = [rule for rule in hits if rule.verdict is Level.VERIFY]
    wanted = {rule.step for rule in asking if rule.step not in taken}
    levels = {rule.verdict for rule in hits if rule.verdict is not Level.VERIFY or rule.step in wanted}
    reasons = {rule.key for rule in hits} | {VERIFIED[rule.step] for rule in asking if rule.step in taken}
    level = strictest(levels)
    step = next((step for step in Step if step in wanted), None) if level is Level.VERIFY else None
    return Verdict(level, tuple(sorted(reasons)), step)


def _steps_taken(signals: Signals) -> set[Step]:
    shown = signals.get(Measure.PHONE_FRESH, 0) and not signals.get(Measure.PHONE_VIRTUAL, 0)
    solved = signals.get(Measure.CAPTCHA_PASSED, 0)
    return {step for step, done in ((Step.PHONE, shown), (Step.CAPTCHA, solved)) if done}


def parse_policy(document: object) -> Policy:
    """Return the policy that a JSON document says; raise InvalidPolicy with every fault."""
    faults: list[str] = []
    if not isinstance(document, dict):
        raise InvalidPolicy(["the document must be an object with `schema` and `rules`"])
    unknown = set(document) - {"schema", "rules", "mark_after", "mark_days"}
    faults += [f"{str(name)[:40]}: not known here" for name in sorted(unknown, key=str)]
    if document.get("schema") != SCHEMA:
        faults.append(f"schema: {SCHEMA} is expected")
    written = document.get("rules")
    if not isinstance(written, list) or len(written) > _MOST_RULES:
        faults.append(f"rules: a list of at most {_MOST_RULES} rules is expected")
        written = []
    rules = [_rule(value, f"rules[{number}]", faults) for number, value in enumerate(written)]
    keys = [rule.key for rule in rules]
    faults += [
        f"rules: the key {key!r} occurs twice" for key in sorted({k for k in keys if keys.count(k) > 1})
    ]
    after, days = document.get("mark_after"), document.get("mark_days", 30)
    if after is not None and not _whole(after, 1, 10_000):
        faults.append("mark_after: a number from 1 to 10000, or null")
    if not _whole(days, 1, 3660):
        faults.append("mark_days: a number from 1 to 3660")
    if faults:
        raise InvalidPolicy(faults)
    return Policy(tuple(rules), after, days)


def _rule(value: Any, path: str, faults: list[str]) -> Rule:
    if not isinstance(value, dict) or set(value) - {"step"} != {"key", "when", "verdict"}:
        faults.append(f"{path}: an object with key, when, verdict and perhaps step is expected")
        return Rule("", {}, Level.HOLD)
    key, when, verdict = value["key"], value["when"], value["verdict"]
    if not (isinstance(key, str) and 0 < len(key) <= 32 and key[0].isalpha() and set(key) <= _LETTERS):
        faults.append(f"{path}.key: small letters, digits and underscores, 32 at most")
        key = ""
    if verdict not in VERDICTS:
        faults.append(f"{path}.verdict: one of {', '.join(VERDICTS)} is expected; odds are never changed")
        verdict = Level.HOLD
    limits: dict[Measure, int] = {}
    if not isinstance(when, dict) or not when:
        faults.append(f"{path}.when: at least one measure with the number that it must reach")
        when = {}
    for name, number in when.items():
        if name not in list(Measure):
            faults.append(f"{path}.when.{str(name)[:40]}: no such measure; `saoma risk measures` lists them")
        elif not _whole(number, 1, _MOST):
            faults.append(f"{path}.when.{name}: a whole number from 1 is expected")
        else:
            limits[Measure(name)] = number
    return Rule(key, limits, Level(verdict), _step(value, path, faults))


def _step(value: Mapping[str, Any], path: str, faults: list[str]) -> Step:
    step = value.get("step", Step.PHONE)
    if step not in list(Step):
        faults.append(f"{path}.step: one of {', '.join(Step)} is expected")
        return Step.PHONE
    if "step" in value and value["verdict"] != Level.VERIFY:
        faults.append(f"{path}.step: only a rule whose verdict is verify asks for a step")
    return Step(step)


def _whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


STANDARD = Policy(
    rules=(
        # A pack that leaked: many people in one neighbourhood of codes, faster than shelves are emptied.
        Rule("leaked_range", {Measure.RANGE_HOUR: 120, Measure.RANGE_PERSONS_HOUR: 40}, Level.HOLD),
        Rule("leaked_range_day", {Measure.RANGE_DAY: 600, Measure.RANGE_PERSONS_DAY: 100}, Level.HOLD),
        Rule(
            "leaked_far",
            {Measure.RANGE_HOUR: 30, Measure.RANGE_PERSONS_HOUR: 12, Measure.FAR_FROM_SHIPMENT: 2},
            Level.HOLD,
        ),
        # A case of 24 is shared at a party; a reel is not.
        Rule("consecutive", {Measure.CONSECUTIVE_CODES: 30}, Level.HOLD),
        Rule("hasty", {Measure.HASTY_SCANS: 5}, Level.VERIFY),
        Rule("person_hour", {Measure.PERSON_HOUR: 30}, Level.VERIFY),
        Rule("person_day", {Measure.PERSON_DAY: 50}, Level.REFUSE),
        Rule("phone_day", {Measure.PHONE_DAY: 100}, Level.REFUSE),
        Rule("phone_persons", {Measure.PHONE_PERSONS: 4}, Level.HOLD),
        Rule("phone_virtual", {Measure.PHONE_VIRTUAL: 1, Measure.PERSON_DAY: 5}, Level.HOLD),
        # Thousands share one address behind a carrier's gateway: few persons with many scans are the sign.
        Rule("address_hour", {Measure.ADDRESS_HOUR: 2000}, Level.VERIFY),
        Rule("wechat_rank_3", {Measure.WECHAT_RANK: 3}, Level.VERIFY),
        Rule("wechat_rank_4", {Measure.WECHAT_RANK: 4}, Level.HOLD),
    ),
    mark_after=10,
)
"""Limits to begin with; a brand tries them on what it has observed and saves its own."""
