"""QR codes: the same modules as the library's, and a decoder of others reads them back."""

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import numpy.typing as npt
import pytest
import qrcode
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.util import QRData

from app.codes import qr
from app.codes.format import ALPHABET
from app.codes.links import CodeLink
from app.codes.qr import LinkQr

LINK = CodeLink("https://codes.example.com/q/")
LINK_QR = LinkQr(LINK)
CODES = st.text(ALPHABET, min_size=16, max_size=16)


def read(image: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(image)]


def enlarged(dark: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray((1 - np.kron(dark, np.ones((6, 6), dtype=np.uint8))) * 255)


def modules(matrix: qr.Matrix) -> npt.NDArray[np.uint8]:
    """Return what the rows say, with the quiet zone around."""
    rows = [[int(digit) for digit in row] for row in matrix.rows()]
    return np.pad(np.array(rows, dtype=np.uint8), qr.QUIET)


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    image = Image.open(io.BytesIO(png))
    image.load()
    return 1 - np.array(image, dtype=np.uint8)


def from_path(path: str, side: int) -> npt.NDArray[np.uint8]:
    """Draw the path of an SVG, which is made of rectangles one module high."""
    dark = np.zeros((side, side), dtype=np.uint8)
    drawn = 0
    for x, y, length, back in re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path):
        assert length == back
        dark[int(y), int(x) : int(x) + int(length)] = 1
        drawn += len(f"M{x} {y}h{length}v1h-{back}z")
    assert drawn == len(path)
    return dark


@given(CODES)
@settings(max_examples=40)
def test_the_modules_are_the_librarys(code: str) -> None:
    library = qrcode.QRCode(
        version=LINK_QR.version, mask_pattern=LINK_QR.mask, error_correction=ERROR_CORRECT_M, border=qr.QUIET
    )
    library.add_data(QRData(LINK.url(code), mode=4))
    library.make(fit=False)
    expected = np.array(library.get_matrix(), dtype=np.uint8)
    assert np.array_equal(modules(LINK_QR.matrix(code)), expected)


@given(CODES)
@settings(max_examples=40)
def test_a_decoder_reads_the_png(code: str) -> None:
    image = Image.open(io.BytesIO(qr.png(LINK_QR.matrix(code))))
    image.load()
    assert image.size == (410, 410)
    assert image.mode == "1"
    assert read(image) == [LINK.url(code)]


@given(CODES)
@settings(max_examples=40)
def test_a_decoder_reads_the_svg(code: str) -> None:
    matrix = LINK_QR.matrix(code)
    root = ET.fromstring(qr.svg(matrix))
    assert root.get("viewBox") == f"0 0 {matrix.width} {matrix.width}"
    _, dark = root
    drawn = from_path(dark.attrib["d"], matrix.width)
    assert np.array_equal(drawn, modules(matrix))
    assert read(enlarged(drawn)) == [LINK.url(code)]


@pytest.mark.parametrize("module_pixels", [1, 2, 3, 7, 20])
def test_a_png_has_the_size_that_was_asked_for(module_pixels: int) -> None:
    matrix = LINK_QR.matrix("A" * 16)
    dark = pixels(qr.png(matrix, module_pixels=module_pixels))
    assert np.array_equal(dark, np.kron(modules(matrix), np.ones((module_pixels,) * 2, dtype=np.uint8)))


def test_the_quiet_zone_is_light() -> None:
    dark = pixels(qr.png(LINK_QR.matrix("0" * 16), module_pixels=1))
    for edge in (dark[:4], dark[-4:], dark[:, :4], dark[:, -4:]):
        assert not edge.any()
    assert dark[4].any()


@pytest.mark.parametrize("prefix", ["https://a.cn/", "https://codes.example.com/" + "long/" * 18])
def test_short_and_long_prefixes_get_the_version_they_need(prefix: str) -> None:
    link = CodeLink(prefix)
    link_qr = LinkQr(link)
    code = "0123456789ABCDEF"
    assert read(enlarged(modules(link_qr.matrix(code)))) == [link.url(code)]


@pytest.mark.parametrize("code", ["A" * 15, "A" * 17])
def test_only_whole_codes_are_drawn(code: str) -> None:
    with pytest.raises(ValueError):
        LINK_QR.matrix(code)


@pytest.mark.parametrize("text", ["x", "M1.abc-def_123~ghi", "会员码 42"])
def test_any_short_text_can_be_drawn(text: str) -> None:
    assert read(enlarged(modules(qr.text_matrix(text)))) == [text]
