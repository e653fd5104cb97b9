"""Who visits a page of a WeCom corp: the CorpGateway that identity asks for (platform contracts 3.6).

An outsider is told by the openid that they have with the corp. Staff of the corp are told by a userid, which
is no openid: it is exchanged for theirs, by which the corp pays them (3.12, 5.5), and forgotten. A code is
good for one use, so nothing is tried again but after a refused access token: then nobody has looked at it.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from app.gateways.miniprogram.gateway import LOGIN_ERRORS, TOKEN_REFUSED
from app.gateways.models import TokenKind
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import PlatformFault, WeChatApi
from app.gateways.wecom.corp_token import fetch_corp_token
from app.identity.interfaces import (
    AppCredentials,
    InvalidLoginCode,
    PlatformBusy,
    PlatformRefused,
    StaffNotKnown,
    TooFrequent,
    Visitor,
)
from app.kernel.errors import DomainError

_logger = logging.getLogger(__name__)

_Send: TypeAlias = Callable[[str], dict[str, object]]

_TOKEN = "/cgi-bin/gettoken"  # noqa: S105 - a path
_VISITOR = "/cgi-bin/auth/getuserinfo"
_STAFF = "/cgi-bin/user/convert_to_openid"
_ERRORS: Mapping[int, type[DomainError]] = {
    **LOGIN_ERRORS,
    45033: TooFrequent,
    43004: StaffNotKnown,
    60011: StaffNotKnown,
    60111: StaffNotKnown,
}
_ADVICE: Mapping[int, str] = {
    40001: "the secret is not that of the application",
    40013: "the corpid is wrong",
    40091: "the secret is that of another corp",
    43004: "a member of the staff has to sign in to WeCom with WeChat first",
    48002: "the application may not call this interface",
    50001: "SAOMA_PUBLIC_URL is not among the application's trusted domains",
    60011: "the member of the staff is outside the application's visible range",
    60111: "the member of the staff is outside the application's visible range",
    60020: "this server's address is not among the application's trusted IPs",
}
_DETAILS: Mapping[type[DomainError], str] = {
    InvalidLoginCode: "the code is unknown, used or older than 5 minutes: open the link once more",
    TooFrequent: "WeCom's call limit is reached: try again in a minute",
    PlatformBusy: "WeCom did not answer in time: open the link once more",
}


class WeComVisitors:
    """The CorpGateway on the real platform, or on what stands at the API's origin."""

    def __init__(self, api: WeChatApi, tokens: TokenProvider) -> None:
        self._api = api
        self._tokens = tokens

    def code_to_visitor(self, app: AppCredentials, code: str) -> Visitor:
        """Exchange the code of a page's authorisation; of staff, their userid as well."""
        said = self._ask(
            app, _VISITOR, lambda token: self._api.get(_VISITOR, {"access_token": token, "code": code})
        )
        userid = said.get("userid")
        if isinstance(userid, str) and userid:
            body = {"userid": userid}
            said = self._ask(app, _STAFF, lambda token: self._api.post(_STAFF, body, token=token))
        openid, customer = said.get("openid"), said.get("external_userid")
        if not isinstance(openid, str) or not openid:
            raise _error(PlatformFault("unreadable"), _VISITOR)
        return Visitor(
            openid=openid,
            unionid=None,
            # Not documented for WeCom; believed should it come all the same.
            virtual=said.get("is_snapshotuser") == 1,
            external_userid=customer if isinstance(customer, str) and customer else None,
        )

    def check(self, app: AppCredentials) -> None:
        """Fetch an access token, which takes a right secret.

        Never the one that is kept, which outlives its secret; the platform repeats the one that lives (3.1).
        """
        error: DomainError
        try:
            fetch_corp_token(self._api, app, force=False)
            return
        except PlatformFault as fault:
            error = _error(fault, _TOKEN)
        raise error

    def _ask(self, app: AppCredentials, path: str, send: _Send) -> dict[str, object]:
        error: DomainError
        try:
            return self._with_token(app, send)
        except PlatformFault as fault:
            error = _error(fault, path)
        raise error

    def _with_token(self, app: AppCredentials, send: _Send) -> dict[str, object]:
        """Send with the application's token; once more with another if it is refused."""
        token = self._token(app)
        try:
            return send(token)
        except PlatformFault as fault:
            if fault.errcode not in TOKEN_REFUSED:
                raise
        self._tokens.reject(_account(app), TokenKind.CORP, token)
        return send(self._token(app))

    def _token(self, app: AppCredentials) -> str:
        error: DomainError
        try:
            fetch = partial(fetch_corp_token, self._api, app)
            return self._tokens.token(_account(app), TokenKind.CORP, fetch)
        except PlatformFault as fault:
            error = _error(fault, _TOKEN)
        raise error


def _account(app: AppCredentials) -> str:
    # Each application of a corp has a token of its own (0.3): another one must not work with the last one's.
    return f"{app.appid}/{app.agentid}"


def _error(fault: PlatformFault, path: str) -> DomainError:
    if fault.errcode is None:
        _logger.warning("%s: no answer that counts (%s)", path, fault.reason)
        return PlatformBusy(_DETAILS[PlatformBusy])
    kind = _ERRORS.get(fault.errcode, PlatformRefused)
    if kind in _DETAILS:
        return kind(_DETAILS[kind], errcode=fault.errcode)
    advice = _ADVICE.get(fault.errcode, "see the platform's list of return codes")
    _logger.error("%s: refused with errcode %s: %s", path, fault.errcode, advice)
    return kind(f"WeCom refused: an operator has to look at it: {advice}", errcode=fault.errcode)
