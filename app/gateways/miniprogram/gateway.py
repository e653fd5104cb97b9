"""Logins and phone numbers: the MiniProgramGateway that identity asks for, and one without a platform.

Both codes are good for one use, and a phone number is paid for. So nothing is tried again after it may
have taken effect: "busy" and a time-out go back to the client, which gets a fresh code for nothing. The
one replay is after a refused access token, which means that the call was not looked at.
"""

import logging
from collections.abc import Mapping
from functools import partial

from app.gateways.miniprogram.stable_token import fetch_stable_token
from app.gateways.models import TokenKind
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import BUSY, PlatformFault, WeChatApi
from app.identity.interfaces import (
    AppCredentials,
    HighRiskUser,
    InvalidLoginCode,
    InvalidPhoneCode,
    PhoneNumber,
    PhoneQuotaExhausted,
    PlatformBusy,
    PlatformRefused,
    PlatformSession,
    TooFrequent,
)
from app.kernel.errors import DomainError

_logger = logging.getLogger(__name__)

# The platform says that the token is not the one: refresh once, replay once (platform contracts 0.3).
TOKEN_REFUSED = frozenset({40001, 40014, 42001})

_ANYWHERE: Mapping[int, type[DomainError]] = {
    BUSY: PlatformBusy,
    45009: TooFrequent,
    45011: TooFrequent,
}
LOGIN_ERRORS: Mapping[int, type[DomainError]] = {
    **_ANYWHERE,
    40029: InvalidLoginCode,
    40163: InvalidLoginCode,
    41008: InvalidLoginCode,
    40226: HighRiskUser,
}
PHONE_ERRORS: Mapping[int, type[DomainError]] = {
    **_ANYWHERE,
    40029: InvalidPhoneCode,
    40163: InvalidPhoneCode,
    41008: InvalidPhoneCode,
    # This call names no appid, so a wrong one can only be that of the code.
    40013: InvalidPhoneCode,
    # The number for an empty quota is documented for the client only (13.2); on a call that is paid for
    # one by one, both can mean nothing else.
    45009: PhoneQuotaExhausted,
    1400001: PhoneQuotaExhausted,
}
TOKEN_ERRORS: Mapping[int, type[DomainError]] = _ANYWHERE

_DETAILS: Mapping[type[DomainError], str] = {
    InvalidLoginCode: "the login code is unknown, used or older than 5 minutes: call wx.login again",
    InvalidPhoneCode: "the phone code is unknown, used, too old or of another app: tap the button again",
    HighRiskUser: "WeChat considers this account risky and blocks its login",
    PhoneQuotaExhausted: "the mini-program's phone-number quota is used up: buy a package on its platform",
    TooFrequent: "WeChat's call limit is reached: try again in a minute",
    PlatformBusy: "WeChat did not answer in time: try again with a new code",
    PlatformRefused: "WeChat refused the call: an operator has to look at the errcode",
}
# What an operator can do about the refusals that settings cause.
_ADVICE: Mapping[int, str] = {
    40001: "the app secret is wrong, or the access token keeps being replaced by another program",
    40013: "the appid is wrong",
    40125: "the app secret is wrong",
    40164: "this server's address is not on the IP list of the mini-program's platform",
    48001: "the mini-program has no permission for this interface",
}


