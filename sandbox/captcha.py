"""Captchas: the apps of the captcha console, and the tickets that shoppers get for solving one.

Tickets are in memory only, live for five minutes and are checked once, whatever came of it.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from dataclasses import dataclass
from ipaddress import ip_address

from sandbox.clock import SandboxClock
from sandbox.errors import AdminError
from sandbox.store import Event, Store

LIFETIME_SECONDS = 300
MESSAGES = {
    1: "OK",
    7: "CaptchaAppId does not match",
    8: "ticket expired",
    10: "ticket format error",
    15: "ticket decryption failed",
    16: "CaptchaAppId wrong format",
    21: "ticket error",
    25: "invalid ticket",
    26: "system internal error",
    31: "UnauthorizedOperation.Unauthorized",
    100: "param err",
}


@dataclass(frozen=True, slots=True)
class CaptchaApp:
    """An app of the captcha console and the account that may ask about its tickets.

    package: whether there is something left of what was paid for.
    """

    app_id: int
    app_key: str
    secret_id: str
    secret_key: str
    package: bool


@dataclass(slots=True)
class _Ticket:
    app_id: int
    shopper_id: str
    expires_at: float
    used: bool = False


class Captchas:
    """The registered apps, and tickets."""

    def __init__(self, *, store: Store, clock: SandboxClock) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._apps: dict[int, CaptchaApp] = {}
        self._tickets: dict[str, _Ticket] = {}
        store.on("captcha_app", self._apply_app)

    def register(self, *, app_id: int, app_key: str, secret_id: str, secret_key: str, package: bool) -> None:
        """Registers or replaces an app. Raises AdminError 422."""
        if app_id < 1 or not all((app_key, secret_id, secret_key)):
            raise AdminError(422, "bad_captcha_app", "app_id is a number from 1; no key may be empty")
        with self._store.lock:
            self._store.record(
                "captcha_app",
                app_id=app_id,
                app_key=app_key,
                secret_id=secret_id,
                secret_key=secret_key,
                package=package,
            )

    def secret_key(self, secret_id: str) -> str | None:
        """The secret key of an account; None for one that nobody has."""
        found = (app.secret_key for app in self._apps.values() if app.secret_id == secret_id)
        return next(found, None)

    def solve(self, shopper_id: str, app_id: int, *, fails: bool = False) -> str:
        """A ticket for a shopper who has solved a captcha; ``fails``: the one of a plugin that did not load.

        Raises AdminError 404.
        """
        if app_id not in self._apps:
            raise AdminError(
                404, "unknown_captcha_app", f"no captcha app {app_id}; see POST /_sandbox/captchas"
            )
        if fails:
            return f"trerror_1001_{app_id}_{int(self._clock.now())}"
        text = f"tr03{secrets.token_urlsafe(96)}*"
        with self._lock:
            self._tickets[text] = _Ticket(app_id, shopper_id, self._clock.now() + LIFETIME_SECONDS)
        return text

    def check(
        self, *, secret_id: str, app_id: object, app_key: object, ticket: object, address: object
    ) -> int:
        """The CaptchaCode for a ticket, which is used up by this call. The account is who it says it is."""
        if type(app_id) is not int or app_id < 1:
            return 16
        app = self._apps.get(app_id)
        texts = (app_key, ticket, address)
        if app is None or not all(isinstance(text, str) and text for text in texts):
            return 100
        if app.secret_id != secret_id or not hmac.compare_digest(app.app_key.encode(), str(app_key).encode()):
            return 100
        if not _is_address(str(address)):
            return 100
        return self._use(app, str(ticket)) if app.package else 31

    def _use(self, app: CaptchaApp, text: str) -> int:
        if text.startswith("trerror_"):
            return 21
        if not re.fullmatch(r"tr03[0-9A-Za-z_*-]{40,600}", text):
            return 10
        with self._lock:
            ticket = self._tickets.get(text)
            if ticket is None:
                return 15
            if ticket.app_id != app.app_id:
                return 7
            if ticket.used:
                return 25
            ticket.used = True
            return 8 if self._clock.now() >= ticket.expires_at else 1

    def _apply_app(self, event: Event) -> None:
        self._apps[event["app_id"]] = CaptchaApp(
            event["app_id"], event["app_key"], event["secret_id"], event["secret_key"], event["package"]
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
