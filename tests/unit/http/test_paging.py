"""Cursors lead on through a list and nowhere else."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.secrets import KeyRing
from app.http.paging import BadCursor, Cursors

RING = KeyRing({1: bytes(32)})
CURSORS = Cursors(RING)


def _page(rows: list[int], cursor: str | None, limit: int, scope: str = "awards/1") -> dict[str, Any]:
    query = {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
    window = CURSORS.window(scope, query)
    below = [row for row in sorted(rows, reverse=True) if window.before is None or row < window.before]
    return CURSORS.page(
        scope,
        window,
        below[: window.limit + 1],
        position=lambda row: row,
        render=lambda row: {"row": row},
    )


@given(st.sets(st.integers(1, 2**63 - 1), max_size=30), st.integers(1, 7))
def test_pages_show_every_row_once_and_the_newest_first(rows: set[int], limit: int) -> None:
    seen: list[int] = []
    cursor = None
    while True:
        page = _page(sorted(rows), cursor, limit)
        assert len(page["items"]) <= limit
        seen += [item["row"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == sorted(rows, reverse=True)


def _cursor(scope: str = "awards/1") -> str:
    cursor = _page([1, 2, 3], None, 1, scope)["next_cursor"]
    assert isinstance(cursor, str)
    return cursor


@pytest.mark.parametrize(
    "text", ["", "abc", "é" * 32, "=" * 32, base64.urlsafe_b64encode(bytes(24)).decode()]
)
def test_what_is_not_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadCursor) as caught:
        CURSORS.window("awards/1", {"cursor": text, "limit": 5})

    assert (caught.value.status, caught.value.code) == (422, "bad_cursor")


@given(st.integers(0, 31), st.sampled_from("ABCdef019-_"))
def test_an_altered_cursor_is_refused(place: int, letter: str) -> None:
    cursor = _cursor()
    altered = cursor[:place] + letter + cursor[place + 1 :]
    if altered != cursor:
        with pytest.raises(BadCursor):
            CURSORS.window("awards/1", {"cursor": altered, "limit": 5})


def test_a_cursor_of_another_person_is_refused() -> None:
    with pytest.raises(BadCursor):
        CURSORS.window("awards/2", {"cursor": _cursor("awards/1"), "limit": 5})


def test_a_cursor_outlives_a_new_key() -> None:
    rotated = Cursors(KeyRing({1: bytes(32), 2: bytes(range(32))}))

    assert rotated.window("awards/1", {"cursor": _cursor(), "limit": 5}).before == 3
