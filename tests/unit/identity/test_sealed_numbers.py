"""A number in the hands of strangers: readable by us alone, unalterable, and over when it is over."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity.sealed_numbers import SEALED_BYTES, NotSealed, open_sealed, seal

KEYS = [bytes(range(32)), bytes(reversed(range(32)))]
NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
numbers = st.integers(0, (1 << 63) - 1)


@given(numbers)
def test_what_was_sealed_comes_out_again(number: int) -> None:
    sealed = seal(KEYS, purpose="a", number=number, expires_at=LATER)
    assert len(sealed) == SEALED_BYTES
    assert open_sealed(KEYS, purpose="a", sealed=sealed, now=NOON) == number


@given(numbers, st.integers(0, SEALED_BYTES * 8 - 1))
def test_one_changed_bit_opens_nothing(number: int, bit: int) -> None:
    sealed = bytearray(seal(KEYS, purpose="a", number=number, expires_at=LATER))
    sealed[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(NotSealed):
        open_sealed(KEYS, purpose="a", sealed=bytes(sealed), now=NOON)


@given(st.binary(max_size=40))
def test_made_up_bytes_open_nothing(made_up: bytes) -> None:
    with pytest.raises(NotSealed):
        open_sealed(KEYS, purpose="a", sealed=made_up, now=NOON)


def test_its_time_ends_with_the_second_it_names() -> None:
    sealed = seal(KEYS, purpose="a", number=1, expires_at=LATER)
    assert open_sealed(KEYS, purpose="a", sealed=sealed, now=LATER - timedelta(microseconds=1)) == 1
    with pytest.raises(NotSealed, match="over"):
        open_sealed(KEYS, purpose="a", sealed=sealed, now=LATER)


def test_a_purpose_is_not_another_one() -> None:
    sealed = seal(KEYS, purpose="a", number=1, expires_at=LATER)
    with pytest.raises(NotSealed):
        open_sealed(KEYS, purpose="b", sealed=sealed, now=NOON)


def test_an_older_key_still_opens_and_a_strange_one_does_not() -> None:
    sealed = seal(KEYS[1:], purpose="a", number=7, expires_at=LATER)
    assert open_sealed(KEYS, purpose="a", sealed=sealed, now=NOON) == 7
    with pytest.raises(NotSealed):
        open_sealed(KEYS[:1], purpose="a", sealed=sealed, now=NOON)


@given(numbers, numbers)
def test_neighbours_do_not_look_like_neighbours(one: int, step: int) -> None:
    other = (one ^ 1) if step % 2 else (one ^ (1 << 40))
    left = seal(KEYS, purpose="a", number=one, expires_at=LATER)
    right = seal(KEYS, purpose="a", number=other, expires_at=LATER)
    differing = sum((a ^ b).bit_count() for a, b in zip(left, right, strict=True))
    assert differing > SEALED_BYTES * 2
