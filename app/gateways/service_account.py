"""Who visits a page: the ServiceAccountGateway that identity asks for.

A code is good for one use, so nothing is tried again: whoever was not recognised opens the page once more.
"""

import logging
from collections.abc import Mapping

from app.gateways.miniprogram.gateway import LOGIN_ERRORS
from app.gateways.wechat import PlatformFault, WeChatApi
from app.identity.interfaces import (
    AppCredentials,
    InvalidLoginCode,
    PlatformBusy,
    PlatformRefused,
    TooFrequent,
    Visitor,
)
from app.kernel.errors import DomainError

_logger = logging.getLogger(__name__)

_ADVICE: Mapping[int, str] = {
    40013: "the appid of the service account is wrong",
    40125: "the secret of the service account is wrong",
    40164: "this server's address is not on the IP list of the service account",
    48001: "the service account is not verified, or has no web authorisation",
}
_DETAILS: Mapping[type[DomainError], str] = {
    InvalidLoginCode: "the code is unknown, used or older than 5 minutes: open the link once more",
    TooFrequent: "WeChat's call limit is reached: try again in a minute",
    PlatformBusy: "WeChat did not answer in time: open the link once more",
}


class WeChatServiceAccount:
    """The ServiceAccountGateway on the real platform, or on what stands at the API's origin."""

    def __init__(self, api: WeChatApi) -> None:
        self._api = api

    def code_to_visitor(self, app: AppCredentials, code: str) -> Visitor:
        """Exchange the code of a page's authorisation (12.8)."""
        query = {
            "appid": app.appid,
            "secret": app.secret,
            "code": code,
            "grant_type": "authorization_code",
        }
        error: DomainError
        try:
            return _read(self._api.get("/sns/oauth2/access_token", query))
        except PlatformFault as fault:
            error = _error(fault)
        raise error


def _read(answer: Mapping[str, object]) -> Visitor:
    openid, unionid = answer.get("openid"), answer.get("unionid")
    if not isinstance(openid, str) or not openid:
        raise PlatformFault("unreadable")
    return Visitor(
        openid=openid,
        unionid=unionid if isinstance(unionid, str) and unionid else None,
        virtual=answer.get("is_snapshotuser") == 1,
    )


def _error(fault: PlatformFault) -> DomainError:
    if fault.errcode is None:
        _logger.warning("oauth2/access_token: no answer that counts (%s)", fault.reason)
        return PlatformBusy(_DETAILS[PlatformBusy])
    kind = LOGIN_ERRORS.get(fault.errcode, PlatformRefused)
    if kind in _DETAILS:
        return kind(_DETAILS[kind], errcode=fault.errcode)
    advice = _ADVICE.get(fault.errcode, "see the platform's list of return codes")
    _logger.error("oauth2/access_token: refused with errcode %s: %s", fault.errcode, advice)
    return PlatformRefused("WeChat refused: an operator has to look at the errcode", errcode=fault.errcode)
