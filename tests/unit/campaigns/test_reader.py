from datetime import UTC, datetime, time
from enum import StrEnum

import pytest

from app.campaigns.reader import Fault, Node, write_moment


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def node(value: object) -> Node:
    return Node(value, "", [])


def codes(of: Node) -> list[str]:
    return [fault.code for fault in of.faults]


def test_unknown_and_missing_fields_are_both_named_with_their_paths() -> None:
    faults: list[Fault] = []
    Node({"a": 1, "z": 2}, "top", faults).fields(("a", "b"), ("c",))
    assert {(fault.path, fault.code) for fault in faults} == {
        ("top.z", "unknown_field"),
        ("top.b", "missing"),
    }


def test_null_counts_as_absent() -> None:
    of = node({"a": None})
    assert of.fields(optional=("a",)) == {}
    assert not of.faults
    of.fields(("a",))
    assert codes(of) == ["missing"]


def test_elements_of_a_list_are_named_by_their_place() -> None:
    of = node([1, "x", 3])
    assert of.items(lambda item: item.integer(0, 9)) == (1, 0, 3)
    assert of.faults == [Fault("[1]", "not_an_integer", "an integer is expected here")]


@pytest.mark.parametrize(
    ("value", "code"),
    [(True, "not_an_integer"), (1.0, "not_an_integer"), ("1", "not_an_integer"), (10, "out_of_range")],
)
def test_only_integers_within_the_range_are_integers(value: object, code: str) -> None:
    of = node(value)
    of.integer(0, 9)
    assert codes(of) == [code]


def test_the_ends_of_a_range_belong_to_it() -> None:
    of = node(9)
    assert of.integer(0, 9) == 9
    assert not of.faults


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (7, "not_a_text"),
        ("abcd", "wrong_length"),
        ("a\x00b", "unprintable"),
        ("\ud800", "unprintable"),
    ],
)
def test_texts_that_cannot_be_shown_are_faults(value: object, code: str) -> None:
    of = node(value)
    assert of.text(3) == ""
    assert codes(of) == [code]


def test_texts_are_trimmed() -> None:
    assert node(" 好 ").text(3) == "好"


@pytest.mark.parametrize("value", ["", "A", "1a", "a-b", "a" * 33, 7, "a\n"])
def test_keys_are_small_and_plain(value: object) -> None:
    of = node(value)
    of.key()
    assert codes(of) == ["not_a_key"]


def test_a_key_may_have_32_characters() -> None:
    of = node("a" * 32)
    assert of.key() == "a" * 32
    assert not of.faults


@pytest.mark.parametrize("value", ["green", 1, None, ["red"], {"red": 1}])
def test_a_choice_that_is_not_offered_is_a_fault(value: object) -> None:
    of = node(value)
    assert of.choice(Colour) is Colour.RED
    assert codes(of) == ["unknown_choice"]


@pytest.mark.parametrize(
    "value",
    [
        "2026-06-01T00:00:00",  # no offset: names no moment
        "2026-06-01",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+08:00",  # out of range once in UTC
        "2026-06-01 00:00:00Z",
        20260601,
    ],
)
def test_a_moment_without_an_offset_or_out_of_the_calendar_is_a_fault(value: object) -> None:
    of = node(value)
    of.moment()
    assert codes(of) == ["not_a_moment"]


def test_moments_are_turned_to_utc_and_written_one_way() -> None:
    moment = node("2026-06-01T08:00:00+08:00").moment()
    assert moment == datetime(2026, 6, 1, tzinfo=UTC)
    assert write_moment(moment) == "2026-06-01T00:00:00Z"
    assert write_moment(node("2026-06-01T00:00:00.250000Z").moment()) == "2026-06-01T00:00:00.250000Z"


@pytest.mark.parametrize("value", ["24:00", "9:00", "09:60", "0900", 9])
def test_times_of_day_are_hh_mm(value: object) -> None:
    of = node(value)
    of.time_of_day()
    assert codes(of) == ["not_a_time"]
    assert node("23:59").time_of_day() == time(23, 59)


def test_distinct_sorts_and_names_repetition() -> None:
    of = node(["b", "a", "b"])
    assert of.distinct(Node.word) == ("a", "b")
    assert codes(of) == ["repeated"]


def test_a_list_that_is_too_long_is_cut_and_named() -> None:
    of = node([1, 2, 3])
    assert of.items(lambda item: item.integer(0, 9), most=2) == (1, 2)
    assert codes(of) == ["wrong_length"]


@pytest.mark.parametrize("value", [None, 7, "x", []])
def test_only_an_object_has_fields(value: object) -> None:
    of = node(value)
    assert of.fields(("a",)) == {}
    assert codes(of) == ["not_an_object"]
