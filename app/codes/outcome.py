"""What a scan of a code comes to, decided from facts alone.

A scan burns nothing: whoever checks codes in the factory, the warehouse or the shop changes nothing for
the shopper. Only a draw claims a code. `docs/codes.md` says what the shopper sees for each outcome.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Placement(StrEnum):
    """Where the code is printed: for everybody to see, or where only a buyer gets."""

    OUTSIDE = "outside"
    UNDER_CAP = "under_cap"


class CodeLevel(StrEnum):
    """What a code of a batch is printed on (CODE-03)."""

    ITEM = "item"
    CASE = "case"
    PALLET = "pallet"


class ScanOutcome(StrEnum):
    """What a scan comes to."""

    OK = "ok"
    UNKNOWN = "unknown"
    ALTERED = "altered"
    INACTIVE = "inactive"
    FROZEN = "frozen"
    NOT_SHIPPED = "not_shipped"
    DRAWN_BY_ME = "drawn_by_me"
    DRAWN_BY_ANOTHER = "drawn_by_another"
    PACKAGE = "package"


# A scan in the factory or the warehouse: it says nothing about who had the product before the shopper.
UNCOUNTED = frozenset(
    {
        ScanOutcome.UNKNOWN,
        ScanOutcome.ALTERED,
        ScanOutcome.INACTIVE,
        ScanOutcome.NOT_SHIPPED,
        ScanOutcome.PACKAGE,
    }
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """The scans of a code since it could be sold: how many, when and by whom the first was."""

    scans: int = 0
    first_at: datetime | None = None
    first_by: int | None = None


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What is known of one genuine code.

    `region` (adcode) and `attributes` (case, channel, order, origin, dealer) are those of its shipment;
    `shipped_first` is the first index of the range that was shipped together. `earlier` is None where it was
    not asked for: a draw does not depend on it.
    """

    batch_id: int
    code_index: int
    brand_id: int
    product_id: int
    lot: str
    level: CodeLevel
    placement: Placement
    needs_shipping: bool
    activated: bool
    frozen: bool
    shipped: bool
    region: str | None
    attributes: Mapping[str, str]
    draw_id: int | None
    drawn_by: int | None
    shipped_first: int | None
    earlier: Earlier | None


def decide_case(facts: CodeFacts, person_ids: Collection[int]) -> ScanOutcome:
    """Return what a code comes to for store staff, who may draw with the cases that their dealer received.

    Of everything but cases, what `decide` says; whether the case was sent to their dealer, the caller asks.
    """
    outcome = decide(facts, person_ids)
    if outcome is not ScanOutcome.PACKAGE or facts.level is not CodeLevel.CASE:
        return outcome
    return ScanOutcome.OK if facts.drawn_by is None else ScanOutcome.DRAWN_BY_ANOTHER


def decide(facts: CodeFacts, person_ids: Collection[int]) -> ScanOutcome:
    """Return what a scan by the person with `person_ids` (all ids of the cluster) comes to (CODE-08, 11, 12).

    Who has drawn sees the result whatever has happened to the code since. A frozen code tells nothing
    more, so that an emergency stop shows one picture to everybody.
    """
    if facts.drawn_by is not None and facts.drawn_by in person_ids:
        return ScanOutcome.DRAWN_BY_ME
    if not facts.activated:
        return ScanOutcome.INACTIVE
    if facts.frozen:
        return ScanOutcome.FROZEN
    if facts.level is not CodeLevel.ITEM:
        return ScanOutcome.PACKAGE  # what a case holds is not the shopper's who scans it
    if facts.drawn_by is not None:
        return ScanOutcome.DRAWN_BY_ANOTHER
    if facts.needs_shipping and not facts.shipped:
        return ScanOutcome.NOT_SHIPPED
    return ScanOutcome.OK
