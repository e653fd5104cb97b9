"""POST /cgi-bin/stable_token: the access token that a second fetch does not kill (platform contracts 1.3)."""

import random
import time

from app.gateways.tokens import FetchedToken
from app.gateways.wechat import BUSY, PlatformFault, WeChatApi
from app.identity.interfaces import AppCredentials

_TRIES = 3
_PAUSE_SECONDS = 0.2


def fetch_stable_token(api: WeChatApi, app: AppCredentials, force: bool) -> FetchedToken:  # noqa: FBT001 - the platform's own flag
    """Return the app's token; with `force` a new one, which kills the old at once.

    "Busy" is tried again at most twice, and not when forced: a forced fetch that took effect unseen has
    been counted against the daily limit. Raises PlatformFault.
    """
    body: dict[str, object] = {
        "grant_type": "client_credential",
        "appid": app.appid,
        "secret": app.secret,
        "force_refresh": force,
    }
    for attempt in range(_TRIES):
        try:
            return _read(api.post("/cgi-bin/stable_token", body))
        except PlatformFault as fault:
            if fault.errcode != BUSY or force or attempt == _TRIES - 1:
                raise
        time.sleep(_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret
    raise AssertionError("unreachable")


def _read(answer: dict[str, object]) -> FetchedToken:
    token, lifetime = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token or not isinstance(lifetime, int) or lifetime <= 0:
        raise PlatformFault("unreadable")
    return FetchedToken(token, lifetime)
