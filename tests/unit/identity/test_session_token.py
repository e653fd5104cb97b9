"""Tokens of sessions: signed, with an end, and never another's."""

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity import session_token
from app.identity.errors import InvalidToken

KEYS = [bytes(range(32))]
NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
TOKEN = session_token.sign(KEYS, session_id=42, expires_at=NOON + timedelta(hours=24))
_LETTERS = string.ascii_letters + string.digits + "-_.="


@given(st.integers(0, (1 << 63) - 1))
def test_a_token_names_its_session(session_id: int) -> None:
    token = session_token.sign(KEYS, session_id=session_id, expires_at=NOON + timedelta(hours=24))
    assert session_token.verify(KEYS, token=token, now=NOON) == session_id
    assert str(session_id) not in token or session_id < 10_000


def test_an_outlived_token_is_refused() -> None:
    with pytest.raises(InvalidToken):
        session_token.verify(KEYS, token=TOKEN, now=NOON + timedelta(hours=24))


def test_a_token_that_was_good_ends_all_the_same_with_its_time_or_its_key() -> None:
    assert session_token.verify(KEYS, token=TOKEN, now=NOON) == 42
    with pytest.raises(InvalidToken):
        session_token.verify(KEYS, token=TOKEN, now=NOON + timedelta(hours=24))
    with pytest.raises(InvalidToken):
        session_token.verify([bytes(32)], token=TOKEN, now=NOON)


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(_LETTERS))
def test_an_altered_token_is_refused(place: int, letter: str) -> None:
    altered = TOKEN[:place] + letter + TOKEN[place + 1 :]
    if altered != TOKEN:
        with pytest.raises(InvalidToken):
            session_token.verify(KEYS, token=altered, now=NOON)


@given(st.one_of(st.text(max_size=80), st.text(_LETTERS, max_size=60).map(lambda text: f"s1.{text}")))
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        session_token.verify(KEYS, token=token, now=NOON)


def test_a_token_goes_through_a_header() -> None:
    assert set(TOKEN) <= set(_LETTERS) - {"="}
