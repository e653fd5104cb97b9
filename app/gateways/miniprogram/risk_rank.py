"""POST /wxa/getuserriskrank: what WeChat thinks of somebody who draws (platform contracts 1.9, 13.6)."""

import logging
from collections.abc import Mapping

import requests

from app.gateways.http import run_within
from app.gateways.miniprogram.gateway import TOKEN_REFUSED
from app.gateways.miniprogram.stable_token import fetch_stable_token
from app.gateways.models import TokenKind
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import PlatformFault, WeChatApi
from app.identity.interfaces import AppCredentials
from app.kernel.errors import DomainError
from app.risk.interfaces import RankUnknown

DEADLINE_SECONDS = 0.3
_MARKETING = 1
_WORST = 4
_PATH = "/wxa/getuserriskrank"

_logger = logging.getLogger(__name__)


class WeChatRiskRanks:
    """The RiskRanks of the platform; the token is waited for within the same 300 ms."""

    def __init__(
        self, api: WeChatApi, tokens: TokenProvider, *, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._api = api
        self._tokens = tokens
        self._deadline_seconds = deadline_seconds

    def rank(self, app: AppCredentials, *, openid: str, address: str) -> int:
        """Return the rank for marketing (scene 1); raise RankUnknown."""
        reason = "timeout"
        try:
            return run_within(self._deadline_seconds, lambda: self._ask(app, openid, address))
        except requests.Timeout:
            pass
        except PlatformFault as fault:
            reason = f"errcode {fault.errcode}" if fault.errcode is not None else fault.reason
        except DomainError as error:
            reason = error.code
        _logger.warning("getuserriskrank: unknown (%s)", reason)
        raise RankUnknown(reason)

    def _ask(self, app: AppCredentials, openid: str, address: str) -> int:
        token = self._tokens.token(
            app.appid, TokenKind.STABLE, lambda force: fetch_stable_token(self._api, app, force)
        )
        body = {"appid": app.appid, "openid": openid, "scene": _MARKETING, "client_ip": address}
        try:
            return _read(self._api.post(_PATH, body, token=token))
        except PlatformFault as fault:
            if fault.errcode in TOKEN_REFUSED:
                self._tokens.reject(app.appid, TokenKind.STABLE, token)
            raise


def _read(answer: Mapping[str, object]) -> int:
    rank = answer.get("risk_rank")
    if type(rank) is not int or not 0 <= rank <= _WORST:
        raise PlatformFault("unreadable")
    return rank
