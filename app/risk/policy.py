"""A set of limits and what reaching them leads to: immutable, hashed, pure (RISK-01, 02, 07, 08).

A rule names measures with the number that each must reach; when all do, its verdict counts and its key is
the reason. The verdicts are a verification, a review, a refusal: never other odds. Odds are published, and
lowering them in secret for one person would break the promise (contract 13.6, 14.1).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app.kernel.json import Json, canonical
from app.risk.errors import InvalidPolicy
from app.risk.lists import Level, Verdict, strictest
from app.risk.measures import PHRASES, RANK_MEASURES, Measure, Phrase, Signals

SCHEMA = 1
VERDICTS = (Level.VERIFY, Level.HOLD, Level.REFUSE)
VERIFIED = "verified_phone"
_MOST_RULES = 50
_MOST = 1_000_000_000
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


@dataclass(frozen=True, slots=True)
class Rule:
    """When every measure reaches its number, the verdict counts."""

    key: str
    when: Mapping[Measure, int]
    verdict: Level

    def holds(self, signals: Signals) -> bool:
        """Tell whether the rule is hit."""
        return all(signals.get(measure, 0) >= number for measure, number in self.when.items())

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

    def hits(self, signals: Signals) -> list[Rule]:
        """Return the rules that are hit."""
        return [rule for rule in self.rules if rule.holds(signals)]

    def to_json(self) -> dict[str, Json]:
        """Return the policy in its normal form; reading it gives an equal policy."""
        return {
            "schema": SCHEMA,
            "rules": [
                {
                    "key": rule.key,
                    "when": {str(measure): number for measure, number in rule.when.items()},
                    "verdict": str(rule.verdict),
                }
                for rule in self.rules
            ],
            "mark_after": self.mark_after,
            "mark_days": self.mark_days,
        }

    @cached_property
    def sha256(self) -> str:
        """Return the hash of the normal form, 64 hex digits."""
        return hashlib.sha256(canonical(self.to_json())).hexdigest()


def judge(signals: Signals, policy: Policy) -> Verdict:
    """Return the strictest verdict of the rules that are hit, with their keys as reasons, ascending.

    Pure. Who has shown a phone number within the last day, and not one of a virtual operator, has been
    verified: rules that ask for that count no more, and the reasons say so.
    """
    hits = policy.hits(signals)
    reasons = {rule.key for rule in hits}
    levels = {rule.verdict for rule in hits}
    shown = signals.get(Measure.PHONE_FRESH, 0) and not signals.get(Measure.PHONE_VIRTUAL, 0)
    if shown and Level.VERIFY in levels:
        levels.discard(Level.VERIFY)
        reasons.add(VERIFIED)
    return Verdict(strictest(levels), tuple(sorted(reasons)))


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
    if not isinstance(value, dict) or set(value) != {"key", "when", "verdict"}:
        faults.append(f"{path}: an object with key, when and verdict is expected")
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
    return Rule(key, limits, Level(verdict))


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
