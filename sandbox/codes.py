"""The one-shot codes that a client hands to its server: login, phone number, web authorisation.

Source: contracts 1.1, 1.4 and 12.8: valid for 5 minutes, used once. In memory only.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

from sandbox.clock import SandboxClock
from sandbox.errors import WeChatError

LIFETIME_SECONDS = 300


@dataclass(slots=True)
class Code:
    """What a code stands for. quota_empty: the exchange of a phone code finds no quota left."""

    purpose: str
    appid: str
    shopper_id: str
    virtual: bool
    scope: str
    quota_empty: bool
    expires_at: float
    used: bool = False


class Codes:
    """Issues codes and takes each of them in once."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, Code] = {}

    def issue(
        self,
        *,
        purpose: str,
        appid: str,
        shopper_id: str,
        virtual: bool = False,
        scope: str = "",
        quota_empty: bool = False,
    ) -> str:
        """A new code for ``purpose``: ``login``, ``phone`` or ``oauth``."""
        text = "0" + secrets.token_hex(16)[:31]
        expires_at = self._clock.now() + LIFETIME_SECONDS
        with self._lock:
            self._codes[text] = Code(purpose, appid, shopper_id, virtual, scope, quota_empty, expires_at)
        return text

    def look_up(self, text: str, *, purpose: str, appid: str, foreign: int = 40029) -> Code:
        """The code, which stays unused.

        WeChatError 40029 when unknown or expired, ``foreign`` when another app's, 40163 when used.
        """
        with self._lock:
            return self._usable(text, purpose, appid, foreign)

    def use(self, text: str, *, purpose: str, appid: str) -> Code:
        """The code, used up by this call: of two at the same time exactly one succeeds. Errors as look_up."""
        with self._lock:
            code = self._usable(text, purpose, appid, 40029)
            code.used = True
            return code

    def _usable(self, text: str, purpose: str, appid: str, foreign: int) -> Code:
        code = self._codes.get(text)
        if code is None or code.purpose != purpose:
            raise WeChatError(40029)
        if code.appid != appid:
            raise WeChatError(foreign)
        if code.used:
            raise WeChatError(40163)
        if self._clock.now() >= code.expires_at:
            raise WeChatError(40029)
        return code
