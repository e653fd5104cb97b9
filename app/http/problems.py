"""Every refusal leaves as application/problem+json (RFC 9457) with a stable code.

One place renders them all: refusals of the domain, input that does not fit a schema, what Flask itself
says (404, 405, 413 …) and what nobody expected. The texts are ours; nothing that the caller sent is
repeated, since it would end in somebody's log.
"""

import http
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask, Response, g
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from app.db.engine import Replay
from app.kernel.errors import DomainError, Malformed, TooMany, Unauthenticated, Unavailable

log = logging.getLogger("saoma.http")

PROBLEM_JSON = "application/problem+json"
MAX_ERRORS = 20
_MAX_PATH_PART = 40
_RETRY_AFTER_SECONDS = "5"

# What a client can act on. Other extras are for our own eyes: they may hold row ids.
_SHOWN_EXTRAS = frozenset(
    {
        "outcome",
        "refusal",
        "reasons",
        "step",
        "current",
        "state",
        "appid",
        "errcode",
        "missing",
        "over_fen",
        "field",
        "captcha_app_id",
        "captcha_refused",
    }
)
# What Flask and Werkzeug say by themselves, in our codes and with what to do about it.
_HTTP_CODES = {
    400: ("bad_request", "the request is not well-formed HTTP"),
    404: ("no_such_route", "there is no such address; the OpenAPI document lists all of them"),
    405: (
        "method_not_allowed",
        "this address does not know the method; the Allow header lists those it knows",
    ),
    411: ("length_required", "send a Content-Length"),
    413: ("too_large", "the body is too large"),
    415: ("unsupported_media_type", "send JSON with Content-Type: application/json"),
    416: ("range_not_satisfiable", "the range is not there"),
    429: ("too_many_requests", "wait as long as Retry-After says, then go on"),
}


class InvalidInput(Malformed):
    """The input does not fit its schema; `errors` says where and why."""

    code = "invalid_input"
    title = "The input does not fit"

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("correct what `errors` lists; unknown fields are refused")
        self.errors = errors


class BadJson(Malformed):
    """The body is not JSON, or JSON of a kind that no request needs."""

    code = "bad_json"
    title = "The body is not acceptable JSON"


def document(refusal: DomainError) -> dict[str, Any]:
    """Return the problem document of `refusal`, without the request's id."""
    found = {
        "type": f"urn:saoma:problem:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
    }
    if isinstance(refusal, InvalidInput):
        found["errors"] = refusal.errors
    found |= {name: value for name, value in refusal.extra.items() if name in _SHOWN_EXTRAS}
    return found


def respond(found: Mapping[str, Any]) -> Response:
    """Return the HTTP response for a problem document."""
    body = json.dumps({**found, "request_id": g.get("request_id", "")}, ensure_ascii=False)
    response = Response(body, status=found["status"], content_type=PROBLEM_JSON)
    if found["status"] == Unauthenticated.status:
        response.headers["WWW-Authenticate"] = "Bearer"
    if found["status"] in {TooMany.status, Unavailable.status}:
        response.headers["Retry-After"] = g.get("retry_after", _RETRY_AFTER_SECONDS)
    return response


def flatten(messages: object, path: str = "") -> Iterator[dict[str, str]]:
    """Yield {path, message} for each of marshmallow's nested messages; the path is dotted."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            part = "".join(letter for letter in str(key)[:_MAX_PATH_PART] if letter.isprintable())
            # Messages about a whole object hang under _schema: the object's own path says it better.
            here = path if key == "_schema" else f"{path}.{part}" if path else part
            yield from flatten(inner, here)
    elif isinstance(messages, list):
        for inner in messages:
            yield from flatten(inner, path)
    else:
        yield {"path": path, "message": str(messages)}


def install(app: Flask) -> None:
    """Make `app` answer every error with a problem."""
    app.register_error_handler(DomainError, _domain_error)
    app.register_error_handler(HTTPException, _http_error)
    for unavailable in (OperationalError, PoolTimeout, Replay):
        app.register_error_handler(unavailable, _database_error)
    app.register_error_handler(Exception, _unexpected)


def _domain_error(refusal: DomainError) -> Response:
    g.problem = refusal.code
    return respond(document(refusal))


def _http_error(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return Response(error.get_body(), status=error.code, headers=error.get_headers())
    code, detail = _HTTP_CODES.get(error.code, ("refused_by_server", "the request cannot be served"))
    g.problem = code
    response = respond(
        {
            "type": f"urn:saoma:problem:{code}",
            "title": http.HTTPStatus(error.code).phrase,
            "status": error.code,
            "code": code,
            "detail": detail,
        }
    )
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _database_error(error: Exception) -> Response:
    log.error("http.database_unavailable", exc_info=error)
    return _domain_error(Unavailable("the database does not answer; try again in a few seconds"))


def _unexpected(error: Exception) -> Response:
    log.error("http.unexpected", exc_info=error)
    g.problem = "internal"
    return respond(
        {
            "type": "urn:saoma:problem:internal",
            "title": "Something went wrong on our side",
            "status": 500,
            "code": "internal",
            "detail": "it has been recorded under the request id; nothing was changed",
        }
    )
