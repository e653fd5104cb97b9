"""One access token per account, fetched once, however many threads and processes need it.

Tokens that are fetched independently kill one another (platform contracts 0.3). So the token lives in the
database, sealed, and whoever finds it old takes a lease on its row, measured by the database's clock, and
fetches the next while the others go on with the old one or wait. A lease that was lost (a killed process)
runs out; a fence keeps its late result from overwriting a newer one.

A token that the platform refuses before its time is reported with `reject`, which compares: fifty requests
that all failed with the same dead token lead to one fetch. Should the platform answer that fetch with the
very token it refuses, a refresh is forced; 20 of these a day and 30 seconds between two are all that the
platform allows (1.3), so they are counted in the row, before they are made.

Each step is a short transaction of its own. The network is used between them, never inside one.
"""

import hmac
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.db.engine import Database, db_now
from app.db.once import insert_once
from app.db.secrets import SealBroken
from app.gateways.models import PlatformToken, TokenKind
from app.gateways.wechat import PlatformFault

# The platform hands out a new token only in the last five minutes of the old one; before, it repeats it.
_OVERLAP = timedelta(seconds=240)
_SOONEST_REFRESH = timedelta(seconds=30)
# A token is not used in its last seconds: it would die on the way.
_LAST_SECONDS = timedelta(seconds=10)
_COOLING = timedelta(seconds=2)
# The platform's limits, with a margin for the time that a request travels.
_FORCED_PER_DAY = 20
_FORCED_DAY_SECONDS = 24 * 3600 + 60
_FORCED_GAP_SECONDS = 35
_NONE_IN_TIME = "timeout"
_STILL_REFUSED = "still_refused"


@dataclass(frozen=True, slots=True)
class FetchedToken:
    """A token as the platform gave it, good for `lifetime_seconds`."""

    token: str = field(repr=False)
    lifetime_seconds: int


# Fetches a token; forced when the argument is true. Raises PlatformFault. It must end within the lease.
TokenFetch = Callable[[bool], FetchedToken]


class TokenProvider:
    """The tokens of all accounts. One instance per process, shared by its threads."""

    def __init__(self, db: Database, *, lease_seconds: float = 25.0, wait_seconds: float = 5.0) -> None:
        self._db = db
        self._lease = timedelta(seconds=lease_seconds)
        self._wait_seconds = wait_seconds
        self._slots: dict[tuple[str, TokenKind], _Slot] = {}
        self._slots_lock = threading.Lock()

    def token(self, account: str, kind: TokenKind, fetch: TokenFetch) -> str:
        """Return a token of `account` that is believed to work; call `fetch` if nobody has one.

        Raises PlatformFault when there is none: the fetch failed, here or elsewhere a moment ago, or whoever
        fetches takes longer than `wait_seconds`.
        """
        slot = self._slot(account, kind)
        held = slot.fresh()
        if held is not None:
            return held
        if not slot.lock.acquire(blocking=False):
            held = slot.usable()
            if held is not None:
                return held
            if not slot.lock.acquire(timeout=self._wait_seconds):
                raise PlatformFault(_NONE_IN_TIME)
        try:
            held = slot.fresh()
            return held if held is not None else self._obtain(slot, fetch)
        finally:
            slot.lock.release()

    def reject(self, account: str, kind: TokenKind, token: str) -> None:
        """Say that the platform refused `token`. Nothing happens if another has taken its place."""
        slot = self._slot(account, kind)
        slot.drop(token)
        self._db.transact(partial(_mark_rejected, slot.account, slot.kind, token))

    def _slot(self, account: str, kind: TokenKind) -> "_Slot":
        with self._slots_lock:
            return self._slots.setdefault((account, kind), _Slot(account, kind))

    def _obtain(self, slot: "_Slot", fetch: TokenFetch) -> str:
        """Read, wait for or fetch the token; the slot's lock is held."""
        give_up_at = time.monotonic() + self._wait_seconds
        while True:
            claim = self._db.transact(partial(_claim, slot.account, slot.kind, self._lease))
            if claim.fence is not None:
                return self._fetch(slot, fetch, claim)
            if claim.holding is not None:
                slot.hold(claim.holding)
                return claim.holding.token
            if claim.failure is not None:
                raise PlatformFault(claim.failure, claim.failure_errcode)
            if time.monotonic() >= give_up_at:
                raise PlatformFault(_NONE_IN_TIME)
            time.sleep(random.uniform(0.05, 0.15))  # noqa: S311 - jitter, not a secret

    def _fetch(self, slot: "_Slot", fetch: TokenFetch, claim: "_Claim") -> str:
        assert claim.fence is not None
        fault: PlatformFault | None = None
        try:
            fetched = fetch(False)
            if claim.rejected is not None and hmac.compare_digest(fetched.token, claim.rejected):
                if not self._db.transact(partial(_reserve_forced, slot.account, slot.kind, claim.fence)):
                    raise PlatformFault(_STILL_REFUSED)
                fetched = fetch(True)
            holding = self._db.transact(partial(_store, slot.account, slot.kind, claim, fetched))
            slot.hold(holding)
            return holding.token
        except PlatformFault as error:
            fault = error
        self._db.transact(partial(_fail, slot.account, slot.kind, claim.fence, fault))
        if claim.holding is None:
            raise fault
        slot.hold(claim.holding)
        return claim.holding.token


