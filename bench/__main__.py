"""`python -m bench [names…]`: measure, print a table, write bench/latest.json.

Names are those of benchmarks or of their figures; without any, everything is measured and
bench/latest.json written anew. The exit code is 1 when a bar does not hold. `--quick` only
shows that everything runs: small numbers, no verdict, nothing written.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from bench.row import Row
from bench.support import Bench, benchmark, say

LATEST = Path(__file__).with_name("latest.json")

BENCHMARKS: Mapping[str, Sequence[str]] = {
    "codes": ("codes_per_second", "codes_rss_mb", "code_check_us"),
    "qr": ("qr_vs_default",),
    "drain": ("drain_vs_bare",),
    "payouts": ("payouts_per_second",),
    "reconcile": ("reconcile_1m_s", "reconcile_rss_mb"),
    "diversion": ("diversion_vs_sql",),
    "scan_draw": (
        "scan_draw_vs_same_sql",
        "scan_draw_vs_bare5",
        "scan_draw_p99_vs_same_sql",
        "scan_draw_large_vs_empty",
        "worker_ready_s",
        "worker_rss_mb",
    ),
    "risk_cost": ("risk_cost",),
}
"""The benchmarks and the figures of each that have a bar."""


def main(arguments: Sequence[str]) -> int:
    """Measure what `arguments` ask for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="show that everything runs; judge nothing")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if not any(_is_asked(it, [name]) for it in BENCHMARKS)]
    if unknown:
        parser.error(f"no benchmark and no figure is called {', '.join(unknown)}")
    wanted = [name for name in BENCHMARKS if not asked.names or _is_asked(name, asked.names)]
    with benchmark(quick=asked.quick) as bench:
        rows = [row for name in wanted for row in _measure(bench, name)]
        about = {"machine": _machine(), "database": bench.settings()}
    _print(rows, about)
    if asked.quick:
        return 0
    if not asked.names:
        _write(rows, about)
    return 1 if any(row.holds is False for row in rows) else 0


def _is_asked(benchmark_name: str, names: Sequence[str]) -> bool:
    return any(name == benchmark_name or name in BENCHMARKS[benchmark_name] for name in names)


def _measure(bench: Bench, name: str) -> list[Row]:
    print(f"{name} …", flush=True)
    started = perf_counter()
    rows: list[Row] = importlib.import_module(f"bench.{name}").run(bench)
    say(f"{perf_counter() - started:.0f} s")
    missing = set(BENCHMARKS[name]) - {row.name for row in rows}
    if missing:
        raise RuntimeError(f"{name} did not measure {', '.join(sorted(missing))}")
    return rows


def _machine() -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": f"{os.getloadavg()[0]:.2f}",
    }


def _print(rows: Sequence[Row], about: Mapping[str, Mapping[str, str]]) -> None:
    print()
    for what, settings in about.items():
        print(f"{what}: {', '.join(f'{name} {value}' for name, value in settings.items())}")
    print(f"\n{'figure':<28} {'value':>14} {'unit':<12} {'bar':<14} holds")
    for row in rows:
        holds = "" if row.holds is None else "yes" if row.holds else "NO"
        print(f"{row.name:<28} {_number(row.value):>14} {row.unit:<12} {row.bar or '':<14} {holds}")


def _number(value: float) -> str:
    if value >= 1000 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.3g}" if value >= 100 else f"{value:,.2f}"


def _write(rows: Sequence[Row], about: Mapping[str, Mapping[str, str]]) -> None:
    measured = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), **about}
    document = {**measured, "figures": [asdict(row) for row in rows]}
    LATEST.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
