"""A ring with a leaked pack: what it takes, and whom else it costs something."""

import sys

import pytest

from app.db.engine import Database
from app.risk.measures import Measure
from app.risk.policy import STANDARD, Policy
from tests.simulation.ring import FULL, SMALL, Size, judged, visits

CROWDS = {name for name in Measure if name.startswith(("range_", "address_"))}
PLAIN = Policy(tuple(rule for rule in STANDARD.rules if not CROWDS & rule.when.keys()))
"""The standard rules without the signals across persons: each shopper looked at alone."""


def _run(db: Database, size: Size, *, seed: int, regions: bool = True, at_most: float = 0.03) -> None:
    hours = judged(db, visits(size, seed, regions=regions), {"standard": STANDARD, "plain": PLAIN})
    for name, hour in hours.items():
        sys.stdout.write(f"{name:>9}: {hour}\n")  # `pytest -s` shows it
    assert hours["standard"].lost < at_most
    assert hours["standard"].untouched >= 0.995
    # One at a time, every account of the ring looks like a good customer.
    assert hours["plain"].lost > 0.5


def test_a_ring_takes_little_and_honest_shoppers_notice_nothing(sqlite_db: Database) -> None:
    """A fifth of the size; `make simulate` runs the whole."""
    _run(sqlite_db, SMALL, seed=1)


@pytest.mark.simulate
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_ring_of_500_with_a_pack_of_20_000(sqlite_db: Database, seed: int) -> None:
    _run(sqlite_db, FULL, seed=seed)


@pytest.mark.simulate
def test_without_regions_of_addresses_a_ring_takes_more(sqlite_db: Database) -> None:
    """An installation without SAOMA_ADDRESS_REGIONS cannot see that a visit comes from far away."""
    _run(sqlite_db, FULL, seed=1, regions=False, at_most=0.06)
