"""The format of a code, version 1. What is printed can never change; frozen vectors hold it.

A code is 15 letters of base 32 and a check letter:

    24 bits batch | 27 bits index in the batch | 24 bits authentication tag
      -> keyed permutation of 75 bits (app.codes.permutation)
      -> 15 letters of 5 bits, the highest first
      -> check letter

The letters are 0-9 and A-Z without I, L, O and U. Reading is tolerant: small letters, full-width letters,
blanks and hyphens are fine, O is 0, I and L are 1.

**The check letter** catches misreading before any key is used. Over GF(32) the sum of letter times weight,
the check letter with weight 1, is the format's version. The weights are sixteen different powers of a
generator, so one wrong letter always changes the sum, and so does the exchange of any two letters that
differ. The sum therefore also tells the version, without a letter of its own. (Once there are two
versions, a misread letter may turn one into the other; its tag is then wrong but for one in 16 million.)

**Forging.** The check letter is public arithmetic and keeps out mistakes, not people. Who does not know
the code key knows nothing of the plain text behind letters they choose: it is a random number of 75 bits.
A guess hits a code of the installation with probability (codes issued) / 2^75: with ten
billion codes, one in 3.7 * 10^12. Having bought a thousand bottles does not raise it, since the
permutation gives away nothing about other codes; what a guesser can do is bounded by the limits on
scans. Who has stolen the code key, but not the batch's key, can name batch and index and still must guess
the tag, one in 2^24 per code and try, each one seen by us. A batch's key alone is worth nothing without
the code key. Whoever holds both owns the batch: the code key is a setting, batch keys lie encrypted in the
database.

**What the reader of a code learns**: nothing. Two codes of one case look as unrelated as any others; batch,
index and number of codes do not show. Only we can turn letters into a batch.

**The tag** is one block of AES-256 under the batch's own random key over (version, batch, index), cut to 24
bits. The input has one fixed length, so one block is a sound MAC (a CBC-MAC of a single block); nothing
else is ever encrypted under a batch's key. It is compared as a number: no timing to measure,
since nobody outside can choose a tag, only letters.
"""

from typing import NamedTuple
from unicodedata import normalize

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.codes.errors import CodeAltered, NotACode
from app.codes.permutation import KEY_BYTES, BlockCipher, Permutation

VERSION = 1
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LETTERS = 16
BATCH_BITS = 24
INDEX_BITS = 27
TAG_BITS = 24
MAX_BATCH_ID = (1 << BATCH_BITS) - 1
MAX_BATCH_SIZE = 1 << INDEX_BITS
# Sixteen letters with blanks and hyphens between them, generously.
MAX_TEXT = 64

LETTER_BITS = 5
_INDEX_MASK = MAX_BATCH_SIZE - 1
TAG_MASK = (1 << TAG_BITS) - 1
# The generator of GF(32) is x, reduced by x^5 + x^2 + 1.
_FIELD_POLYNOMIAL = 0b100101
_SEPARATORS = b" -\t\r\n"


def _field_product(left: int, right: int) -> int:
    product = 0
    for bit in range(LETTER_BITS):
        if right >> bit & 1:
            product ^= left << bit
    for bit in reversed(range(LETTER_BITS, 2 * LETTER_BITS - 1)):
        if product >> bit & 1:
            product ^= _FIELD_POLYNOMIAL << (bit - LETTER_BITS)
    return product


def _check_masks() -> tuple[int, ...]:
    """Return, for each bit of the check sum, which bits of the 80 it is the parity of.

    Multiplying by a constant in GF(32) is linear over single bits, so the whole sum is five parities:
    five instructions a code instead of sixteen table look-ups.
    """
    masks = [0] * LETTER_BITS
    weight = 1
    for place in range(CODE_LETTERS):  # from the check letter to the first
        for bit in range(LETTER_BITS):
            product = _field_product(weight, 1 << bit)
            for row in range(LETTER_BITS):
                masks[row] |= (product >> row & 1) << (place * LETTER_BITS + bit)
        weight = _field_product(weight, 2)
    return tuple(masks)


_MASK_0, _MASK_1, _MASK_2, _MASK_3, _MASK_4 = CHECK_MASKS = _check_masks()


def _check_sum(letters: int) -> int:
    """Return the weighted sum of 16 letters, given as a number of 80 bits."""
    return (
        ((letters & _MASK_0).bit_count() & 1)
        | ((letters & _MASK_1).bit_count() & 1) << 1
        | ((letters & _MASK_2).bit_count() & 1) << 2
        | ((letters & _MASK_3).bit_count() & 1) << 3
        | ((letters & _MASK_4).bit_count() & 1) << 4
    )


