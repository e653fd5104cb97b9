"""WeChat's own 一物一码: the MarketGateway of a service account, and one without a platform (contracts 1.11).

A ticket is good for one use and an activation is not known to be repeatable, so nothing is tried again after
it may have taken effect; the one replay is after a refused access token, which means that the call was
not looked at. A single error is documented for these calls, so every other one is told apart by what it can
mean: settings of ours, a moment's overload, or the thing that was sent.
"""

import base64
import binascii
import logging
from collections.abc import Mapping
from functools import partial

from app.codes.errors import InvalidTicket
from app.codes.interfaces import ActiveCode, MadeCodes, Opening, Stretch
from app.gateways.miniprogram.gateway import TOKEN_REFUSED
from app.gateways.miniprogram.stable_token import fetch_stable_token
from app.gateways.models import TokenKind
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import BUSY, PlatformFault, WeChatApi
from app.identity.interfaces import AppCredentials, PlatformBusy, PlatformRefused, TooFrequent
from app.kernel.errors import DomainError

_logger = logging.getLogger(__name__)

FILE_DEADLINE_SECONDS = 60.0
LARGEST_FILE_BYTES = 64 * 1024 * 1024
FINISHED = "FINISH"
_FREQUENT = frozenset({45009, 45011})
# What only settings can cause: it is never the ticket's fault.
_SETTINGS: Mapping[int, str] = {
    40001: "the secret of the service account is wrong, or its token keeps being replaced elsewhere",
    40013: "the appid of the service account is wrong",
    40125: "the secret of the service account is wrong",
    40164: "this server's address is not on the IP list of the service account",
    48001: "the service account may not order codes",
    61007: "the permission set is missing",
}


class WeChatMarketCodes:
    """The MarketGateway on the real platform; `files` is for what is large and slow."""

    def __init__(self, api: WeChatApi, files: WeChatApi, tokens: TokenProvider) -> None:
        self._api = api
        self._files = files
        self._tokens = tokens

    def apply(self, account: AppCredentials, *, order_no: str, codes: int) -> int:
        """Order codes."""
        body = {"code_count": codes, "isv_application_id": order_no}
        return _whole(self._call(account, "applycode", body), "application_id")

    def made(self, account: AppCredentials, *, application_id: int) -> MadeCodes:
        """Ask how far an order is."""
        answer = self._call(account, "applycodequery", {"application_id": application_id})
        if answer.get("status") != FINISHED:
            return MadeCodes(finished=False, files=())
        listed = answer.get("code_generate_list")
        if not isinstance(listed, list) or not all(isinstance(file, dict) for file in listed):
            raise _busy("unreadable")
        return MadeCodes(finished=True, files=tuple(_stretch(file) for file in listed))

    def download(self, account: AppCredentials, *, application_id: int, stretch: Stretch) -> bytes:
        """Return one file as it is sealed."""
        body = {"application_id": application_id, **_range(stretch)}
        buffer = self._call(account, "applycodedownload", body, api=self._files).get("buffer")
        try:
            if isinstance(buffer, str) and buffer:
                return base64.b64decode(buffer, validate=True)
        except binascii.Error:
            pass
        raise _busy("unreadable")

    def activate(
        self, account: AppCredentials, *, application_id: int, stretch: Stretch, opening: Opening
    ) -> None:
        """Let a range of codes open a page."""
        body = {
            "application_id": application_id,
            "activity_name": opening.activity_name,
            "product_brand": opening.product_brand,
            "product_title": opening.product_title,
            "product_code": opening.product_code,
            "wxa_appid": opening.appid,
            "wxa_path": opening.path,
            "wxa_type": opening.page_type,
            **_range(stretch),
        }
        self._call(account, "codeactive", body)

    def active(self, account: AppCredentials, *, application_id: int, index: int) -> ActiveCode:
        """Return what is known of an activated code."""
        body = {"application_id": application_id, "code_index": index}
        return _active(self._call(account, "codeactivequery", body))

    def redeem(self, account: AppCredentials, *, openid: str, ticket: str) -> ActiveCode:
        """Return the code behind a ticket."""
        body = {"openid": openid, "code_ticket": ticket}
        error: DomainError
        try:
            return _active(self._call(account, "tickettocode", body))
        except PlatformRefused as refused:
            errcode = refused.extra.get("errcode")
            if errcode in _SETTINGS:
                raise
            error = InvalidTicket("the ticket is unknown, used or too old: scan the code again")
        raise error

    def _call(
        self, account: AppCredentials, name: str, body: Mapping[str, object], *, api: WeChatApi | None = None
    ) -> dict[str, object]:
        """POST with the account's access token; once more with another if it is refused."""
        api, path = api or self._api, f"/intp/marketcode/{name}"
        error: DomainError
        try:
            token = self._token(account)
            try:
                return api.post(path, body, token=token)
            except PlatformFault as fault:
                if fault.errcode not in TOKEN_REFUSED:
                    raise
            self._tokens.reject(account.appid, TokenKind.STABLE, token)
            return api.post(path, body, token=self._token(account))
        except PlatformFault as fault:
            error = _error(fault, name)
        raise error

    def _token(self, account: AppCredentials) -> str:
        fetch = partial(fetch_stable_token, self._api, account)
        return self._tokens.token(account.appid, TokenKind.STABLE, fetch)


