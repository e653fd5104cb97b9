"""A keyed permutation of 75-bit numbers: what makes a code look like chance and still be reversible.

A block cipher has blocks of 128 bits, a code has room for 75, and the plain text of a code (batch, running
index, tag) would tell a competitor how much is produced and a cheat where to begin. A Feistel network of
two unequal parts (38 and 37 bits) with AES-256 as its round function permutes exactly 75 bits:

    round i:  part ^= AES_k(other part | i) cut to the part's width      (parts take turns)

The round number in the block makes the ten round functions independent under one key. AES on blocks that
never repeat is as good as a random function here (at most 2^28 blocks a batch and round against a birthday
bound of 2^64).

Why ten rounds. With random round functions, four rounds are safe against whoever sees fewer than about
2^18 codes, six against whoever sees fewer than 2^37, chosen in both directions (Patarin). A large
brand prints 2^34 codes in all. The attacks known on Feistel networks with more rounds need that the parts
are tiny (8 or 10 bits), far from 37. Ten is what NIST chose for FF1, whose parts may be as small as 10
bits; the four rounds above six cost 1.2 µs a check.

Here it works on one Python integer, backward and forward; app.codes.blocks has it for many at once.
"""

import threading

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

LEFT_BITS = 38
RIGHT_BITS = 37
KEY_BYTES = 32
ROUNDS = 10

_LEFT_MASK = (1 << LEFT_BITS) - 1
_RIGHT_MASK = (1 << RIGHT_BITS) - 1
_AES_BLOCK = 16
# One pair of rounds: the constants that the left part's round and the right part's round carry.
_PAIRS = tuple(((2 * pair) << 64, (2 * pair + 1) << 64) for pair in range(ROUNDS // 2))
_PAIRS_BACK = tuple(reversed(_PAIRS))


class BlockCipher(threading.local):
    """AES-256 on single blocks or on many at once, one context per thread.

    A context of the library refuses a second thread while it works, and making one costs twenty times what
    a block does; so every thread that comes by gets its own and keeps it. Each block is used on its own
    (a function of 16 bytes), which is the one thing that ECB is right for.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        context = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - see above
        self.encrypt = context.update
        self.encrypt_into = context.update_into


class Permutation:
    """The permutation that belongs to one key of 32 bytes; safe to share between threads."""

    def __init__(self, key: bytes) -> None:
        self.cipher = BlockCipher(key)

    def forward(self, number: int) -> int:
        """Return the image of `number` (75 bits)."""
        encrypt = self.cipher.encrypt
        left, right = number >> RIGHT_BITS, number & _RIGHT_MASK
        for left_round, right_round in _PAIRS:
            block = encrypt((right | left_round).to_bytes(_AES_BLOCK, "little"))
            left ^= int.from_bytes(block, "little") & _LEFT_MASK
            block = encrypt((left | right_round).to_bytes(_AES_BLOCK, "little"))
            right ^= int.from_bytes(block, "little") & _RIGHT_MASK
        return left << RIGHT_BITS | right

    def backward(self, number: int) -> int:
        """Return the number whose image is `number` (75 bits)."""
        encrypt = self.cipher.encrypt
        left, right = number >> RIGHT_BITS, number & _RIGHT_MASK
        for left_round, right_round in _PAIRS_BACK:
            block = encrypt((left | right_round).to_bytes(_AES_BLOCK, "little"))
            right ^= int.from_bytes(block, "little") & _RIGHT_MASK
            block = encrypt((right | left_round).to_bytes(_AES_BLOCK, "little"))
            left ^= int.from_bytes(block, "little") & _LEFT_MASK
        return left << RIGHT_BITS | right