@dataclass(frozen=True, slots=True)
class _Holding:
    """A token with what is left of its life, in seconds from when it was read."""

    token: str = field(repr=False)
    fresh_seconds: float
    usable_seconds: float


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the row says: take `holding`, or fetch (`fence` is set), or fail, or (all None) wait.

    With a fence, `holding` is the old token if it still works, and `rejected` the one that does not.
    """

    now: datetime
    holding: _Holding | None = None
    fence: int | None = None
    rejected: str | None = field(default=None, repr=False)
    failure: str | None = None
    failure_errcode: int | None = None


class _Slot:
    """What this process knows of one token. `lock` is held by the one thread that asks the database."""

    def __init__(self, account: str, kind: TokenKind) -> None:
        self.account = account
        self.kind = kind
        self.lock = threading.Lock()
        self._held: tuple[str, float, float] | None = None
        self._dead: str | None = None

    def hold(self, holding: _Holding) -> None:
        # A thread that read the row before the rejection must not bring the dead token back.
        if holding.token == self._dead:
            return
        now = time.monotonic()
        self._held = (holding.token, now + holding.fresh_seconds, now + holding.usable_seconds)

    def drop(self, token: str) -> None:
        self._dead = token
        held = self._held
        if held is not None and held[0] == token:
            self._held = None

    def fresh(self) -> str | None:
        held = self._held
        return held[0] if held is not None and time.monotonic() < held[1] else None

    def usable(self) -> str | None:
        held = self._held
        return held[0] if held is not None and time.monotonic() < held[2] else None


def may_force(forced_at: Sequence[int], now: datetime) -> bool:
    """Tell whether the platform allows another forced refresh at `now`, after those at `forced_at`."""
    second = int(now.timestamp())
    recent = [at for at in forced_at if second - at < _FORCED_DAY_SECONDS]
    return len(recent) < _FORCED_PER_DAY and all(second - at >= _FORCED_GAP_SECONDS for at in recent)


def _row(session: Session, account: str, kind: TokenKind) -> PlatformToken:
    """Return the row, locked; make it if it is not there."""
    key = (account, kind)
    try:
        row = session.get(PlatformToken, key, with_for_update=True)
    except SealBroken:
        # Its master key was retired. The token is worth no more than the fetch of another.
        mine = (PlatformToken.account == account, PlatformToken.kind == kind)
        session.execute(update(PlatformToken).where(*mine).values(token=None))
        row = session.get(PlatformToken, key, with_for_update=True)
    if row is None:
        table = PlatformToken.__table__
        values = {"account": account, "kind": kind, "fence": 0, "forced_at": []}
        insert_once(session, table.insert(), values)  # type: ignore[attr-defined]
        row = session.get(PlatformToken, key, with_for_update=True)
    assert row is not None
    return row


def _held_by(row: PlatformToken, now: datetime) -> _Holding | None:
    """Return the row's token, if it can still be used at `now`."""
    if row.token is None or row.expires_at is None or row.refresh_at is None or row.rejected_at is not None:
        return None
    usable = (row.expires_at - _LAST_SECONDS - now).total_seconds()
    if usable <= 0:
        return None
    return _Holding(row.token, min(usable, (row.refresh_at - now).total_seconds()), usable)


def _claim(account: str, kind: TokenKind, lease: timedelta, session: Session) -> _Claim:
    row = _row(session, account, kind)
    now = db_now(session)
    holding = _held_by(row, now)
    if holding is not None and holding.fresh_seconds > 0:
        return _Claim(now, holding)
    leased = row.lease_until is not None and row.lease_until > now
    cooling = row.cooling_until is not None and row.cooling_until > now
    if leased or cooling:
        if holding is not None or leased:
            return _Claim(now, holding)
        return _Claim(now, failure=row.failure or _NONE_IN_TIME, failure_errcode=row.failure_errcode)
    row.fence += 1
    row.lease_until = now + lease
    rejected = row.token if row.rejected_at is not None else None
    return _Claim(now, holding, row.fence, rejected)


def _store(account: str, kind: TokenKind, claim: _Claim, fetched: FetchedToken, session: Session) -> _Holding:
    """Write the fetched token, unless a later fetch has begun; return it either way."""
    row = _row(session, account, kind)
    # Counted from before the fetch, so that our idea of its end is never later than the platform's.
    expires_at = claim.now + timedelta(seconds=fetched.lifetime_seconds)
    refresh_at = max(expires_at - _OVERLAP, claim.now + _SOONEST_REFRESH)
    if row.fence == claim.fence:
        row.token = fetched.token
        row.expires_at = expires_at
        row.refresh_at = refresh_at
        row.rejected_at = row.lease_until = row.cooling_until = None
        row.failure = row.failure_errcode = None
    now = db_now(session)
    usable = (expires_at - _LAST_SECONDS - now).total_seconds()
    return _Holding(fetched.token, min(usable, (refresh_at - now).total_seconds()), usable)


def _fail(account: str, kind: TokenKind, fence: int, fault: PlatformFault, session: Session) -> None:
    """End the lease and let nobody else run into the same wall for a moment."""
    row = _row(session, account, kind)
    if row.fence == fence:
        row.lease_until = None
        row.cooling_until = db_now(session) + _COOLING
        row.failure = fault.reason
        row.failure_errcode = fault.errcode


def _mark_rejected(account: str, kind: TokenKind, token: str, session: Session) -> None:
    row = _row(session, account, kind)
    if row.token is not None and row.rejected_at is None and hmac.compare_digest(row.token, token):
        row.rejected_at = db_now(session)


def _reserve_forced(account: str, kind: TokenKind, fence: int, session: Session) -> bool:
    """Count a forced refresh that is about to be made; False if the limits forbid it."""
    row = _row(session, account, kind)
    now = db_now(session)
    if row.fence != fence or not may_force(row.forced_at, now):
        return False
    second = int(now.timestamp())
    row.forced_at = [at for at in row.forced_at if second - at < _FORCED_DAY_SECONDS] + [second]
    return True
