"""QR codes: our PNG of a link against qrcode's own with its default settings, same size, same links."""

import io
import statistics
import time
from collections.abc import Callable

import qrcode

from app.codes import qr
from app.codes.format import BatchKey, CodeKeys
from app.codes.links import CodeLink
from bench.row import Row, at_least
from bench.support import Bench

LINK = CodeLink("https://codes.example.com/q/")
CODES = 60
RUNS = 5


def _seconds(draw: Callable[[str], bytes], codes: list[str]) -> float:
    started = time.perf_counter()
    for code in codes:
        assert draw(code).startswith(b"\x89PNG")
    return time.perf_counter() - started


def _default(code: str) -> bytes:
    target = io.BytesIO()
    qrcode.make(LINK.url(code)).save(target)
    return target.getvalue()


def run(bench: Bench) -> list[Row]:
    """Measure both in turns; about three seconds."""
    keys, batch_key = CodeKeys(bytes(32)), BatchKey(bytes(32))
    codes = [keys.encode(1, index, batch_key) for index in range(CODES)]
    link_qr = qr.LinkQr(LINK)
    _default(codes[0])
    ratios = []
    for _ in range(bench.of(RUNS, 1)):
        default = _seconds(_default, codes)
        ours = _seconds(lambda code: qr.png(link_qr.matrix(code)), codes)
        ratios.append(default / ours)
    return [at_least("qr_vs_default", statistics.median(ratios), "x", 3)]
