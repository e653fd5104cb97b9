"""A list that can be guessed is told from one that cannot; its file is read line by line."""

import random
import string
from pathlib import Path

import pytest

from app.codes.errors import InvalidForeignList
from app.codes.foreign_list import Strength, foreign_text, read_list

RANDOM = random.Random(7)


def test_long_random_codes_cannot_be_guessed() -> None:
    codes = ["X" + "".join(RANDOM.choices(string.ascii_uppercase, k=14)) for _ in range(500)]
    assert not Strength.of(codes).guessable


@pytest.mark.parametrize("shuffled", [False, True])
def test_running_numbers_can_whatever_stands_before_them(shuffled: bool) -> None:
    codes = [f"https://old.example.com/c/AB77{number:012d}" for number in range(2_000, 3_000)]
    if shuffled:
        RANDOM.shuffle(codes)
    assert Strength.of(codes).guessable


def test_short_codes_and_wide_steps_can() -> None:
    assert Strength.of([f"{RANDOM.randrange(10**6):06d}" for _ in range(500)]).guessable
    wide = [f"{number * 7_919_000_000_003:018d}" for number in range(1, 500)]
    assert Strength.of(wide).guessable


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "codes.txt"
    file.write_bytes("\ufeffA-1\r\n\n  B-2 \n".encode())
    assert list(read_list(file)) == ["A-1", "B-2"]
    for wrong in (b"A\n" + b"x" * 257, b"A\x07B\n", b"\xff\xfe\n"):
        file.write_bytes(wrong)
        with pytest.raises(InvalidForeignList):
            list(read_list(file))
    assert foreign_text("https%3A%2F%2Fa.b%2F1") == "https://a.b/1"
    assert foreign_text(" ") is None
