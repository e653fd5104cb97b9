"""What is let in: bodies that are JSON and nothing else, and request ids that are plain."""

import contextlib
import time

import pytest
from flask import Flask, g
from hypothesis import given
from hypothesis import strategies as st

from app.http.intake import MAX_DEPTH, give_request_id, parse_json
from app.http.problems import BadJson
from app.kernel.json import canonical


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nothing",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\\ud800"}',
        b'{"\\udc00": 1}',
        b"1" * 5000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'"' * 60_001,
    ],
    ids=range(14),
)
def test_what_is_not_plain_json_is_refused(raw: bytes) -> None:
    with pytest.raises(BadJson):
        parse_json(raw)


@pytest.mark.parametrize("opening", [b'"', b'["', b'{"a": "'])
def test_a_text_that_never_ends_costs_no_time(opening: bytes) -> None:
    """Anybody may send it: logging in needs no session."""
    raw = b"[" * (MAX_DEPTH + 1 - opening.count(b"[")) + opening + b'\\"' * 30_000
    started = time.process_time()
    with pytest.raises(BadJson):
        parse_json(raw)
    assert time.process_time() - started < 1


def test_brackets_behind_a_text_with_quotes_are_depth() -> None:
    deep = b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)
    with pytest.raises(BadJson, match="deeper"):
        parse_json(b'["\\\\\\"", ' + deep + b"]")


def test_brackets_inside_a_text_are_not_depth() -> None:
    assert parse_json(b'{"a": "[[[[[[[[[[{{{{\\"[[["}') == {"a": '[[[[[[[[[[{{{{"[[['}


def test_the_deepest_allowed_body_is_read() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) == [[[[[[[[]]]]]]]]


_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
def test_everything_shallow_is_read_as_it_was_written(value: object) -> None:
    def depth(part: object) -> int:
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    if depth(value) <= MAX_DEPTH:
        assert parse_json(canonical(value)) == value
    else:
        with pytest.raises(BadJson):
            parse_json(canonical(value))


@given(st.binary(max_size=200))
def test_no_body_raises_anything_else(raw: bytes) -> None:
    with contextlib.suppress(BadJson):
        parse_json(raw)


@pytest.mark.parametrize(
    ("given_id", "kept"),
    [
        ("0af7651916cd43dd", True),
        ("job-17.retry_2", True),
        ("short", False),
        ("a b c d e f", False),
        ("x" * 65, False),
        ("<script>alert</script>", False),
        ("-leading-dash", False),
    ],
)
def test_a_request_id_is_taken_over_only_when_it_is_plain(given_id: str, kept: bool) -> None:
    app = Flask(__name__)
    with app.test_request_context(headers={"X-Request-Id": given_id}) as context:
        give_request_id(context.request)

        assert (g.request_id == given_id) is kept
        assert len(g.request_id) >= 8
