"""When to try again: exponential with jitter and a cap."""

import random
from datetime import timedelta

BASE_SECONDS = 2.0
CAP_SECONDS = 15 * 60.0
PARK_AFTER_FAILURES = 20  # about three hours of trying


def delay(failures: int, *, chance: float | None = None) -> timedelta:
    """Return the pause after the `failures`-th failure in a row (1 is the first).

    Half of it is fixed and half random, so that what failed together does not come back together.
    `chance` in [0, 1) replaces the random number in tests.
    """
    ceiling = min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(failures - 1, 30))
    spread = random.random() if chance is None else chance  # noqa: S311 - jitter, not a secret
    return timedelta(seconds=ceiling / 2 + ceiling / 2 * spread)
