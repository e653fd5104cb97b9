"""Logs are JSON, carry the request's id and never the words of an exception."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.http import logs
from tests.support.log_lines import log_lines

PHONE = "13800138000"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    with log_lines() as stream:
        yield stream


def _read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_its_fields_and_the_request(lines: io.StringIO) -> None:
    logs.request_id.set("abc")
    logging.getLogger("saoma.test").info("it.happened", extra={"count": 3})

    (line,) = _read(lines)
    assert line["event"] == "it.happened"
    assert (line["level"], line["logger"], line["count"], line["request_id"]) == (
        "info",
        "saoma.test",
        3,
        "abc",
    )
    assert datetime.fromisoformat(line["timestamp"]).tzinfo is UTC


def test_a_moment_without_a_fraction_is_written_in_full(lines: io.StringIO) -> None:
    record = logging.makeLogRecord(
        {"msg": "it.happened", "levelno": logging.INFO, "created": 1_780_286_400.0}
    )
    logging.getLogger().handle(record)

    assert _read(lines)[0]["timestamp"] == "2026-06-01T04:00:00.000000Z"


def test_what_is_no_json_is_shown_and_no_field_breaks_a_line(lines: io.StringIO) -> None:
    logging.getLogger("saoma.test").info("it.happened", extra={"folder": Path("a"), "text": "one\ntwo"})

    (line,) = _read(lines)
    assert (line["folder"], line["text"]) == (repr(Path("a")), "one\ntwo")


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


def test_a_process_that_logged_leaves_the_loggers_of_libraries_to_others() -> None:
    library = logging.getLogger("urllib3")
    before = library.level
    with log_lines():
        assert library.level == logging.WARNING
    assert library.level == before
