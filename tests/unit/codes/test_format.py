"""The format of a code: frozen vectors, round trips, every misreading caught, nothing but domain errors."""

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.codes import blocks
from app.codes import format as code_format
from app.codes.blocks import encode_block
from app.codes.errors import CodeAltered, NotACode
from app.codes.format import (
    ALPHABET,
    CODE_LETTERS,
    MAX_BATCH_ID,
    MAX_BATCH_SIZE,
    MAX_TEXT,
    BatchKey,
    CodeKeys,
    Parsed,
)

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
KEYS = CodeKeys(bytes.fromhex(VECTORS["code_key"]))
BATCH_KEY = BatchKey(bytes.fromhex(VECTORS["batch_key"]))
BATCHES = st.integers(1, MAX_BATCH_ID)
INDEXES = st.integers(0, MAX_BATCH_SIZE - 1)


@pytest.mark.parametrize("vector", VECTORS["codes"], ids=lambda vector: vector["code"])
def test_frozen_vectors_hold(vector: dict[str, int | str]) -> None:
    """If this fails, the format changed and every printed bottle is lost: mend the code, not the file."""
    batch_id, index, code = int(vector["batch_id"]), int(vector["code_index"]), str(vector["code"])
    assert KEYS.encode(batch_id, index, BATCH_KEY) == code
    parsed = KEYS.parse(code)
    assert parsed == Parsed(batch_id, index, int(vector["tag"]))
    assert BATCH_KEY.verifies(parsed)


@given(BATCHES, INDEXES)
def test_a_code_says_what_was_put_into_it(batch_id: int, index: int) -> None:
    code = KEYS.encode(batch_id, index, BATCH_KEY)
    assert len(code) == CODE_LETTERS
    assert set(code) <= set(ALPHABET)
    parsed = KEYS.parse(code)
    assert (parsed.batch_id, parsed.code_index) == (batch_id, index)
    assert BATCH_KEY.verifies(parsed)


@given(st.integers(0, (1 << 75) - 1))
def test_every_fifteen_letters_are_the_code_of_one_plain_text(letters: int) -> None:
    """The other direction of the bijection: letters -> contents -> the same letters."""
    body = "".join(ALPHABET[letters >> shift & 31] for shift in range(70, -1, -5))
    readable = [body + check for check in ALPHABET if _parses(body + check)]
    assert len(readable) == 1
    parsed = KEYS.parse(readable[0])
    plain = (parsed.batch_id << 27 | parsed.code_index) << 24 | parsed.tag
    assert KEYS.permutation.forward(plain) == letters


def _parses(code: str) -> bool:
    try:
        KEYS.parse(code)
    except CodeAltered:
        return False
    return True


@given(BATCHES, INDEXES, st.integers(1, 70))
def test_a_block_is_its_codes_one_by_one(batch_id: int, first: int, count: int) -> None:
    first = min(first, MAX_BATCH_SIZE - count)
    block = encode_block(KEYS, batch_id, first, count, BATCH_KEY)
    assert block.shape == (count, CODE_LETTERS)
    assert block.dtype == np.uint8
    for place in {0, count // 2, count - 1}:
        assert block[place].tobytes().decode() == KEYS.encode(batch_id, first + place, BATCH_KEY)


def test_a_block_is_right_across_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_CHUNK", 1000)
    block = encode_block(KEYS, 3, 8000, 3500, BATCH_KEY)
    assert [row.tobytes().decode() for row in block] == [
        KEYS.encode(3, index, BATCH_KEY) for index in range(8000, 11500)
    ]


def test_no_two_codes_of_a_large_range_are_equal() -> None:
    block = encode_block(KEYS, 9, 0, 200_000, BATCH_KEY)
    assert len(np.unique(block, axis=0)) == 200_000


@pytest.mark.parametrize("code", [vector["code"] for vector in VECTORS["codes"][:8]])
def test_every_single_wrong_letter_is_detected(code: str) -> None:
    for place in range(CODE_LETTERS):
        for letter in ALPHABET.replace(code[place], ""):
            with pytest.raises(CodeAltered):
                KEYS.parse(code[:place] + letter + code[place + 1 :])


@given(BATCHES, INDEXES, st.integers(0, 15), st.integers(0, 15))
def test_every_exchange_of_two_letters_is_detected(batch_id: int, index: int, one: int, other: int) -> None:
    letters = list(KEYS.encode(batch_id, index, BATCH_KEY))
    assume(letters[one] != letters[other])
    letters[one], letters[other] = letters[other], letters[one]
    with pytest.raises(CodeAltered):
        KEYS.parse("".join(letters))


def test_every_exchange_of_neighbours_is_detected() -> None:
    for index in range(300):
        code = KEYS.encode(1, index, BATCH_KEY)
        for place in range(CODE_LETTERS - 1):
            if code[place] != code[place + 1]:
                swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
                with pytest.raises(CodeAltered):
                    KEYS.parse(swapped)


def test_the_sum_of_the_letters_is_the_version() -> None:
    """Version 2 will be recognised by its sum; no code of version 1 can carry it."""
    code = KEYS.encode(77, 7, BATCH_KEY)
    weights = [1]
    for _ in range(CODE_LETTERS - 1):
        weights.append(code_format._field_product(weights[-1], 2))
    assert len(set(weights)) == CODE_LETTERS
    total = 0
    for letter, weight in zip(reversed(code), weights, strict=True):
        total ^= code_format._field_product(ALPHABET.index(letter), weight)
    assert total == 1


@pytest.mark.parametrize(
    "write",
    [
        str.lower,
        lambda code: f" {code}\n",
        lambda code: "-".join(code[place : place + 4] for place in range(0, 16, 4)),
        lambda code: " ".join(code[place : place + 4] for place in range(0, 16, 4)),
        lambda code: code.replace("0", "O").replace("1", "I"),
        lambda code: code.replace("0", "o").replace("1", "l"),
        lambda code: "".join(chr(ord(letter) + 0xFEE0) for letter in code),
        lambda code: "\u3000".join([code[:8], code[8:]]),
    ],
    ids=["small", "blanks around", "hyphens", "blanks", "O and I", "o and l", "full width", "wide blank"],
)
def test_reading_is_tolerant(write) -> None:  # type: ignore[no-untyped-def]
    codes = [KEYS.encode(12, index, BATCH_KEY) for index in range(40)]
    assert any("0" in code for code in codes)
    assert any("1" in code for code in codes)
    for code in codes:
        assert KEYS.parse(write(code)) == KEYS.parse(code)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "A",
        "A" * 15,
        "A" * 17,
        "A" * 5000,
        "U" * 16,
        "+123456789ABCDEF",
        "1_3_5_7_9_A_C_E_",
        "https%3A%2F%2Fa.b",
        "中文中文中文中文中文中文中文中文",
        "\x00" * 16,
        "\u0661" * 16,  # Arabic digits: int() would read them
        "\ud800" * 16,  # half a character
        "\ufdfa" * 16,  # one character that becomes eighteen
    ],
    ids=range(15),
)
def test_what_has_not_the_shape_of_a_code_is_refused(text: str) -> None:
    with pytest.raises(NotACode) as refusal:
        KEYS.parse(text)
    assert refusal.value.code == "not_a_code"
    assert refusal.value.status == 422


