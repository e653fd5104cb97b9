"""Text messages through the house's own supplier: one signed HTTPS call a text, and a Texter without one.

No supplier is fixed: its address takes a JSON document, and an adapter of a few lines turns it into what the
supplier wants. `X-Saoma-Signature` is the HMAC-SHA256, in hexadecimal, of the timestamp, a dot and the body,
by which the receiver knows who asks, and that it was now.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import requests

from app.gateways.http import make_session, run_within
from app.notices.interfaces import NotSent

_SECONDS = 10.0


class WebhookTexter:
    """The Texter that posts to `url`, signed with `key`."""

    def __init__(self, url: str, key: bytes) -> None:
        parts = urlsplit(url)
        self._url, self._key = url, key
        self._session = make_session(f"{parts.scheme}://{parts.netloc}")

    def send(self, text: str, phones: Sequence[str], *, number: str) -> None:
        """Hand the text over; raise NotSent when it certainly was not accepted."""
        body = json.dumps({"id": number, "phones": list(phones), "text": text}, ensure_ascii=False).encode()
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Saoma-Timestamp": timestamp,
            "X-Saoma-Signature": sign(self._key, timestamp, body),
        }
        status = run_within(
            _SECONDS,
            lambda: (
                self._session.post(
                    self._url, data=body, headers=headers, timeout=_SECONDS, allow_redirects=False
                ).status_code
            ),
        )
        if 300 <= status < 500:
            raise NotSent(f"the supplier of text messages answers {status}: check SAOMA_SMS_URL and its key")
        if status >= 500:
            raise requests.ConnectionError(f"the supplier answers {status}")


class NullTexter:
    """The Texter of a house that has named no supplier: refuses, always."""

    def send(self, text: str, phones: Sequence[str], *, number: str) -> None:
        """Raise NotSent."""
        raise NotSent("set SAOMA_SMS_URL to send text messages")


def sign(key: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature of a call, in hexadecimal."""
    return hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