class WeChatMiniProgram:
    """The MiniProgramGateway on the real platform, or on what stands at the API's origin."""

    def __init__(self, api: WeChatApi, tokens: TokenProvider) -> None:
        self._api = api
        self._tokens = tokens

    def code_to_session(self, app: AppCredentials, js_code: str) -> PlatformSession:
        """Exchange the code of wx.login (1.1)."""
        query = {
            "appid": app.appid,
            "secret": app.secret,
            "js_code": js_code,
            "grant_type": "authorization_code",
        }
        error: DomainError
        try:
            return _read_session(self._api.get("/sns/jscode2session", query))
        except PlatformFault as fault:
            error = _error(fault, LOGIN_ERRORS, "jscode2session")
        raise error

    def phone_number(self, app: AppCredentials, code: str) -> PhoneNumber:
        """Exchange the code of the phone-number button (1.4)."""
        error: DomainError
        try:
            answer = self._with_token(app, "/wxa/business/getuserphonenumber", {"code": code})
            return _read_phone(answer, app.appid)
        except PlatformFault as fault:
            error = _error(fault, PHONE_ERRORS, "getuserphonenumber")
        raise error

    def check(self, app: AppCredentials) -> None:
        """Fetch an access token, which takes a right secret and an address on the platform's list (1.3).

        Never the one that is kept, which outlives its secret; the platform repeats the one that lives.
        """
        error: DomainError
        try:
            fetch_stable_token(self._api, app, force=False)
            return
        except PlatformFault as fault:
            error = _error(fault, TOKEN_ERRORS, "stable_token")
        raise error

    def _with_token(self, app: AppCredentials, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """POST with the app's access token; once more with another if it is refused."""
        token = self._token(app)
        try:
            return self._api.post(path, body, token=token)
        except PlatformFault as fault:
            if fault.errcode not in TOKEN_REFUSED:
                raise
        self._tokens.reject(app.appid, TokenKind.STABLE, token)
        return self._api.post(path, body, token=self._token(app))

    def _token(self, app: AppCredentials) -> str:
        error: DomainError
        try:
            return self._tokens.token(
                app.appid, TokenKind.STABLE, partial(fetch_stable_token, self._api, app)
            )
        except PlatformFault as fault:
            error = _error(fault, TOKEN_ERRORS, "stable_token")
        raise error


class NullMiniProgram:
    """The MiniProgramGateway of an installation that is not connected to WeChat: says so, always."""

    def code_to_session(self, app: AppCredentials, js_code: str) -> PlatformSession:
        """Raise PlatformRefused."""
        raise PlatformRefused(_NOT_CONNECTED)

    def phone_number(self, app: AppCredentials, code: str) -> PhoneNumber:
        """Raise PlatformRefused."""
        raise PlatformRefused(_NOT_CONNECTED)

    def check(self, app: AppCredentials) -> None:
        """Raise PlatformRefused."""
        raise PlatformRefused(_NOT_CONNECTED)


_NOT_CONNECTED = "WeChat is not connected: set SAOMA_WECHAT_API_URL"


def _error(fault: PlatformFault, table: Mapping[int, type[DomainError]], call: str) -> DomainError:
    """Return the room's error for `fault`; write down what an operator has to look at."""
    if fault.errcode is None:
        _logger.warning("%s: no answer that counts (%s)", call, fault.reason)
        return PlatformBusy(_DETAILS[PlatformBusy])
    kind = table.get(fault.errcode, PlatformRefused)
    if kind is PlatformRefused:
        advice = _ADVICE.get(fault.errcode, "see the platform's list of return codes")
        _logger.error("%s: refused with errcode %s: %s", call, fault.errcode, advice)
    return kind(_DETAILS[kind], errcode=fault.errcode)


def _read_session(answer: Mapping[str, object]) -> PlatformSession:
    openid, session_key, unionid = answer.get("openid"), answer.get("session_key"), answer.get("unionid")
    if not (isinstance(openid, str) and openid and isinstance(session_key, str) and session_key):
        raise PlatformFault("unreadable")
    return PlatformSession(
        openid=openid,
        unionid=unionid if isinstance(unionid, str) and unionid else None,
        session_key=session_key,
        virtual=answer.get("is_snapshotuser") == 1,
    )


def _read_phone(answer: Mapping[str, object], appid: str) -> PhoneNumber:
    info = answer.get("phone_info")
    watermark = info.get("watermark") if isinstance(info, dict) else None
    if not isinstance(info, dict) or not isinstance(watermark, dict):
        raise PlatformFault("unreadable")
    if watermark.get("appid") != appid:
        raise InvalidPhoneCode(_DETAILS[InvalidPhoneCode])
    pure, country_code = info.get("purePhoneNumber"), info.get("countryCode")
    if not (isinstance(pure, str) and pure.isdecimal() and str(country_code).isdecimal()):
        raise PlatformFault("unreadable")
    return PhoneNumber(pure, str(country_code))
