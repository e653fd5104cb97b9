"""access_tokens with the platform's real manners: two kinds that ignore each other, and old ones that die.

Source: contracts 0.3, 1.2, 1.3. Tokens live in memory only: after a restart every old one answers 40001,
which is a thing that a client has to live with anyway.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

from sandbox.clock import SandboxClock
from sandbox.errors import WeChatError

LIFETIME_SECONDS = 7200
OVERLAP_SECONDS = 300
# 512 characters: as long as a client must be able to store (0.3), so that a narrow column shows.
TOKEN_BYTES = 384
FORCED_PER_DAY = 20
FORCED_APART_SECONDS = 30


@dataclass(slots=True)
class _Token:
    text: str
    appid: str
    expires_at: float
    # When a successor was issued, the moment at which this one dies before its time.
    dies_at: float | None = None


@dataclass(slots=True)
class _Shelf:
    """The tokens of one app: the newest of each kind and when it was forced."""

    plain: _Token | None = None
    stable: _Token | None = None
    corp: _Token | None = None
    forced_at: list[float] = field(default_factory=list)


class Tokens:
    """Issues and checks access_tokens."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_text: dict[str, _Token] = {}
        self._shelves: dict[str, _Shelf] = {}

    def issue_plain(self, appid: str) -> tuple[str, int]:
        """A new token by ``/cgi-bin/token``; the one before it dies in 5 minutes. (token, seconds to
        live)."""
        with self._lock:
            shelf = self._shelves.setdefault(appid, _Shelf())
            now = self._clock.now()
            if shelf.plain is not None:
                shelf.plain.dies_at = now + OVERLAP_SECONDS
            shelf.plain = self._new(appid, now)
            return shelf.plain.text, LIFETIME_SECONDS

    def issue_stable(self, appid: str, *, force: bool, limited: bool) -> tuple[str, int]:
        """The token of ``/cgi-bin/stable_token`` and its seconds to live.

        Normal mode repeats the token until its last 5 minutes; then both the old and the new one are valid.
        force kills the old one at once; with ``limited`` it raises 45011 within 30 s of the last time and
        45009 after 20 times a day.
        """
        with self._lock:
            shelf = self._shelves.setdefault(appid, _Shelf())
            now = self._clock.now()
            current = shelf.stable
            if force:
                shelf.forced_at = [at for at in shelf.forced_at if at > now - 86400]
                if limited and shelf.forced_at and now - shelf.forced_at[-1] < FORCED_APART_SECONDS:
                    raise WeChatError(45011)
                if limited and len(shelf.forced_at) >= FORCED_PER_DAY:
                    raise WeChatError(45009)
                shelf.forced_at.append(now)
                if current is not None:
                    current.dies_at = now
            elif current is not None and current.expires_at - now > OVERLAP_SECONDS:
                return current.text, int(current.expires_at - now)
            shelf.stable = self._new(appid, now)
            return shelf.stable.text, LIFETIME_SECONDS

    def issue_corp(self, corpid: str) -> tuple[str, int]:
        """The token of ``/cgi-bin/gettoken``, the same one while it lives, and its seconds to live (0.3)."""
        with self._lock:
            shelf = self._shelves.setdefault(corpid, _Shelf())
            now = self._clock.now()
            if shelf.corp is None or now >= shelf.corp.expires_at:
                shelf.corp = self._new(corpid, now)
            return shelf.corp.text, int(shelf.corp.expires_at - now)

    def check(self, text: str | None) -> str:
        """The appid of a token that is valid now; else WeChatError 41001, 42001 or 40001."""
        if not text:
            raise WeChatError(41001)
        with self._lock:
            token = self._by_text.get(text)
            now = self._clock.now()
            if token is None or (token.dies_at is not None and now >= token.dies_at):
                raise WeChatError(40001)
            if now >= token.expires_at:
                raise WeChatError(42001)
            return token.appid

    def _new(self, appid: str, now: float) -> _Token:
        token = _Token(secrets.token_urlsafe(TOKEN_BYTES), appid, now + LIFETIME_SECONDS)
        self._by_text[token.text] = token
        return token
