"""Lists by cursor: newest first, no page numbers, no counting.

A cursor is a signed place in one list of one person: a client can go on from it and cannot make one up,
so no row id leaves the house and nobody's list can be entered sideways.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from marshmallow import fields, validate

from app.db.secrets import KeyRing
from app.http.schemas import BaseSchema, QueryWhole, Text
from app.kernel.errors import Malformed

T = TypeVar("T")

MAX_PAGE = 100
_DEFAULT_PAGE = 20
_POSITION_BYTES = 8
_MAC_BYTES = 16


class BadCursor(Malformed):
    """The cursor was not given out for this list."""

    code = "bad_cursor"
    title = "The cursor is not one of this list"


class PageQuery(BaseSchema):
    """Where to go on, and how far."""

    cursor = Text(64, metadata={"description": "`next_cursor` of the page before; without it, the newest"})
    limit = QueryWhole(
        load_default=_DEFAULT_PAGE,
        validate=validate.Range(1, MAX_PAGE),
        metadata={"description": "entries on a page"},
    )


class PageAnswer(BaseSchema):
    """What each page of a list has besides its items."""

    next_cursor = fields.String(
        required=True, allow_none=True, metadata={"description": "for the next page; null on the last one"}
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows a page wants: those with an id below `before`, at most `limit` and one more.

    The one more tells whether there is a next page.
    """

    before: int | None
    limit: int


class Cursors:
    """Gives out cursors and reads them."""

    def __init__(self, keyring: KeyRing) -> None:
        self._keyring = keyring

    def window(self, scope: str, query: dict[str, Any]) -> Window:
        """Return what the loaded PageQuery `query` asks of list `scope` (which list, whose).

        Raises BadCursor.
        """
        text = query.get("cursor")
        return Window(None if text is None else self._decode(scope, text), query["limit"])

    def page(
        self,
        scope: str,
        window: Window,
        rows: Sequence[T],
        *,
        position: Callable[[T], int],
        render: Callable[[T], dict[str, Any]],
    ) -> dict[str, Any]:
        """Return the body of a page from up to `limit + 1` rows, the highest position first."""
        shown = rows[: window.limit]
        more = len(rows) > window.limit
        return {
            "items": [render(row) for row in shown],
            "next_cursor": self._encode(scope, position(shown[-1])) if more else None,
        }

    def _encode(self, scope: str, position: int) -> str:
        raw = position.to_bytes(_POSITION_BYTES)
        mac = _mac(self._keyring.signing_keys("cursor")[0], scope, raw)
        return base64.urlsafe_b64encode(raw + mac).decode()

    def _decode(self, scope: str, text: str) -> int:
        try:
            blob = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            blob = b""
        raw, given = blob[:_POSITION_BYTES], blob[_POSITION_BYTES:]
        keys = self._keyring.signing_keys("cursor")
        if not any(hmac.compare_digest(_mac(key, scope, raw), given) for key in keys):
            raise BadCursor("take the cursor from the page before, or none to start anew")
        return int.from_bytes(raw)


def _mac(key: bytes, scope: str, raw: bytes) -> bytes:
    return hmac.digest(key, scope.encode() + b"\0" + raw, hashlib.sha256)[:_MAC_BYTES]
