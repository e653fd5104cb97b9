"""What is accepted as a password, and how it is kept."""

import pytest
from argon2 import PasswordHasher

from app.access.errors import WeakPassword
from app.access.passwords import fits, hash_password, is_outdated, require_strong


@pytest.mark.parametrize("password", ["short", "x" * 11, "x" * 129, "aaaaaaaaaaaa", "my name is OLGA!"])
def test_what_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        require_strong(password, login="olga")


@pytest.mark.parametrize("password", ["correct horse", "密码密码一二三四五六七八九十", "x" * 124 + "yzab"])
def test_a_sentence_is_accepted(password: str) -> None:
    require_strong(password, login="olga")


def test_a_hash_is_salted_and_fits_its_password_alone() -> None:
    first, second = hash_password("correct horse"), hash_password("correct horse")
    assert first != second
    assert first.startswith("$argon2id$")
    assert fits("correct horse", first)
    assert not fits("Correct horse", first)
    assert not fits("nobody has this password", None)


def test_a_hash_by_weaker_parameters_is_outdated() -> None:
    assert not is_outdated(hash_password("correct horse"))
    assert is_outdated(PasswordHasher(time_cost=1, memory_cost=64).hash("correct horse"))