class NullMarketCodes:
    """The MarketGateway of an installation that is not connected to WeChat: says so, always."""

    def apply(self, account: AppCredentials, *, order_no: str, codes: int) -> int:
        """Raise PlatformRefused."""
        raise PlatformRefused(_NOT_CONNECTED)

    def made(self, account: AppCredentials, *, application_id: int) -> MadeCodes:
        """Raise PlatformRefused."""
        raise PlatformRefused(_NOT_CONNECTED)

    def download(self, account: AppCredentials, *, application_id: int, stretch: Stretch) -> bytes:
        """Raise PlatformRefused."""
        raise PlatformRefused(_NOT_CONNECTED)

    def activate(
        self, account: AppCredentials, *, application_id: int, stretch: Stretch, opening: Opening
    ) -> None:
        """Raise PlatformRefused."""
        raise PlatformRefused(_NOT_CONNECTED)

    def active(self, account: AppCredentials, *, application_id: int, index: int) -> ActiveCode:
        """Raise PlatformRefused."""
        raise PlatformRefused(_NOT_CONNECTED)

    def redeem(self, account: AppCredentials, *, openid: str, ticket: str) -> ActiveCode:
        """Raise PlatformRefused."""
        raise PlatformRefused(_NOT_CONNECTED)


_NOT_CONNECTED = "WeChat is not connected: set SAOMA_WECHAT_API_URL"


def _error(fault: PlatformFault, call: str) -> DomainError:
    if fault.errcode is None or fault.errcode == BUSY:
        _logger.warning("%s: no answer that counts (%s)", call, fault.reason)
        return _busy(fault.reason)
    if fault.errcode in _FREQUENT:
        return TooFrequent("WeChat's call limit is reached: try again in a minute", errcode=fault.errcode)
    advice = _SETTINGS.get(fault.errcode, "what was sent does not suit WeChat")
    # A ticket that a shopper made up is no error of this installation.
    level = logging.ERROR if fault.errcode in _SETTINGS else logging.WARNING
    _logger.log(level, "%s: refused with errcode %s: %s", call, fault.errcode, advice)
    return PlatformRefused(f"WeChat refused {call}: {advice}", errcode=fault.errcode)


def _busy(reason: str) -> PlatformBusy:
    return PlatformBusy(f"WeChat gave no answer that counts ({reason}): try again")


def _range(stretch: Stretch) -> dict[str, int]:
    return {"code_start": stretch.first, "code_end": stretch.last}


def _active(answer: Mapping[str, object]) -> ActiveCode:
    code = answer.get("code")
    if not isinstance(code, str) or not code:
        raise _busy("unreadable")
    opening = Opening(
        activity_name=str(answer.get("activity_name", "")),
        product_brand=str(answer.get("product_brand", "")),
        product_title=str(answer.get("product_title", "")),
        product_code=str(answer.get("product_code", "")),
        appid=str(answer.get("wxa_appid", "")),
        path=str(answer.get("wxa_path", "")),
        page_type=_whole(answer, "wxa_type"),
    )
    return ActiveCode(code, _whole(answer, "application_id"), _stretch(answer), opening)


def _stretch(answer: Mapping[str, object]) -> Stretch:
    found = Stretch(_whole(answer, "code_start"), _whole(answer, "code_end"))
    if found.last < found.first:
        raise _busy("unreadable")
    return found


def _whole(answer: Mapping[str, object], name: str) -> int:
    value = answer.get(name)
    if type(value) is not int or value < 0:
        raise _busy("unreadable")
    return value
