"""TC3-HMAC-SHA256: how requests to Tencent Cloud's API 3.0 are signed. Pure.

A request is signed for its service, its action and its UTC day; the platform takes it for five minutes.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

_ALGORITHM = "TC3-HMAC-SHA256"
_CONTENT_TYPE = "application/json; charset=utf-8"
_SIGNED = "content-type;host;x-tc-action"


@dataclass(frozen=True, slots=True)
class CloudKey:
    """A pair of keys of a Tencent Cloud account."""

    secret_id: str = field(repr=False)
    secret_key: str = field(repr=False)


def sign(
    key: CloudKey, *, host: str, service: str, action: str, version: str, body: bytes, timestamp: int
) -> Mapping[str, str]:
    """Return the headers of a POST of JSON to `/`, signed. `timestamp`: Unix seconds of now."""
    day = datetime.fromtimestamp(timestamp, UTC).date().isoformat()
    scope = f"{day}/{service}/tc3_request"
    canonical = "\n".join(
        [
            "POST",
            "/",
            "",
            f"content-type:{_CONTENT_TYPE}",
            f"host:{host}",
            f"x-tc-action:{action.lower()}",
            "",
            _SIGNED,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    text = "\n".join([_ALGORITHM, str(timestamp), scope, hashlib.sha256(canonical.encode()).hexdigest()])
    derived = f"TC3{key.secret_key}".encode()
    for part in (day, service, "tc3_request"):
        derived = _mac(derived, part)
    signature = _mac(derived, text).hex()
    return {
        "Authorization": f"{_ALGORITHM} Credential={key.secret_id}/{scope}, SignedHeaders={_SIGNED},"
        f" Signature={signature}",
        "Content-Type": _CONTENT_TYPE,
        "Host": host,
        "X-TC-Action": action,
        "X-TC-Timestamp": str(timestamp),
        "X-TC-Version": version,
    }


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
