"""Checking a draw from its record: years later, by anybody who has the published rules and the seed.

Three questions: were these the promised rules and the promised seed, does the outcome follow from the
recorded facts, and is the record the one that was written. The third is answered by the seal, without
which a changed fact that happens not to change the outcome would go unseen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.campaigns.draw import Outcome, decide
from app.campaigns.facts import DrawFacts, read_facts
from app.campaigns.reader import Fault, Node, write_moment
from app.campaigns.rules import Rules
from app.campaigns.seed import Chance, Commitment, DrawStream, seal
from app.kernel.json import Json, canonical


@dataclass(frozen=True, slots=True)
class DrawRecord:
    """A draw as it is stored: who drew which chance when, under which rules, what it saw and what came."""

    draw_id: int
    campaign_id: int
    version: int
    rules_sha256: str
    batch_id: int
    code_index: int
    chance: int
    scan_id: int
    person_id: int
    at: datetime
    facts: Mapping[str, Json]
    outcome: Mapping[str, Json]

    @property
    def content(self) -> bytes:
        """Return the bytes that are sealed: every field, in canonical JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return canonical(fields | {"at": write_moment(self.at)})

    def seal(self, seed: bytes) -> str:
        """Return the seal over this record, 64 hex digits."""
        return seal(seed, self.content)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing in a record that does not agree: what it should be, and what it is."""

    field: str
    expected: Json
    found: Json


def make_record(
    *,
    draw_id: int,
    version: int,
    chance: Chance,
    scan_id: int,
    person_id: int,
    rules: Rules,
    facts: DrawFacts,
    outcome: Outcome,
) -> DrawRecord:
    """Return the record of a draw that was just decided."""
    return DrawRecord(
        draw_id=draw_id,
        campaign_id=chance.campaign_id,
        version=version,
        rules_sha256=rules.sha256,
        batch_id=chance.batch_id,
        code_index=chance.code_index,
        chance=chance.number,
        scan_id=scan_id,
        person_id=person_id,
        at=facts.at,
        facts=facts.to_json(),
        outcome=outcome.to_json(),
    )


def verify(record: DrawRecord, seal_found: str, rules: Rules, commitment: Commitment) -> list[Mismatch]:
    """Return everything about a draw that does not agree; an empty list when all of it does.

    Args: rules are those of the record's version; commitment holds the seed, and the hash that was
    published before the start. Source: the draw can be recomputed by anyone (architecture, idea 3).
    """
    found: list[Mismatch] = []
    if not commitment.holds:
        found.append(Mismatch("commitment", commitment.sha256, "another seed or salt"))
    if record.rules_sha256 != rules.sha256:
        found.append(Mismatch("rules_sha256", rules.sha256, record.rules_sha256))
    sealed = record.seal(commitment.seed)
    if seal_found != sealed:
        found.append(Mismatch("seal", sealed, seal_found))
    faults: list[Fault] = []
    facts = read_facts(Node(dict(record.facts), "", faults))
    if faults:
        found += [Mismatch(f"facts.{fault.path}", fault.detail, "unreadable") for fault in faults]
        return found
    if facts.at != record.at:
        found.append(Mismatch("facts.at", write_moment(record.at), write_moment(facts.at)))
    chance = Chance(record.campaign_id, record.batch_id, record.code_index, record.chance)
    expected = decide(facts, rules, DrawStream(commitment.seed, chance)).to_json()
    found += [
        Mismatch(f"outcome.{name}", expected.get(name), record.outcome.get(name))
        for name in sorted(expected.keys() | record.outcome.keys())
        if name not in expected or name not in record.outcome or expected[name] != record.outcome[name]
    ]
    return found
