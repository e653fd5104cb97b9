"""Codes by the thousand: the arithmetic of the format and its permutation on arrays, for print packs.

One call of AES serves a whole block of codes, and numpy does the rest: some sixty times as fast as one by
one. Tests hold both forms equal. It is a file of its own because only who prints needs numpy: a web
worker starts without it.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from app.codes.format import (
    ALPHABET,
    CHECK_MASKS,
    CODE_LETTERS,
    INDEX_BITS,
    LETTER_BITS,
    TAG_BITS,
    TAG_MASK,
    VERSION,
    BatchKey,
    CodeKeys,
    require_range,
)
from app.codes.permutation import LEFT_BITS, RIGHT_BITS, ROUNDS, BlockCipher, Permutation

Rows: TypeAlias = npt.NDArray[np.uint8]
Words: TypeAlias = npt.NDArray[np.uint64]

_CHUNK = 1 << 15
_LEFT_MASK = np.uint64((1 << LEFT_BITS) - 1)
_RIGHT_MASK = np.uint64((1 << RIGHT_BITS) - 1)
# Two letters at a time: ten bits to two bytes.
_PAIRS = np.frombuffer("".join(a + b for a in ALPHABET for b in ALPHABET).encode(), dtype=np.uint16)


class Blocks:
    """Many AES blocks in and out, two little-endian words each; filled, encrypted and read in turns."""

    def __init__(self, count: int) -> None:
        words = np.empty((count, 2), dtype="<u8")
        # The library wants one byte less than a block of slack behind the output.
        results = np.empty((count + 1, 2), dtype="<u8")
        self.low, self.high = words[:, 0], words[:, 1]
        self.result = results[:-1, 0]
        self._input, self._output = words.view(np.uint8).ravel().data, results.view(np.uint8).ravel().data

    def encrypt(self, cipher: BlockCipher) -> Words:
        """Encrypt `low | high << 64` of every row and return the low words, valid until the next call."""
        cipher.encrypt_into(self._input, self._output)
        return self.result


def permute(permutation: Permutation, left: Words, right: Words) -> None:
    """Replace many numbers by their images, in place; part by part (38 and 37 bits)."""
    blocks = Blocks(len(left))
    for number in range(0, ROUNDS, 2):
        blocks.low[:] = right
        blocks.high[:] = number
        left ^= blocks.encrypt(permutation.cipher) & _LEFT_MASK
        blocks.low[:] = left
        blocks.high[:] = number + 1
        right ^= blocks.encrypt(permutation.cipher) & _RIGHT_MASK


def encode_block(keys: CodeKeys, batch_id: int, first_index: int, count: int, batch_key: BatchKey) -> Rows:
    """Return `count` codes from `first_index` on as rows of 16 ASCII bytes: the same as `keys.encode`.

    Raise ValueError when any of them is out of range.
    """
    require_range(batch_id, first_index, count)
    rows = np.empty((count, CODE_LETTERS), dtype=np.uint8)
    # Piece by piece: the working memory does not grow with the count.
    for start in range(0, count, _CHUNK):
        _encode_piece(keys, batch_id, first_index + start, batch_key, rows[start : start + _CHUNK])
    return rows


def _encode_piece(keys: CodeKeys, batch_id: int, first_index: int, batch_key: BatchKey, rows: Rows) -> None:
    indexes = np.arange(first_index, first_index + len(rows), dtype=np.uint64)
    # The parts of the permutation: batch and the upper bits of the index | its lower bits and the tag.
    low_bits = RIGHT_BITS - TAG_BITS
    left = indexes >> np.uint64(low_bits) | np.uint64(batch_id << (INDEX_BITS - low_bits))
    right = (indexes & np.uint64((1 << low_bits) - 1)) << np.uint64(TAG_BITS)
    right |= _tags(batch_key, batch_id, indexes)
    permute(keys.permutation, left, right)
    # The letters: eight in the upper forty bits, seven and the check letter in the lower forty.
    upper = left << np.uint64(2) | right >> np.uint64(35)
    lower = (right & np.uint64((1 << 35) - 1)) << np.uint64(LETTER_BITS)
    lower |= _check_letters(upper, lower)
    pairs = rows.view(np.uint16)
    for place in range(4):
        shift, mask = np.uint64(30 - 10 * place), np.uint64(1023)
        pairs[:, place] = _PAIRS[upper >> shift & mask]
        pairs[:, place + 4] = _PAIRS[lower >> shift & mask]


def _tags(batch_key: BatchKey, batch_id: int, indexes: Words) -> Words:
    """Return the tags of many codes."""
    blocks = Blocks(len(indexes))
    blocks.low[:] = indexes | np.uint64(batch_id << 32)
    blocks.high[:] = VERSION
    return blocks.encrypt(batch_key.cipher) & np.uint64(TAG_MASK)


def _check_letters(upper: Words, lower: Words) -> Words:
    """Return the check letters of many codes, each given as two times eight letters."""
    letters = np.full(len(upper), VERSION, dtype=np.uint64)
    for bit, mask in enumerate(CHECK_MASKS):
        # The parity of two words is the parity of their exclusive or.
        parity = (upper & np.uint64(mask >> 40)) ^ (lower & np.uint64(mask & ((1 << 40) - 1)))
        letters ^= (np.bitwise_count(parity) & np.uint8(1)).astype(np.uint64) << np.uint64(bit)
    return letters
