"""Fields take no liberties with what they are given."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from marshmallow import ValidationError

from app.http.problems import flatten
from app.http.schemas import (
    BaseSchema,
    Decimal,
    Pattern,
    PublicId,
    QueryWhole,
    Text,
    Whole,
    Yes,
    moment,
)


class _Sample(BaseSchema):
    text = Text(5)
    shape = Pattern("[a-z]{2}", 2)
    award = PublicId("aw")
    number = Whole()
    asked = QueryWhole()
    yes = Yes()
    share = Decimal()


GOOD: dict[str, Any] = {
    "text": "好的",
    "shape": "ab",
    "award": "aw_abcdefghij234",
    "number": 7,
    "asked": "7",
    "yes": True,
    "share": 1.5,
}


def test_what_fits_is_taken_as_it_is() -> None:
    assert _Sample().load(GOOD) == GOOD | {"asked": 7}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", ""),
        ("text", "longer"),
        ("text", "a\x00"),
        ("text", "a\n"),
        ("text", 5),
        ("text", None),
        ("text", ["a"]),
        ("shape", "abc"),
        ("shape", "ab\n"),
        ("award", "dr_abcdefghij234"),
        ("award", "aw_abcdefghij23"),
        ("award", "aw_ABCDEFGHIJ234"),
        ("number", True),
        ("number", "7"),
        ("number", 7.0),
        ("number", 7.5),
        ("asked", " 7"),
        ("asked", "7.0"),
        ("asked", "１"),
        ("yes", "true"),
        ("yes", 1),
        ("share", "1.5"),
        ("share", True),
        ("share", float("nan")),
        ("share", 10**400),
        ("unknown", 1),
    ],
)
def test_what_does_not_fit_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        _Sample().load(GOOD | {field: value})

    assert {error["path"] for error in flatten(caught.value.messages)} == {field}


def test_messages_are_flattened_to_dotted_paths_of_bounded_length() -> None:
    messages = {
        "body": {"items": {0: {"name": ["Too long.", "Odd."]}}, "_schema": ["Wrong."], "x" * 99: ["No."]}
    }

    assert list(flatten(messages)) == [
        {"path": "body.items.0.name", "message": "Too long."},
        {"path": "body.items.0.name", "message": "Odd."},
        {"path": "body", "message": "Wrong."},
        {"path": "body." + "x" * 40, "message": "No."},
    ]


def test_moments_leave_in_utc() -> None:
    shanghai = timezone(timedelta(hours=8))

    assert moment(datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=shanghai)) == "2026-06-01T04:00:00.123Z"
    assert moment(datetime(2026, 6, 1, tzinfo=UTC)) == "2026-06-01T00:00:00.000Z"
    assert moment(None) is None
