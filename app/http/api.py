"""flask-smorest with our rules: strict bodies, problems, who may call, limits, and all of it documented.

`Blueprint.operation` says everything about a route in one place, so that the OpenAPI document, the
session check and the rate limits cannot disagree with one another.
"""

import http
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, NoReturn

import flask_smorest
from flask import Flask, Request, g
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from app.http.access import Rule, View, attach
from app.http.idempotency import KeyReused
from app.http.intake import parse_json, read_body
from app.http.problems import MAX_ERRORS, PROBLEM_JSON, InvalidInput, flatten
from app.http.schemas import Problem
from app.kernel.errors import DomainError

_WORDS = {"json": "body", "headers": "header"}
_COMMON = {
    http.HTTPStatus.UNAUTHORIZED: "unauthenticated: there is no session, or it has ended",
    http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large: the body is over 64 kB",
    http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type: the body is not JSON",
    http.HTTPStatus.UNPROCESSABLE_ENTITY: "invalid_input, bad_json: the input does not fit",
    http.HTTPStatus.TOO_MANY_REQUESTS: "too_many_requests: see Retry-After",
    http.HTTPStatus.SERVICE_UNAVAILABLE: "unavailable: the database does not answer; try again",
}


class _Parser(FlaskParser):
    """Reads bodies with our JSON parser and refuses unknown query parameters too."""

    def __init__(self) -> None:
        super().__init__()
        self.DEFAULT_UNKNOWN_BY_LOCATION = {**self.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}

    def _raw_load_json(self, req: Request) -> Any:
        raw = read_body(req)
        # A request without a body says the same as one with an empty object.
        if raw and req.mimetype != "application/json":
            raise UnsupportedMediaType
        g.json_body = parse_json(raw) if raw else {}
        return g.json_body

    def handle_error(
        self,
        error: ValidationError,
        req: Request,
        schema: Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        """Turn marshmallow's messages into a problem."""
        normalized: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
        messages = {_WORDS.get(place, place): inner for place, inner in normalized.items()}
        raise InvalidInput(list(itertools.islice(flatten(messages), MAX_ERRORS))) from None


class Blueprint(flask_smorest.Blueprint):
    """A set of routes, each described by `operation`."""

    ARGUMENTS_PARSER = _Parser()

    def operation(
        self,
        *,
        answers: Mapping[int, type[Schema] | None],
        body: type[Schema] | None = None,
        query: type[Schema] | None = None,
        refusals: Sequence[type[DomainError]] = (),
        public: str | None = None,
        per_person: str | None = None,
        per_address: str | None = None,
        idempotency: str | None = None,
        links: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> Callable[[View], View]:
        """Describe a route.

        `public` is the reason why a caller needs no session; without one it needs a bearer token.
        `per_person` and `per_address` are limits such as "60/minute". `idempotency` is "needed" or
        "offered". `refusals` are the domain's own; the kit's common ones are added.
        """

        def decorate(view: View) -> View:
            described: Any = view
            if body is not None:
                described = self.arguments(body())(described)
            if query is not None:
                described = self.arguments(query(), location="query")(described)
            responses = {
                status: _answer(schema, (links or {}).get(status)) for status, schema in answers.items()
            }
            common = [] if public else [http.HTTPStatus.UNAUTHORIZED]
            common += [http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE]
            if body is not None:
                common += [
                    http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                ]
            if body is not None or query is not None or idempotency:
                common.append(http.HTTPStatus.UNPROCESSABLE_ENTITY)
            responses |= _problems([*refusals, *([KeyReused] if idempotency else [])], common)
            parameters = [_key_parameter(needed=idempotency == "needed")] if idempotency else []
            described = self.doc(
                operationId=view.__name__,
                security=[] if public else [{"session": []}],
                responses=responses,
                **({"parameters": parameters} if parameters else {}),
            )(described)
            attach(described, Rule(public, per_person, per_address, idempotency))
            return described  # type: ignore[no-any-return]

        return decorate

    def register_views_in_doc(self, api: "Api", *arguments: Any, **options: Any) -> None:
        """Describe the routes once the document is asked for."""
        describe = super().register_views_in_doc
        api.write_later(lambda: describe(api, *arguments, **options))

    def _prepare_response_doc(self, doc: Any, doc_info: Any, **options: Any) -> Any:
        # `operation` has said all answers; flask-smorest would add a "default" that allows any other.
        return doc

    def _prepare_arguments_doc(self, doc: Any, doc_info: Any, **options: Any) -> Any:
        # flask-smorest would refer to its own description of 422; ours is in the operation's responses.
        doc_info.get("arguments", {}).pop("responses", None)
        return super()._prepare_arguments_doc(doc, doc_info, **options)


class Api(flask_smorest.Api):
    """The OpenAPI side of one surface; errors are rendered by the kit for all surfaces alike.

    Its document is written when somebody asks for it: that takes a tenth of a second, and few workers ever
    are asked.
    """

    def __init__(self, app: Flask, **options: Any) -> None:
        self._unwritten: list[Callable[[], None]] = []
        self._writing = Lock()
        super().__init__(app, **options)

    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document of all blueprints that were registered."""
        with self._writing:
            while self._unwritten:
                self._unwritten[0]()
                del self._unwritten[0]
        written: dict[str, Any] = self.spec.to_dict()
        return written

    def write_later(self, write: Callable[[], None]) -> None:
        """Let `write` add its part before the document is shown."""
        self._unwritten.append(write)

    def _register_error_handlers(self) -> None:
        pass

    def _register_responses(self) -> None:
        # Each operation describes its problems; flask-smorest's shared descriptions have another shape.
        pass


def _answer(schema: type[Schema] | None, links: Mapping[str, Any] | None) -> dict[str, Any]:
    described: dict[str, Any] = {"description": "Done" if schema is None else (schema.__doc__ or "").strip()}
    if schema is not None:
        described["content"] = {"application/json": {"schema": schema}}
    if links:
        described["links"] = dict(links)
    return described


def _problems(refusals: Iterable[type[DomainError]], common: Iterable[int]) -> dict[int, dict[str, Any]]:
    words: dict[int, list[str]] = {}
    for status in common:
        words.setdefault(int(status), []).append(_COMMON[http.HTTPStatus(status)])
    for refusal in refusals:
        words.setdefault(refusal.status, []).append(f"{refusal.code}: {refusal.title}")
    return {
        status: {
            "description": "\n".join(f"- {line}" for line in lines),
            "content": {PROBLEM_JSON: {"schema": Problem}},
        }
        for status, lines in sorted(words.items())
    }


def _key_parameter(*, needed: bool) -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": needed,
        "description": "Chosen by the client, one per intention. The same key and request get the answer"
        " that was given first, refusals included; the same key with another request is a 409.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$", "minLength": 8, "maxLength": 64},
    }
