"""QR codes of links: the modules from `qrcode`, drawn by ourselves.

The library tries eight masks and several versions for every picture, 6 ms each. All links of an
installation have one length, so version and mask can be fixed. More: with those fixed, the modules are
an affine function of the link's bits (Reed-Solomon and masking are exclusive ors), so the picture of a
code is the picture of one code with, for each of its 16 letters, a fixed set of modules turned over. `LinkQr`
asks the library for the picture of each single bit once (a tenth of a second) and then needs sixteen
exclusive ors a code. Tests hold it equal to the library's own picture, and a decoder reads it back.

Error correction M (15 %) is the usual level for print. The mask is the library's choice for the first
code; every mask is valid, and half of the modules come from the prefix that all codes share.

PNG, SVG and PDF are drawn here: a picture of two colours needs no imaging library, and the same bytes
come out on every machine with the same zlib.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

import qrcode
from qrcode.constants import ERROR_CORRECT_M
from qrcode.util import QRData

from app.codes.format import ALPHABET, CODE_LETTERS
from app.codes.links import CodeLink

# The standard asks for four light modules around.
QUIET = 4
_DARK = re.compile("1+")
_BYTES: Final = 4  # the library's name for byte mode is not typed narrowly enough


@dataclass(frozen=True)
class Matrix:
    """The modules of a QR code: `size` rows of `size` bits, the first bit the highest, 1 is dark."""

    size: int
    bits: int

    @property
    def width(self) -> int:
        """How many modules it measures with the quiet zone."""
        return self.size + 2 * QUIET

    def rows(self) -> list[str]:
        """Return the rows from the top, each as `size` digits, without the quiet zone."""
        digits = f"{self.bits:0{self.size * self.size}b}"
        return [digits[start : start + self.size] for start in range(0, len(digits), self.size)]

    def runs(self) -> list[tuple[int, int, int]]:
        """Return the runs of dark modules side by side, each as column, row and length in modules.

        Columns and rows count from the corner of the quiet zone.
        """
        return [
            (run.start() + QUIET, number + QUIET, run.end() - run.start())
            for number, row in enumerate(self.rows())
            for run in _DARK.finditer(row)
        ]


class LinkQr:
    """Makes the QR codes of one installation's links; immutable, shared by all threads."""

    def __init__(self, link: CodeLink) -> None:
        first = link.url(ALPHABET[0] * CODE_LETTERS).encode()
        chooser = _library(first, version=None, mask=None)
        self.version = chooser.version
        self.mask = chooser.best_mask_pattern()
        base = self._drawn(first)
        self.size = base.size
        self._base = base.bits
        self._turned = [self._letters_at(first, place) for place in range(len(link.prefix), len(first))]

    def matrix(self, code: str) -> Matrix:
        """Return the QR code of the link to `code` (as CodeKeys.encode writes it)."""
        bits = self._base
        for turned, letter in zip(self._turned, code, strict=True):
            bits ^= turned[letter]
        return Matrix(self.size, bits)

    def _letters_at(self, first: bytes, place: int) -> dict[str, int]:
        """Return, for each letter, which modules turn over when it stands at `place`."""
        single_bits = []
        for bit in range(7):
            changed = bytearray(first)
            changed[place] ^= 1 << bit
            single_bits.append(self._drawn(bytes(changed)).bits ^ self._base)
        turned = {}
        for letter in ALPHABET:
            difference = ord(letter) ^ first[place]
            turned[letter] = 0
            for bit, modules in enumerate(single_bits):
                if difference >> bit & 1:
                    turned[letter] ^= modules
        return turned

    def _drawn(self, content: bytes) -> Matrix:
        return _matrix(_library(content, version=self.version, mask=self.mask))


def text_matrix(text: str) -> Matrix:
    """Return the QR code of any short text, with the version and mask that the library chooses."""
    return _matrix(_library(text.encode(), version=None, mask=None))


def _library(content: bytes, *, version: int | None, mask: int | None) -> "qrcode.QRCode[Any]":
    code: qrcode.QRCode[Any] = qrcode.QRCode(
        version=version, mask_pattern=mask, error_correction=ERROR_CORRECT_M
    )
    # Always bytes: the library would else choose another mode for some texts, and the length would vary.
    code.add_data(QRData(content, mode=_BYTES))
    code.make(fit=version is None)
    return code


def _matrix(code: "qrcode.QRCode[Any]") -> Matrix:
    bits = "".join("1" if dark else "0" for row in code.modules for dark in row)
    return Matrix(code.modules_count, int(bits, 2))


def png(matrix: Matrix, *, module_pixels: int = 10) -> bytes:
    """Return a PNG of black on white, one bit a pixel, `module_pixels` pixels a module."""
    side = matrix.width * module_pixels
    quiet = "0" * QUIET
    empty = "0" * matrix.width
    rows = [empty] * QUIET + [quiet + row + quiet for row in matrix.rows()] + [empty] * QUIET
    # In a PNG of one bit 1 is white; what fills the last byte of a line is nothing.
    pixels = str.maketrans({"0": "1" * module_pixels, "1": "0" * module_pixels})
    bytes_a_line = (side + 7) // 8
    # The first pixel row of a module row as it is (filter 0), the others "as above" (filter 2).
    same = (b"\2" + bytes(bytes_a_line)) * (module_pixels - 1)
    lines = b"".join(
        b"\0" + (int(row.translate(pixels), 2) << (-side % 8)).to_bytes(bytes_a_line) + same for row in rows
    )
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def svg(matrix: Matrix) -> str:
    """Return an SVG without a size of its own, one unit a module, the quiet zone white."""
    path = "".join(f"M{x} {y}h{length}v1h-{length}z" for x, y, length in matrix.runs())
    side = matrix.width
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{side}v{side}h-{side}z"/><path d="{path}"/></svg>'
    )
