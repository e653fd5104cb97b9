"""Tencent Cloud Captcha in mini-programs: tells whether a ticket is a captcha that somebody has solved.

`DescribeCaptchaMiniResult` of API 3.0 (2019-07-22), at one endpoint without a region. The answer's HTTP
status says nothing: what counts is `Error.Code`, or `CaptchaCode`, of which 1 alone is a pass. A ticket that
the plugin made up because it could not load (`trerror_…`) is refused like any other that is no good. Neither
the body, which holds the key of the captcha app, nor the ticket is ever logged.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests

from app.gateways.http import check_origin, make_session, run_within
from app.gateways.tc3 import CloudKey, sign
from app.risk.interfaces import Check, Finding

DEADLINE_SECONDS = 3.0
_SERVICE, _ACTION, _VERSION = "captcha", "DescribeCaptchaMiniResult", "2019-07-22"
_SLIDER = 9
_FINDINGS: Mapping[int, Finding] = {
    1: Finding.PASSED,
    # Of another captcha app, an app id that is none, parameters that do not fit together: a forger's ticket
    # gives them, and so does a wrong setting.
    7: Finding.DOUBTFUL,
    16: Finding.DOUBTFUL,
    100: Finding.DOUBTFUL,
    26: Finding.UNKNOWN,
    # No package is left, or the account owes money.
    31: Finding.BROKEN,
}
# Every other code (8 too old, 10 and 15 unreadable, 21 and 25 no good) speaks of the ticket.
_PASSING_ERRORS = ("InternalError", "RequestLimitExceeded", "LimitExceeded", "ResourceUnavailable")

_logger = logging.getLogger(__name__)


class TencentCaptchas:
    """The Captchas of Tencent Cloud."""

    def __init__(
        self,
        api_url: str,
        *,
        key: CloudKey,
        app_id: int,
        app_key: str,
        deadline_seconds: float = DEADLINE_SECONDS,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        self._origin = check_origin(api_url)
        self._key, self._app_id, self._app_key = key, app_id, app_key
        self._deadline_seconds, self._seconds = deadline_seconds, seconds
        self._session = make_session(self._origin)

    @property
    def app_id(self) -> int:
        """The captcha app that the mini-program opens."""
        return self._app_id

    def check(self, ticket: str, *, address: str) -> Check:
        """Ask about a ticket, in 3 s at most; a ticket is good for one question."""
        body = json.dumps(
            {
                "CaptchaType": _SLIDER,
                "Ticket": ticket,
                "UserIp": address,
                "CaptchaAppId": self._app_id,
                "AppSecretKey": self._app_key,
            }
        ).encode()
        try:
            found = run_within(self._deadline_seconds, lambda: self._post(body))
        except requests.Timeout:
            found = Check(Finding.UNKNOWN, "timeout")
        except requests.RequestException:
            found = Check(Finding.UNKNOWN, "network")
        if found.finding not in {Finding.PASSED, Finding.REFUSED}:
            _logger.warning("%s: %s (%s)", _ACTION, found.finding, found.reason)
        return found

    def _post(self, body: bytes) -> Check:
        headers = sign(
            self._key,
            host=urlsplit(self._origin).netloc,
            service=_SERVICE,
            action=_ACTION,
            version=_VERSION,
            body=body,
            timestamp=int(self._seconds()),
        )
        answer = self._session.post(
            f"{self._origin}/", data=body, headers=dict(headers), allow_redirects=False
        )
        if answer.status_code != requests.codes.ok:
            return Check(Finding.UNKNOWN, f"http_{answer.status_code}")
        try:
            return _read(answer.json()["Response"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return Check(Finding.UNKNOWN, "unreadable")


def _read(response: Mapping[str, object]) -> Check:
    error = response.get("Error")
    if isinstance(error, Mapping):
        code = str(error["Code"])[:60]
        passing = code.startswith(_PASSING_ERRORS)
        return Check(Finding.UNKNOWN if passing else Finding.BROKEN, code)
    number = response["CaptchaCode"]
    if type(number) is not int:
        raise TypeError("a code is a number")
    return Check(_FINDINGS.get(number, Finding.REFUSED), f"CaptchaCode {number}")
