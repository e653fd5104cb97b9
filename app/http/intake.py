"""What is let in: request ids, and JSON bodies of bounded size, depth and shape.

Python's parser accepts more than JSON is: NaN, lone surrogates that no database can store, the same name
twice (two readers then see two requests), nesting until the stack ends. Each is refused here, once.
"""

import json
import re
import secrets
from typing import Any, NoReturn

from flask import Request, g
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

from app.http.problems import BadJson

MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 8

_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{7,63}")
# A text that never ends is taken to the end of the body, and nothing is tried twice: otherwise each of its
# escaped quotes would be looked at as a beginning, and a body of 64 kB would cost ten seconds.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def give_request_id(request: Request) -> None:
    """Take over the caller's X-Request-Id when it is plain, else make one; it is in `g.request_id`."""
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _PLAIN_ID.fullmatch(given) else secrets.token_hex(12)


def read_body(request: Request) -> bytes:
    """Return the whole body; raise BadRequest or RequestEntityTooLarge.

    What comes in chunks has no length to be judged by: a malformed chunk shows only here, and so does a body
    that is too long, which would be cut off at the limit and taken for a whole one.
    """
    try:
        raw = request.get_data(cache=True)
    except HTTPException:
        raise
    except Exception:  # noqa: BLE001 - each web server has errors of its own for what a client sends
        raise BadRequest from None
    if request.content_length is None and len(raw) >= MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    return raw


def parse_json(raw: bytes) -> Any:
    """Return what the JSON body `raw` says; raise BadJson.

    The depth is bounded by MAX_DEPTH, the size by the application.
    """
    try:
        text = raw.decode()
        _require_shallow(text)
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise BadJson("send JSON in UTF-8, without lone surrogates") from None
    except ValueError:
        raise BadJson("the body cannot be read as JSON") from None
    return value


def _require_shallow(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise BadJson(f"the body is nested deeper than {MAX_DEPTH} levels")


def _refuse_constant(_name: str) -> NoReturn:
    raise BadJson("NaN and Infinity are not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("an object names the same member twice")
    return found
