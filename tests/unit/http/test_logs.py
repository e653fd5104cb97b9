"""Logs are JSON, carry the request's id and never the words of an exception."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.http import logs

PHONE = "13800138000"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    logs.configure("INFO", stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]
    structlog.contextvars.clear_contextvars()


def _read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_its_fields_and_the_request(lines: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(request_id="abc")
    logging.getLogger("saoma.test").info("it.happened", extra={"count": 3})

    (line,) = _read(lines)
    assert line["event"] == "it.happened"
    assert (line["level"], line["logger"], line["count"], line["request_id"]) == (
        "info",
        "saoma.test",
        3,
        "abc",
    )
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_named_with_its_causes_and_places_without_its_words(lines: io.StringIO) -> None:
    def inner() -> None:
        raise KeyError(PHONE)

    try:
        try:
            inner()
        except KeyError as cause:
            raise RuntimeError(f"no row for {PHONE}") from cause
    except RuntimeError:
        logging.getLogger("saoma.test").exception("it.failed")

    (line,) = _read(lines)
    assert line["exception"] == ["RuntimeError", "KeyError"]
    assert line["frames"][0].endswith("without_its_words")
    assert PHONE not in lines.getvalue()


@pytest.mark.parametrize("name", ["werkzeug", "urllib3.connectionpool", "flask-limiter", "sqlalchemy.engine"])
def test_talkative_libraries_are_silenced(lines: io.StringIO, name: str) -> None:
    logging.getLogger(name).info("GET /q/%s", "7ABCDEFGHJKLMNPQ")

    assert lines.getvalue() == ""
