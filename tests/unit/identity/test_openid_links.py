"""The number of a link travels in three places, and is no use in the place of another."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity.errors import LinkOver
from app.identity.openid_links import Place, read, write

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
KEYS = [b"k" * 32, b"o" * 32]


@given(st.integers(0, 2**63 - 1), st.sampled_from(Place))
def test_it_comes_back_from_its_place_alone(number: int, place: Place) -> None:
    text = write(KEYS, place=place, link_id=number, expires_at=LATER)
    # What WeChat takes for a state: letters and digits, at most 128.
    assert text.isascii()
    assert text.isalnum()
    assert len(text) == 47
    assert read(KEYS, place=place, text=text, now=NOW) == number
    assert read(KEYS[::-1], place=place, text=text, now=NOW) == number
    for other in set(Place) - {place}:
        with pytest.raises(LinkOver):
            read(KEYS, place=other, text=text, now=NOW)


@given(st.text(max_size=60))
def test_what_is_made_up_is_refused(text: str) -> None:
    with pytest.raises(LinkOver):
        read(KEYS, place=Place.LINK, text=text, now=NOW)


def test_an_altered_or_old_one_is_refused() -> None:
    text = write(KEYS, place=Place.LINK, link_id=7, expires_at=LATER)
    for wrong in (text[1:], text + "A", "A" + text[1:] if text[0] != "A" else "B" + text[1:], text.lower()):
        with pytest.raises(LinkOver):
            read(KEYS, place=Place.LINK, text=wrong, now=NOW)
    with pytest.raises(LinkOver):
        read(KEYS, place=Place.LINK, text=text, now=LATER)
    with pytest.raises(LinkOver):
        read([b"x" * 32], place=Place.LINK, text=text, now=NOW)
