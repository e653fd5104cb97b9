"""Files of codes that WeChat made: what openssl sealed is read, and nothing that is not what was ordered."""

import base64

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from app.codes.errors import InvalidMarketFile
from app.codes.market_list import MadeCode, read_codes, unseal

KEY = "Kf3-0kq9sVzP_x1Y"
# openssl enc -aes-128-cbc -K $(printf KEY | xxd -p) -iv the same
SEALED = base64.b64decode(
    "cm2/7polfGvAWsJQlFd2T51ic/41k0oqLHK7MutYUtYTUiM/oAfmYptbT53EJJp0PV6vw97sqGVi8rHKeGDV2NkXucVqW1H3GfpM"
    "Id6NP0igT8PrG5askH6DVeR0PoT5"
)
TEXT = "0\t0AB3DE7GH\tP.URL.CN/0U.JYJXP3HJI2C98A9O\n1\tZZ00000ZZ\tP.URL.CN/0P$M%LZ4LHSVSDCR2L2\n"
FIRST = MadeCode("0AB3DE7GH", "P.URL.CN/0U.JYJXP3HJI2C98A9O")
SECOND = MadeCode("ZZ00000ZZ", "P.URL.CN/0P$M%LZ4LHSVSDCR2L2")


def seal(text: bytes, padding: int) -> bytes:
    encryptor = Cipher(algorithms.AES(KEY.encode()), modes.CBC(KEY.encode())).encryptor()
    return encryptor.update(text + bytes([padding]) * padding) + encryptor.finalize()


def test_what_openssl_sealed_is_read() -> None:
    assert unseal(SEALED, key=KEY) == TEXT
    assert read_codes(TEXT, first=0, codes=2) == [FIRST, SECOND]


def test_padding_up_to_32_bytes_is_stripped() -> None:
    assert unseal(seal(b"x" * 16, 32), key=KEY) == "x" * 16
    for wrong in (0, 33):
        with pytest.raises(InvalidMarketFile):
            unseal(seal(b"x" * (48 - wrong), wrong) if wrong else seal(b"x" * 15 + b"\0", 0), key=KEY)


@given(st.integers(0, len(SEALED) - 1))
def test_a_file_that_is_cut_off_anywhere_is_never_read_as_a_whole(length: int) -> None:
    with pytest.raises(InvalidMarketFile):
        read_codes(unseal(SEALED[:length], key=KEY), first=0, codes=2)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=16))
def test_another_key_reads_nothing(key: str) -> None:
    if key != KEY:
        with pytest.raises(InvalidMarketFile):
            read_codes(unseal(SEALED, key=key), first=0, codes=2)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("\t", "  ").replace("\n", "\r\n"),
        "".join(f"{code} {link}\n" for code, link in (FIRST, SECOND)),
        "".join(f"{link}\t{code}\n" for code, link in (FIRST, SECOND)),
        f"{FIRST.link} 70 {FIRST.code}\n\n{SECOND.code} 71 {SECOND.link}\n",
        f"1 {FIRST.code} {FIRST.link}\n2 {SECOND.code} {SECOND.link}\n",
    ],
)
def test_the_columns_may_stand_in_any_order(text: str) -> None:
    assert read_codes(text, first=70, codes=2) == [FIRST, SECOND]


def test_a_code_of_digits_is_told_from_the_index() -> None:
    made = MadeCode("123456789", FIRST.link)
    assert read_codes(f"5 {made.code} {made.link}", first=5, codes=1) == [made]
    assert read_codes(f"{made.code} {made.link}", first=5, codes=1) == [made]


@pytest.mark.parametrize(
    ("text", "codes", "said"),
    [
        (TEXT, 3, "2 codes instead of 3"),
        (TEXT, 1, "2 codes instead of 1"),
        ("", 1, "0 codes"),
        (TEXT + f"2\t{FIRST.code}\tP.URL.CN/0U.JYJXP3HJI2C98A9X\n", 3, "twice"),
        (TEXT + f"2\t111111111\t{FIRST.link}\n", 3, "twice"),
        (TEXT.replace("1\tZZ", "2\tZZ"), 2, "line 2: the index"),
        (f"9 {FIRST.code} {FIRST.link}", 1, "line 1: the index"),
        (f"{FIRST.code}", 1, "line 1"),
        (f"{FIRST.link}", 1, "line 1"),
        (f"0 0 {FIRST.code} {FIRST.link}", 1, "line 1"),
        (f"0 0AB3DE7G {FIRST.link}", 1, "nine letters"),
        (f"0 0AB3DE7G\x00 {FIRST.link}", 1, "nine letters"),
    ],
)
def test_what_is_not_what_was_ordered_is_refused(text: str, codes: int, said: str) -> None:
    with pytest.raises(InvalidMarketFile, match=said):
        read_codes(text, first=0, codes=codes)
