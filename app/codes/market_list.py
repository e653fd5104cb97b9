"""Reading a file of codes that WeChat made: sealed, then a code a line; pure (platform contracts 1.11).

The key that WeChat sends to the service account is both key and initial vector of AES-128-CBC; the padding
is PKCS7, by up to 32 bytes. How the columns of a line stand is not documented, so they are told apart by
their looks: the link has 28 characters, the code nine, and an index, where there is one, counts up by one.
Anything else is refused as a whole: a list that was read wrong would be printed.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from app.codes.errors import InvalidMarketFile

KEY = re.compile(r"[!-~]{16}")
_BLOCK_BYTES = 16
_LARGEST_PADDING_BYTES = 32
_LINK = re.compile(r"P\.URL\.CN/[!-~]{19}", re.IGNORECASE)
_CODE = re.compile(r"[0-9A-Za-z]{9}")


class MadeCode(NamedTuple):
    """A code by its nine characters, and the 28 that are printed in its picture."""

    code: str
    link: str


def unseal(sealed: bytes, *, key: str) -> str:
    """Return the text of a file; raise InvalidMarketFile for a broken one or another account's."""
    if not sealed or len(sealed) % _BLOCK_BYTES:
        raise InvalidMarketFile("the file is cut off: its length is not a whole number of blocks")
    secret = key.encode("ascii")
    # The mode is WeChat's; what is read is compared with what was ordered.
    decryptor = Cipher(algorithms.AES(secret), modes.CBC(secret)).decryptor()
    plain = decryptor.update(sealed) + decryptor.finalize()
    padding = plain[-1]
    whole = 1 <= padding <= min(_LARGEST_PADDING_BYTES, len(plain)) and plain.endswith(
        bytes([padding]) * padding
    )
    if whole:
        try:
            return plain[:-padding].decode()
        except UnicodeDecodeError:
            pass
    raise InvalidMarketFile("the file cannot be decrypted: it is cut off, or the key is another account's")


def read_codes(text: str, *, first: int, codes: int) -> list[MadeCode]:
    """Return the codes of a file in its order; raise InvalidMarketFile unless it has `codes` different ones.

    `first` is the index of the first code in its order: an index column starts with it, or with 0 or 1.
    """
    found = list(_lines(text, first))
    if len(found) != codes:
        raise InvalidMarketFile(f"the file has {len(found):,} codes instead of {codes:,}")
    if len({made.code for made in found}) != codes or len({made.link for made in found}) != codes:
        raise InvalidMarketFile("the file has a code twice")
    return found


def _lines(text: str, first: int) -> Iterator[MadeCode]:
    base: int | None = None
    place = 0
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        links = [word for word in words if _LINK.fullmatch(word)]
        others = [word for word in words if not _LINK.fullmatch(word)]
        if len(links) != 1 or not 1 <= len(others) <= 2:
            raise InvalidMarketFile(f"line {number}: expected an index, a code and its link")
        if len(others) == 2:
            starts = (first, 0, 1) if base is None else (base,)
            found = [(start, word) for start in starts for word in others if word == str(start + place)]
            if not found:
                raise InvalidMarketFile(f"line {number}: the index does not count up")
            base = found[0][0]
            others.remove(found[0][1])
        if not _CODE.fullmatch(others[0]):
            raise InvalidMarketFile(f"line {number}: a code has nine letters and digits")
        place += 1
        yield MadeCode(others[0], links[0])
