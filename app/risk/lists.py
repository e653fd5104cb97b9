"""Black and white lists: pure matching, so that a verdict can be replayed (RISK-03).

A white entry exempts, but not beyond what it is about: a white person is trusted whatever the code or the
address; a white address (the brand's own office, say) clears only what is held against that address, not
a black-listed person who happens to sit there.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ListKind(StrEnum):
    """Which list an entry is on."""

    BLACK = "black"
    WHITE = "white"


class SubjectKind(StrEnum):
    """What an entry is about."""

    PERSON = "person"
    PHONE = "phone"
    ADDRESS = "address"
    BATCH = "batch"


class Level(StrEnum):
    """What a verdict leads to, from the mildest to the strictest.

    The normal walk; a step that shows a real person first; a draw whose award waits for a review; the
    campaign's published abnormal strategy; no draw at all.
    """

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    VERIFY = "verify"
    HOLD = "hold"
    ABNORMAL = "abnormal"
    REFUSE = "refuse"


class Step(StrEnum):
    """What a verification asks for, in the order in which they are asked: what lasts longest comes first."""

    PHONE = "phone"
    CAPTCHA = "captcha"


LISTED = (Level.PASS, Level.ABNORMAL, Level.REFUSE)
"""What an entry of a list may lead to; the other levels come from signals (app.risk.policy)."""

WHITE_PERSON = "white_person"
_ORDER = {level: number for number, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody or something that a list may name. `digest`: a keyed hash, 32 bytes, never the value."""

    kind: SubjectKind
    digest: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a list. `effect` is what a black entry leads to; `expires_at` None means it stays."""

    kind: ListKind
    subject: Subject
    effect: Level
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What lists and rules say, with the reasons as stable codes in ascending order.

    `step` is what a verification asks for; None at any other level.
    """

    level: Level
    reasons: tuple[str, ...] = ()
    step: Step | None = None


def judge(entries: Iterable[Entry], subjects: Collection[Subject], now: datetime) -> Verdict:
    """Return the verdict over `subjects`: the strictest live black entry that no white entry exempts.

    Args: entries may be any superset of those that match; `now` is aware. An entry ends at its
    `expires_at`, that moment excluded. Source: RISK-03.
    """
    live = [
        entry
        for entry in entries
        if entry.subject in subjects and (entry.expires_at is None or entry.expires_at > now)
    ]
    white = {entry.subject for entry in live if entry.kind is ListKind.WHITE}
    if any(subject.kind is SubjectKind.PERSON for subject in white):
        return Verdict(Level.PASS, (WHITE_PERSON,))
    black = [entry for entry in live if entry.kind is ListKind.BLACK and entry.subject not in white]
    levels = {entry.effect for entry in black}
    reasons = {f"black_{entry.subject.kind}" for entry in black}
    reasons |= {f"white_{subject.kind}" for subject in white}
    return Verdict(strictest(levels), tuple(sorted(reasons)))


def strictest(levels: Iterable[Level]) -> Level:
    """Return the strictest of some levels, PASS when there is none."""
    return max(levels, key=_ORDER.__getitem__, default=Level.PASS)


def combine(listed: Verdict, signalled: Verdict) -> Verdict:
    """Return what lists and signals come to together: the strictest, with all reasons.

    Who is white-listed in person is not judged by signals.
    """
    if WHITE_PERSON in listed.reasons:
        return listed
    level = strictest((listed.level, signalled.level))
    reasons = tuple(sorted({*listed.reasons, *signalled.reasons}))
    return Verdict(level, reasons, signalled.step if level is Level.VERIFY else None)
