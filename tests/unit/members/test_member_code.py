"""The code that a member shows: for a minute, for its purpose, unalterable (ID-15)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.members import member_code
from app.members.errors import InvalidMemberCode
from app.members.member_code import Purpose

KEYS = [bytes(range(32))]
NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
CODE = member_code.sign(KEYS, person_id=42, now=NOON)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@given(st.integers(0, (1 << 63) - 1), st.sampled_from(list(Purpose)))
def test_a_code_names_its_member(person_id: int, purpose: Purpose) -> None:
    text = member_code.sign(KEYS, person_id=person_id, now=NOON, purpose=purpose)
    assert member_code.verify(KEYS, text=text, now=NOON, purposes=[purpose]) == person_id


def test_a_code_is_good_for_a_minute() -> None:
    assert member_code.verify(KEYS, text=CODE, now=NOON + timedelta(seconds=59)) == 42
    with pytest.raises(InvalidMemberCode):
        member_code.verify(KEYS, text=CODE, now=NOON + timedelta(seconds=60))


def test_an_invitation_identifies_nobody_at_the_till() -> None:
    invitation = member_code.sign(KEYS, person_id=42, now=NOON, purpose=Purpose.INVITE)
    with pytest.raises(InvalidMemberCode):
        member_code.verify(KEYS, text=invitation, now=NOON)
    later = NOON + timedelta(days=29)
    assert member_code.verify(KEYS, text=invitation, now=later, purposes=list(Purpose)) == 42


@given(st.integers(0, len(CODE) - 1), st.sampled_from(_LETTERS))
def test_an_altered_code_is_refused(place: int, letter: str) -> None:
    altered = CODE[:place] + letter + CODE[place + 1 :]
    if altered != CODE:
        with pytest.raises(InvalidMemberCode):
            member_code.verify(KEYS, text=altered, now=NOON)


@given(st.one_of(st.text(max_size=60), st.text(_LETTERS, min_size=47, max_size=47).map(lambda t: f"M1{t}")))
def test_a_made_up_code_is_refused(text: str) -> None:
    with pytest.raises(InvalidMemberCode):
        member_code.verify(KEYS, text=text, now=NOON)


def test_a_code_needs_only_the_letters_of_a_small_qr_code() -> None:
    assert len(CODE) == 49
    assert set(CODE) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
