"""Reading the JSON bodies of the administration endpoints: known names, right types, said in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import request

from sandbox.errors import AdminError


class Required:
    """Marks a field of the given type that has no default."""

    def __init__(self, kind: type) -> None:
        self.kind = kind


def read_document() -> dict[str, Any]:
    """The request's JSON object, whatever is in it. Raises AdminError 415 or 422.

    Demanding the JSON type keeps foreign web pages out: a browser asks before it sends that type to another
    origin, and the sandbox never answers yes.
    """
    if request.mimetype != "application/json":
        raise AdminError(415, "not_json", "send Content-Type: application/json")
    document = request.get_json(silent=True)
    if not isinstance(document, dict):
        raise AdminError(422, "not_an_object", "the body must be a JSON object")
    return document


def read_fields(specification: Mapping[str, Any]) -> dict[str, Any]:
    """The request's JSON object.

    specification: name → Required(type), or a default whose type the value must have. Raises AdminError 422
    for a missing, unknown or mistyped field, 415 for another content type.
    """
    document = read_document()
    unknown = sorted(set(document) - set(specification))
    if unknown:
        raise AdminError(
            422, "unknown_field", f"unknown: {', '.join(unknown)}; known: {', '.join(specification)}"
        )
    values: dict[str, Any] = {}
    for name, rule in specification.items():
        kind = rule.kind if isinstance(rule, Required) else type(rule)
        if name not in document:
            if isinstance(rule, Required):
                raise AdminError(422, "missing_field", f"{name} is required")
            values[name] = rule
            continue
        value = document[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise AdminError(422, "bad_field", f"{name} must be a {kind.__name__}")
        values[name] = value
    return values
