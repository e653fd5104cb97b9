"""The base schema and fields that take no liberties: no coercion, every string and list bounded."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from marshmallow import INCLUDE, RAISE, Schema, ValidationError, fields, validate

_PLAIN = r"^[^\u0000-\u001f\u007f-\u009f]*$"


class BaseSchema(Schema):
    """Unknown fields are refused; names are snake_case."""

    class Meta:
        """Refuse what is not declared, in requests and in what is documented of answers."""

        unknown = RAISE


class Text(fields.String):
    """A bounded text without control characters."""

    def __init__(self, maximum: int, *, minimum: int = 1, **options: Any) -> None:
        checks = [validate.Length(min=minimum, max=maximum), *_listed(options.pop("validate", None))]
        metadata = {"pattern": _PLAIN, **options.pop("metadata", {})}
        super().__init__(validate=checks, metadata=metadata, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **options)
        if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text):
            raise ValidationError("Control characters are not allowed.")
        return text


class Pattern(Text):
    """A text of one shape."""

    def __init__(self, pattern: str, maximum: int, **options: Any) -> None:
        shape = validate.Regexp(re.compile(rf"\A(?:{pattern})\Z"), error="Not of the expected shape.")
        options["metadata"] = {**options.get("metadata", {}), "pattern": f"^(?:{pattern})$"}
        super().__init__(maximum, validate=[shape], **options)


class PublicId(Text):
    """A public id of one kind, such as "aw_…"; whether it exists is not known yet."""

    def __init__(self, kind: str, **options: Any) -> None:
        options["metadata"] = {**options.get("metadata", {}), "pattern": f"^{kind}_[a-z2-7]{{13}}$"}
        shape = validate.Regexp(
            re.compile(rf"\A{kind}_[a-z2-7]{{13}}\Z"), error=f"Not an id that begins with {kind}_."
        )
        super().__init__(16, minimum=16, validate=[shape], **options)


class Whole(fields.Integer):
    """A whole number; no text, no boolean, no 1.0."""

    def _validated(self, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class QueryWhole(fields.Integer):
    """A whole number in a query string, written plainly."""

    def _validated(self, value: Any) -> Any:
        if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,9}", value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Yes(fields.Boolean):
    """true or false and nothing that looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Decimal(fields.Float):
    """A JSON number; no text, no boolean, neither NaN nor infinity."""

    def _validated(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid", input=value)
        try:
            return super()._validated(value)
        except OverflowError:
            raise self.make_error("too_large", input=value) from None


class Moment(fields.DateTime):
    """A moment of an answer: RFC 3339 in UTC."""

    def __init__(self, **options: Any) -> None:
        super().__init__(format="iso", **options)


def moment(value: datetime | None) -> str | None:
    """Return `value` as RFC 3339 in UTC with milliseconds, such as 2026-06-01T04:00:00.000Z."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class ProblemError(BaseSchema):
    """One thing that is wrong with the input."""

    path = fields.String(required=True, metadata={"description": "where: body.…, query.… or header.…"})
    message = fields.String(required=True)


class Problem(BaseSchema):
    """application/problem+json (RFC 9457). Act on `code`; the texts may change.

    Some codes have further members, such as `outcome` with code_not_drawable.
    """

    class Meta:
        """Further members are allowed."""

        unknown = INCLUDE

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True, metadata={"description": "stable, snake_case"})
    detail = fields.String(required=True)
    request_id = fields.String(required=True)
    errors = fields.List(fields.Nested(ProblemError), metadata={"description": "with invalid_input"})


def _listed(checks: Any) -> list[Any]:
    if checks is None:
        return []
    return list(checks) if isinstance(checks, list | tuple) else [checks]
