"""Codes: how fast a print pack streams to CSV, in how much memory, and what checking one code costs.

The pack is written by a process of its own, so that its memory is its own; it writes real files, synced, with
links and SHA-256. Times are the best of several runs: whatever else the machine does can only add to them.
Memory is the worst.
"""

import json
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path

from app.codes.format import BatchKey, CodeKeys
from bench.row import Row, at_least, at_most
from bench.support import Bench

PACK_ROWS = 10_000_000
PACK_RUNS = 5
BATCHES = 1000

_WRITER = """
import json, sys, time
from datetime import UTC, datetime
from pathlib import Path
from app.codes.format import BatchKey, CodeKeys
from app.codes.links import CodeLink
from app.codes.pack import Pack
from app.codes.packs import write_csv

rows = int(sys.argv[2])
pack = Pack(CodeKeys(bytes(32)), BatchKey(bytes(32)), 1, 0, rows, CodeLink("https://codes.example.com/q/"),
    {}, datetime.now(UTC))
started = time.perf_counter()
write_csv(pack, Path(sys.argv[1]))
seconds = time.perf_counter() - started
# Not ru_maxrss: a child inherits the peak of the parent that started it.
status = open("/proc/self/status").read()
kilobytes = int(status.split("VmHWM:")[1].split()[0])
print(json.dumps({"rate": rows / seconds, "megabytes": kilobytes * 1024 / 1e6}))
"""


def _write_pack(rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="saoma-bench-") as folder:
        process = subprocess.run(
            [sys.executable, "-c", _WRITER, folder, str(rows)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            check=True,
        )
    figures: dict[str, float] = json.loads(process.stdout)
    return figures


def _check_microseconds() -> float:
    """Return what it costs to read a code, look its batch's key up and verify the tag."""
    keys = CodeKeys(bytes(32))
    batches = {number: BatchKey(number.to_bytes(32)) for number in range(1, BATCHES + 1)}
    codes = [keys.encode(number, 7 * number, key) for number, key in batches.items()]

    def check_all() -> None:
        for code in codes:
            parsed = keys.parse(code)
            assert batches[parsed.batch_id].verifies(parsed)

    rounds = 20
    check_all()
    runs = timeit.repeat(check_all, number=rounds, repeat=7)
    return min(runs) / rounds / len(codes) * 1e6


def run(bench: Bench) -> list[Row]:
    """Measure; about twenty seconds."""
    rows = bench.of(PACK_ROWS, 100_000)
    packs = [_write_pack(rows) for _ in range(bench.of(PACK_RUNS, 1))]
    return [
        at_least("codes_per_second", max(pack["rate"] for pack in packs), "codes/s", 2_500_000),
        at_most("codes_rss_mb", max(pack["megabytes"] for pack in packs), "MB", 150),
        at_most("code_check_us", _check_microseconds(), "us", 12),
    ]
