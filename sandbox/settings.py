"""Settings of the sandbox: from the command line, most of them changeable while it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from sandbox.errors import AdminError


@dataclass(frozen=True, slots=True)
class Settings:
    """How the sandbox behaves.

    product_url: origin of the product: the relay's only target, and where https notify_urls are delivered.
    strict_unverified: also enforce what the contracts mark as unverified.
    limits: enforce the platform's call frequencies.
    callback_speed: divisor of the callback retry delays; 1 is the real schedule.
    transfer_seconds: how long money is on its way (TRANSFERING) and a cancellation takes (CANCELING).
    expiry_state: FAIL or CANCELLED, the final state of a bill that was not confirmed within 24 hours.
    """

    product_url: str = "http://127.0.0.1:8000"
    strict_unverified: bool = False
    limits: bool = True
    callback_speed: float = 1.0
    transfer_seconds: float = 0.2
    expiry_state: str = "FAIL"


class LiveSettings:
    """The settings in force; a change replaces the whole value, so that readers need no lock."""

    def __init__(self, settings: Settings) -> None:
        self.current = check(settings)

    def change(self, changes: dict[str, Any]) -> Settings:
        """Applies ``changes`` (names as in Settings). Raises AdminError 422 on an unknown name or bad
        value."""
        known = Settings.__dataclass_fields__
        for name, value in changes.items():
            if name not in known:
                raise AdminError(
                    422, "unknown_setting", f"there is no setting {name!r}; known: {', '.join(known)}"
                )
            default = getattr(Settings(), name)
            wanted: type | tuple[type, ...] = (int, float) if isinstance(default, float) else type(default)
            if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(default, bool)):
                raise AdminError(422, "bad_setting", f"{name} must be a {type(default).__name__}")
        self.current = check(replace(self.current, **changes))
        return self.current


def check(settings: Settings) -> Settings:
    """Returns ``settings`` if every value is usable, else raises AdminError 422."""
    parts = urlsplit(settings.product_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise AdminError(422, "bad_setting", "product_url must be an origin such as http://127.0.0.1:8000")
    if not (math.isfinite(settings.callback_speed) and settings.callback_speed > 0):
        raise AdminError(422, "bad_setting", "callback_speed must be above 0")
    if not 0 <= settings.transfer_seconds <= 3600:
        raise AdminError(422, "bad_setting", "transfer_seconds must be between 0 and 3600")
    if settings.expiry_state not in ("FAIL", "CANCELLED"):
        raise AdminError(422, "bad_setting", "expiry_state must be FAIL or CANCELLED")
    return replace(settings, product_url=settings.product_url.rstrip("/"))
