"""Money as people read and write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.fen import format_yuan, parse_yuan


@given(st.integers(min_value=-(10**14), max_value=10**14))
def test_what_is_formatted_is_parsed_back(fen: int) -> None:
    assert parse_yuan(format_yuan(fen)) == fen


@pytest.mark.parametrize(
    ("text", "fen"), [("1", 100), ("1.5", 150), ("0.01", 1), (" 12.30 ", 1230), ("-3", -300)]
)
def test_short_forms_are_understood(text: str, fen: int) -> None:
    assert parse_yuan(text) == fen


@pytest.mark.parametrize("text", ["", "1.234", "1,5", "１２", "1e3", "0x10", "--1", "1.", ".5", "nan", "1 2"])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most two decimals"):
        parse_yuan(text)
