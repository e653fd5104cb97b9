"""The five dialects in which the sandbox refuses a request.

Tencent has four of them (an ``errcode`` inside HTTP 200 for the mini-program API, an HTTP status with a
``code`` for WeChat Pay v3, an ``err_code`` in XML for v2, an ``Error`` inside HTTP 200 for Tencent
Cloud); the administration endpoints of the sandbox itself speak the fifth.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

WECHAT_MESSAGES: Mapping[int, str] = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40014: "invalid access_token",
    40029: "invalid code",
    40097: "invalid args",
    40125: "invalid appsecret",
    40129: "invalid scene",
    40163: "code been used",
    40169: "invalid length for scene, or the data is not json string",
    40226: "code blocked",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    41030: "invalid page",
    42001: "access_token expired",
    43004: "not signed in with WeChat",
    44002: "empty post data",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    47001: "data format error",
    48001: "api unauthorized",
    60011: "no privilege",
    60111: "userid not found",
}


class WeChatError(Exception):
    """A failure of the mini-program and service-account API: HTTP 200 with ``errcode`` and ``errmsg``.

    Source: contract 0.2.
    """

    def __init__(self, errcode: int, errmsg: str | None = None) -> None:
        self.errcode = errcode
        self.errmsg = errmsg or WECHAT_MESSAGES.get(errcode, "error")
        super().__init__(f"{errcode} {self.errmsg}")

    def body(self) -> dict[str, Any]:
        """The JSON body, with a fresh request id at the end of the text as the platform writes it."""
        rid = "-".join(secrets.token_hex(4) for _ in range(3))
        return {"errcode": self.errcode, "errmsg": f"{self.errmsg} rid: {rid}"}


class PayError(Exception):
    """A failure of WeChat Pay v3: an HTTP status and a ``code``. Source: contract 4.5."""

    def __init__(self, status: int, code: str, message: str, detail: Mapping[str, Any] | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        super().__init__(f"{status} {code}: {message}")

    def body(self) -> dict[str, Any]:
        """The JSON body: ``code``, ``message`` and, where a field is to blame, ``detail``."""
        answer: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.detail is not None:
            answer["detail"] = dict(self.detail)
        return answer


class PacketError(Exception):
    """A failure of WeChat Pay v2: HTTP 200 with ``err_code`` in XML. Source: contract 5."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


class CloudError(Exception):
    """A failure of Tencent Cloud's API 3.0: HTTP 200 with ``Error``."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")

    def body(self) -> dict[str, str]:
        """What stands as ``Error``."""
        return {"Code": self.code, "Message": self.message}


class AdminError(Exception):
    """A refusal by the sandbox's own administration endpoints: an HTTP status and one sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(f"{status} {code}: {message}")
