"""WeChat's risk ranks at hand: asked for every ten minutes a login, but not while the platform is silent.

"Unknown" is an answer too: what it leads to is a rule's to say (`wechat_rank_unknown`).
"""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

from app.identity.interfaces import AppCredentials
from app.risk.interfaces import RankUnknown, RiskRanks

KEEP = timedelta(minutes=10)
KEEP_UNKNOWN = timedelta(seconds=30)
FAILURES = 3
REST = timedelta(seconds=10)


class RankDesk:
    """Keeps the ranks of one process by login, shared by all its threads; the oldest ones go."""

    def __init__(self, ranks: RiskRanks, *, capacity: int = 20_000) -> None:
        self._ranks = ranks
        self._capacity = capacity
        self._lock = threading.Lock()
        self._known: OrderedDict[int, tuple[int | None, datetime]] = OrderedDict()
        self._failures = 0
        self._rests_until: datetime | None = None

    def knows(self, session_id: int, now: datetime) -> bool:
        """Tell whether a login is not to be asked about: it is known, or the platform is left in peace."""
        with self._lock:
            found = self._known.get(session_id)
            resting = self._rests_until is not None and now < self._rests_until
            return resting or (found is not None and now < found[1])

    def recall(self, session_id: int, now: datetime) -> int | None:
        """Return the rank of a login as far as it is known and fresh."""
        with self._lock:
            found = self._known.get(session_id)
            return None if found is None or now >= found[1] else found[0]

    def ask(
        self, session_id: int, *, app: AppCredentials, openid: str, address: str, now: datetime
    ) -> int | None:
        """Ask for a rank and keep it; None when it is unknown. At most 300 ms."""
        rank: int | None
        try:
            rank = self._ranks.rank(app, openid=openid, address=address)
        except RankUnknown:
            rank = None
        with self._lock:
            self._failures = 0 if rank is not None else self._failures + 1
            if self._failures >= FAILURES:
                self._rests_until, self._failures = now + REST, 0
            self._known[session_id] = (rank, now + (KEEP if rank is not None else KEEP_UNKNOWN))
            self._known.move_to_end(session_id)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return rank
