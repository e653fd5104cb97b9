"""Who may become one person: the rules, and the decision as a pure function.

The model is Segment's: every kind of identifier has a priority, a confidence, a limit per person, a limit
of persons within a window, and values that are blocked. Confidence decides whether an identifier joins at
all; the limits decide whether what it says can be true.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from app.identity.models import ConflictReason, IdentityRule
from app.identity.values import Claimed, IdentifierKind, sift

Slot: TypeAlias = tuple[IdentifierKind, str]
"""A kind and a scope: where a limit per person counts."""

Holdings: TypeAlias = Mapping[Slot, frozenset[bytes]]
"""What a cluster is known by: the hashes of its active identifiers, by slot."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How far one kind is trusted (ID-07).

    priority: 1 is the strongest. confidence_bps: 10000 is certain. per_person: active values that a person
    may have in a scope, None for any number. persons_limit: persons who may show one value within
    `window`, None for any number. blocked: values that stand for nobody, lower case.
    """

    kind: IdentifierKind
    priority: int
    confidence_bps: int
    per_person: int | None
    persons_limit: int | None
    window: timedelta
    blocked: frozenset[str]

    @staticmethod
    def of(row: IdentityRule) -> "Rule":
        """Return the rule that a row of the table holds."""
        return Rule(
            kind=row.kind,
            priority=row.priority,
            confidence_bps=row.confidence_bps,
            per_person=row.per_person,
            persons_limit=row.persons_limit,
            window=timedelta(days=row.window_days),
            blocked=frozenset(row.blocked),
        )


@dataclass(frozen=True, slots=True)
class Objection:
    """Why two clusters stay two, and which kind says so."""

    reason: ConflictReason
    kind: IdentifierKind | None

    @property
    def name(self) -> str:
        """What an operator calls it: "unique_disagrees:openid", "kept_apart"."""
        return self.reason.value if self.kind is None else f"{self.reason.value}:{self.kind.value}"


LIMIT_NAMES = tuple(
    Objection(reason, kind).name
    for reason in (ConflictReason.UNIQUE_DISAGREES, ConflictReason.LIMIT_EXCEEDED)
    for kind in IdentifierKind
)
"""The names of what the limits per person say against something."""

NAMES = (
    *LIMIT_NAMES,
    ConflictReason.KEPT_APART.value,
    ConflictReason.LINK_ALONE.value,
)
"""Every name that an objection of this room can have."""


class Rules:
    """All kinds' rules and the confidence from which on an identifier joins persons (ID-08)."""

    def __init__(self, rules: Iterable[Rule], *, threshold_bps: int) -> None:
        self._rules = {rule.kind: rule for rule in rules}
        self.threshold_bps = threshold_bps

    def __getitem__(self, kind: IdentifierKind) -> Rule:
        return self._rules[kind]

    def joins(self, kind: IdentifierKind) -> bool:
        """Tell whether an identifier of `kind` is trusted enough to join two persons."""
        return self._rules[kind].confidence_bps >= self.threshold_bps

    def joining_kinds(self) -> list[IdentifierKind]:
        """Return the kinds that join, ascending."""
        return sorted(kind for kind in self._rules if self.joins(kind))

    def sift(self, claims: Iterable[Claimed]) -> list[Claimed]:
        """Return the usable claims in their one spelling, the strongest first, none twice."""
        usable = {sift(claim, self._rules[claim.kind].blocked) for claim in claims} - {None}
        return sorted(
            (claim for claim in usable if claim is not None),
            key=lambda claim: (self._rules[claim.kind].priority, claim.kind, claim.scope, claim.value),
        )

    def objections(self, left: Holdings, right: Holdings, *, kept_apart: bool) -> list[Objection]:
        """Return all that speaks against making two clusters one, each kind of identifier once.

        A limit that one side has broken already (an operator overruled it) is not broken by a side that
        adds nothing to it.
        """
        found = []
        for slot in sorted(set(left) & set(right)):
            limit = self._rules[slot[0]].per_person
            one, other = left[slot], right[slot]
            if limit is not None and len(one | other) > max(limit, len(one), len(other)):
                found.append(self.excess(slot[0]))
        if kept_apart:
            found.append(Objection(ConflictReason.KEPT_APART, None))
        return list(dict.fromkeys(found))

    def objection(self, left: Holdings, right: Holdings, *, kept_apart: bool) -> Objection | None:
        """Return the first of what speaks against making two clusters one, or None."""
        return next(iter(self.objections(left, right, kept_apart=kept_apart)), None)

    def excess(self, kind: IdentifierKind) -> Objection:
        """Return what speaks against a person who has more values of a kind than its limit."""
        unique = self._rules[kind].per_person == 1
        return Objection(ConflictReason.UNIQUE_DISAGREES if unique else ConflictReason.LIMIT_EXCEEDED, kind)

    def room(self, held: Holdings, slot: Slot) -> bool:
        """Tell whether a person known by `held` may have one more value in `slot`."""
        limit = self._rules[slot[0]].per_person
        return limit is None or len(held.get(slot, ())) < limit
