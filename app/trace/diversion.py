"""When scans elsewhere are a case of diversion (窜货), decided from facts alone (CODE-06).

Goods were shipped to one region and are scanned in another. One traveller who takes a case home is no
case: it takes several persons and several codes of one shipment, in one foreign prefecture, within some days.
What is known only roughly accuses nobody: a scan of which we know the province alone is foreign to another
province only, and districts of one city are one place.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from app.kernel.transitions import TransitionTable
from app.organisation.regions import COUNTRY


class DiversionState(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"


DIVERSION_TRANSITIONS = TransitionTable(
    {
        DiversionState.OPEN: (DiversionState.CONFIRMED, DiversionState.DISMISSED),
        DiversionState.CONFIRMED: (),
        DiversionState.DISMISSED: (),
    }
)


@dataclass(frozen=True, slots=True)
class DiversionRules:
    """How many different persons and codes within how many days make a case."""

    persons: int = 3
    codes: int = 3
    days: int = 30


class Sighting(NamedTuple):
    """One scan elsewhere; `person` is the same for all identities of one human being."""

    person: int
    code_index: int
    at: datetime


def is_foreign(shipped: str, found: str) -> bool:
    """Tell whether a scan in `found` is certainly outside `shipped`; both are adcodes."""
    if COUNTRY in {shipped, found}:
        return False
    if shipped[:2] != found[:2]:
        return True
    return "00" not in {shipped[2:4], found[2:4]} and shipped[2:4] != found[2:4]


def prefecture(region: str) -> str:
    """Return the prefecture that a region lies in, or the province when no more is known."""
    return region[:4] + "00"


def is_case(
    sightings: Sequence[Sighting], *, found: str, dealer_regions: Collection[str], rules: DiversionRules
) -> bool:
    """Tell whether sightings of one shipment in the region `found`, the earliest first, are a case.

    A region that the dealer may sell in is none, whatever the shipment said. The persons and the codes
    count within any stretch of `rules.days` days.
    """
    if any(not is_foreign(region, found) for region in dealer_regions):
        return False
    persons: Counter[int] = Counter()
    codes: Counter[int] = Counter()
    first = 0
    for sighting in sightings:
        persons[sighting.person] += 1
        codes[sighting.code_index] += 1
        while sightings[first].at <= sighting.at - timedelta(days=rules.days):
            _forget(persons, sightings[first].person)
            _forget(codes, sightings[first].code_index)
            first += 1
        if len(persons) >= rules.persons and len(codes) >= rules.codes:
            return True
    return False


def _forget(counts: Counter[int], key: int) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
