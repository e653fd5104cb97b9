"""Member numbers: twelve digits that cashiers can mistype without becoming somebody else."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.members.member_no import DIGITS, from_digest, is_valid

digests = st.binary(min_size=32, max_size=32)


@given(digests)
def test_a_number_is_twelve_digits_without_a_leading_zero(digest: bytes) -> None:
    number = from_digest(digest)
    assert len(number) == DIGITS
    assert number[0] != "0"
    assert is_valid(number)


@given(digests, st.integers(0, DIGITS - 1), st.integers(1, 9))
def test_one_wrong_digit_is_caught(digest: bytes, place: int, change: int) -> None:
    number = from_digest(digest)
    digit = (int(number[place]) + change) % 10
    assert not is_valid(f"{number[:place]}{digit}{number[place + 1 :]}")


@given(digests, st.integers(0, DIGITS - 2))
def test_two_swapped_neighbours_are_caught(digest: bytes, place: int) -> None:
    number = from_digest(digest)
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert swapped == number or not is_valid(swapped)


@pytest.mark.parametrize("text", ["", "12345", "1234567890123", "12345678901a", "１２３４５６７８９０１２"])
def test_what_is_no_number_is_refused(text: str) -> None:
    assert not is_valid(text)


def test_numbers_of_neighbours_tell_nothing() -> None:
    numbers = [int(from_digest(hashlib.sha256(bytes([n])).digest())) for n in range(200)]
    assert len(set(numbers)) == 200
    assert max(numbers) - min(numbers) > 500_000_000_000