@given(st.text(max_size=80) | st.text(ALPHABET + "oil -\u3000", min_size=14, max_size=20))
def test_any_text_is_a_code_or_a_domain_error(text: str) -> None:
    with suppress(NotACode, CodeAltered):
        parsed = KEYS.parse(text)
        assert len(text) <= MAX_TEXT
        assert 0 <= parsed.batch_id <= MAX_BATCH_ID
        assert 0 <= parsed.code_index < MAX_BATCH_SIZE


def test_made_up_codes_are_not_genuine() -> None:
    """3,000 guesses with right check letters: none carries a tag of this batch."""
    guesses = encode_block(CodeKeys(b"g" * 32), 1, 0, 3000, BatchKey(b"h" * 32))
    for row in guesses:
        assert not BATCH_KEY.verifies(KEYS.parse(row.tobytes().decode()))


def test_the_tag_hangs_on_the_batch_the_index_and_the_key() -> None:
    tag = BATCH_KEY.tag(5, 6)
    others = [BATCH_KEY.tag(6, 5), BATCH_KEY.tag(5, 7), BATCH_KEY.tag(4, 6), BatchKey(b"o" * 32).tag(5, 6)]
    assert tag not in others
    assert not BATCH_KEY.verifies(Parsed(5, 6, tag ^ 1))
    assert not BATCH_KEY.verifies(Parsed(5, 7, tag))


def test_letters_of_neighbouring_codes_are_even_and_unrelated() -> None:
    """Whoever buys a case learns nothing: each place has all 32 letters equally often."""
    count = 64_000
    block = encode_block(KEYS, 2, 0, count, BATCH_KEY)
    for place in range(CODE_LETTERS):
        seen = Counter(block[:, place].tolist())
        assert len(seen) == 32
        # Chi-square with 31 degrees of freedom: above 80 in one of 300,000 cases.
        expected = count / 32
        assert sum((number - expected) ** 2 / expected for number in seen.values()) < 80


@pytest.mark.parametrize(
    ("batch_id", "index"), [(0, 0), (MAX_BATCH_ID + 1, 0), (1, -1), (1, MAX_BATCH_SIZE), (-1, 5)]
)
def test_contents_out_of_range_cannot_be_encoded(batch_id: int, index: int) -> None:
    with pytest.raises(ValueError, match="a batch"):
        KEYS.encode(batch_id, index, BATCH_KEY)
    with pytest.raises(ValueError, match="a batch"):
        encode_block(KEYS, batch_id, index, 1, BATCH_KEY)


def test_a_block_may_not_run_over_the_end_of_a_batch() -> None:
    assert len(encode_block(KEYS, 1, MAX_BATCH_SIZE - 2, 2, BATCH_KEY)) == 2
    with pytest.raises(ValueError, match="2\\^27"):
        encode_block(KEYS, 1, MAX_BATCH_SIZE - 2, 3, BATCH_KEY)
    assert len(encode_block(KEYS, 1, 0, 0, BATCH_KEY)) == 0


def test_a_code_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        CodeKeys(b"short")
