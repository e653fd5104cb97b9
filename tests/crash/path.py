"""Every commit and every call on a payout's way, by the names that the product gives them.

docs/payouts.md tells what each leaves behind; a test compares both with the code. `Plan` deals them out as
fates until each has killed often enough.
"""

import random
import threading
from collections import Counter
from collections.abc import Collection

EFFECTS = ("payouts.open", "payouts.query", "payouts.close")
PHASES = ("preparing", "prepared", "calling", "performed", "settling", "lost", "settled")
LOCAL = ("inbox.pay", "fact.rewards.settle", "fact.rewards.unlock")
COMMITS = ("before-commit", "after-commit")

WEB = (
    "edge.committing",
    "edge.committed",
    "edge.recording",
    "edge.recorded",
    "payouts.opening",
    "payouts.reopening",
)
DESK = ("payouts.closing",)
JOBS = (
    "payouts.polling",
    "rewards.lapsing",
    *(f"{topic}.{phase}" for topic in EFFECTS for phase in PHASES),
    *(f"{topic}.{commit}" for topic in LOCAL for commit in COMMITS),
)
PAYOUT_PATH = (*WEB, *DESK, *JOBS)

_AT_ONCE = 12


def _is_rare(name: str) -> bool:
    """Tell whether few pass it: those whose call is overtaken, and those whose first bill has failed."""
    return name.endswith(".lost") or name == "payouts.reopening"


class Plan:
    """How often each boundary is still to kill; shared by all who send processes to their death."""

    def __init__(self, kills: int) -> None:
        """Share `kills` out evenly."""
        each, more = divmod(kills, len(PAYOUT_PATH))
        self.wanted = {name: each + (place < more) for place, name in enumerate(PAYOUT_PATH)}
        self.killed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, name: str) -> None:
        """Count a kill."""
        with self._lock:
            self.killed[name] += 1

    def left(self, among: Collection[str] = PAYOUT_PATH) -> list[str]:
        """Return the boundaries that have not killed often enough, those that lack most first."""
        with self._lock:
            lacking = {name: self.wanted[name] - self.killed[name] for name in among}
        return sorted((name for name, lack in lacking.items() if lack > 0), key=lambda name: -lacking[name])

    def fates(self, among: Collection[str], chance: random.Random, *, latest: int) -> dict[str, int]:
        """Return what may kill the next process, and at which visit: the `latest` one at most."""
        left = self.left(among)
        chosen = left[:2] + chance.sample(left[2:], min(_AT_ONCE - 2, len(left[2:])))
        # What is rare kills at once; what is common kills now and then, wherever the work has got to.
        return {name: 1 if _is_rare(name) else chance.randint(1, latest) for name in chosen}

    @property
    def kills(self) -> int:
        """How many processes have died at a boundary of the path."""
        with self._lock:
            return sum(self.killed[name] for name in PAYOUT_PATH)

    @property
    def share(self) -> float:
        """How much of the plan has been carried out, from 0 to 1."""
        with self._lock:
            done = sum(min(self.killed[name], wanted) for name, wanted in self.wanted.items())
        return done / sum(self.wanted.values())

    def table(self) -> str:
        """Return boundary and kills, one a line."""
        elsewhere = sorted(set(self.killed) - set(PAYOUT_PATH))
        lines = [f"{name:<36}{self.killed[name]:>6}" for name in PAYOUT_PATH]
        lines.append(f"{'at boundaries':<36}{self.kills:>6}")
        return "\n".join([*lines, *(f"{name:<36}{self.killed[name]:>6}" for name in elsewhere)])