def _reading_table() -> bytes:
    """Return the map from ASCII to the digits of int(text, 32); whatever is no letter becomes "!"."""
    table = bytearray(b"!" * 256)
    for value, letter in enumerate(ALPHABET):
        table[ord(letter)] = table[ord(letter.lower())] = b"0123456789abcdefghijklmnopqrstuv"[value]
    for seen, meant in (("O", "0"), ("I", "1"), ("L", "1")):
        table[ord(seen)] = table[ord(seen.lower())] = ord(meant)
    return bytes(table)


_READING = _reading_table()


def grouped(code: str) -> str:
    """Return `code` as people read and type it: four groups of four."""
    return "-".join(code[place : place + 4] for place in range(0, CODE_LETTERS, 4))


class Parsed(NamedTuple):
    """What the letters of a code say; not yet whether it is genuine (BatchKey.verifies)."""

    batch_id: int
    code_index: int
    tag: int


class BatchKey:
    """The key of one batch (32 random bytes), ready for use; safe to share between threads."""

    def __init__(self, key: bytes) -> None:
        self.cipher = BlockCipher(key)

    def tag(self, batch_id: int, code_index: int) -> int:
        """Return the 24-bit authentication tag of a code."""
        block = (VERSION << 64 | batch_id << 32 | code_index).to_bytes(16, "little")
        return int.from_bytes(self.cipher.encrypt(block), "little") & TAG_MASK

    def verifies(self, parsed: Parsed) -> bool:
        """Tell whether a code with these contents was issued under this key."""
        return self.tag(parsed.batch_id, parsed.code_index) == parsed.tag


class CodeKeys:
    """Makes and reads the codes of one installation; safe to share between threads."""

    def __init__(self, code_key: bytes) -> None:
        """Take the installation's code key (32 bytes). It must never change: printed codes hang from it."""
        if len(code_key) != KEY_BYTES:
            raise ValueError(f"a code key has {KEY_BYTES} bytes")
        # Each version permutes under a key of its own, so that two versions never share a pair.
        derived = HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=b"saoma code format %d" % VERSION)
        self.permutation = Permutation(derived.derive(code_key))

    def encode(self, batch_id: int, code_index: int, batch_key: BatchKey) -> str:
        """Return code number `code_index` (0 to 2^27 - 1) of batch `batch_id` (1 to 2^24 - 1): CODE-01.

        Raise ValueError when either is out of range: a mistake of ours, never of a shopper.
        """
        require_range(batch_id, code_index, 1)
        plain = (batch_id << INDEX_BITS | code_index) << TAG_BITS | batch_key.tag(batch_id, code_index)
        letters = self.permutation.forward(plain) << LETTER_BITS
        letters |= _check_sum(letters) ^ VERSION
        places = range((CODE_LETTERS - 1) * LETTER_BITS, -1, -LETTER_BITS)
        return "".join(ALPHABET[letters >> place & 31] for place in places)

    def parse(self, text: str) -> Parsed:
        """Return what a code says, however a shopper wrote it.

        Raise NotACode when `text` does not have the shape of a code, and CodeAltered when it has, but
        the check letter says that it was misread or made up.
        """
        letters = _read_letters(text)
        if _check_sum(letters) != VERSION:
            raise CodeAltered("one or more letters of the code are wrong; compare them with the print")
        plain = self.permutation.backward(letters >> LETTER_BITS)
        return Parsed(plain >> (INDEX_BITS + TAG_BITS), plain >> TAG_BITS & _INDEX_MASK, plain & TAG_MASK)


def _read_letters(text: str) -> int:
    if len(text) > MAX_TEXT:
        raise NotACode("a code has 16 letters and digits; this text is longer")
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        # Chinese keyboards write full-width letters; everything else outside ASCII becomes "?".
        raw = normalize("NFKC", text).encode("ascii", "replace")
    digits = raw.translate(_READING, _SEPARATORS)
    if len(digits) != CODE_LETTERS:
        raise NotACode("a code has 16 letters and digits")
    try:
        return int(digits, 32)
    except ValueError:
        raise NotACode("a code has only letters and digits, and no letter U") from None


def require_range(batch_id: int, first_index: int, count: int) -> None:
    """Raise ValueError when a batch cannot have these codes: a mistake of ours, never of a shopper."""
    if not 1 <= batch_id <= MAX_BATCH_ID:
        raise ValueError("a batch id has 24 bits and is not zero")
    if count < 0 or not 0 <= first_index <= MAX_BATCH_SIZE - count:
        raise ValueError("a batch has at most 2^27 codes")
