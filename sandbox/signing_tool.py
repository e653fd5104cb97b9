"""The signature of given fields, for whoever looks for the reason of a SIGN_ERROR: what Tencent's own page
for checking signatures is for. Source: contracts 2.1, 3.5 and 5.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sandbox.errors import AdminError
from sandbox.packet_request import signature

KINDS = ("pay_v2_md5", "pay_v2_hmac_sha256", "callback_url", "js_sdk")


def sign_by_hand(*, kind: str, fields: Mapping[str, Any], key: str) -> str:
    """The signature of ``fields``: of a v2 request with the APIv2 ``key``, of the address check of callbacks
    (token, timestamp, nonce), or of a page that uses the JS-SDK (jsapi_ticket, noncestr, timestamp, url).

    Raises AdminError 422 for another kind.
    """
    texts = {str(name): str(value) for name, value in fields.items()}
    if kind == "pay_v2_md5":
        return signature(texts, key)
    if kind == "pay_v2_hmac_sha256":
        return signature(texts, key, method="HMAC-SHA256")
    if kind == "callback_url":
        return _sha1("".join(sorted(texts.values())))
    if kind == "js_sdk":
        return _sha1("&".join(f"{name}={texts[name]}" for name in sorted(texts)))
    raise AdminError(422, "unknown_kind", f"kind must be one of {', '.join(KINDS)}")


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - the platform's own choice
