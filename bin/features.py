#!/usr/bin/env python3
"""Writes docs/features.md from docs/features.csv: `make features`.

The CSV is the data, one requirement a line, edited by hand:

    id        ID-01: the number of the requirement
    priority  P0, P1 or P2
    state     done, partly or not yet
    tests     the tests that prove it, as path::name, separated by blanks
    note      what is missing (partly), or anything a reader must know
    what      the requirement itself; quoted when it holds a comma

Set a row with:  bin/features.py ID-01 done tests/integration/identity/test_operations.py::test_login_twice
A test (tests/architecture/test_features.py) fails when the page is not up to date, or when a row names a
test that does not live.
"""

import argparse
import csv
import io
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "docs" / "features.csv"
PAGE = ROOT / "docs" / "features.md"
COLUMNS = ("id", "priority", "state", "tests", "note", "what")
STATES = ("done", "partly", "not yet")
PRIORITIES = ("P0", "P1", "P2")


@dataclass(frozen=True, slots=True)
class Feature:
    """One requirement and what proves it."""

    id: str
    priority: str
    state: str
    tests: tuple[str, ...]
    note: str
    what: str


def load(path: Path = DATA) -> list[Feature]:
    """Read the data file; raise ValueError for a line that is not a requirement."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path.name}: the columns must be {', '.join(COLUMNS)}")
        return [_feature(row, reader.line_num) for row in reader]


def _feature(row: dict[str, str], line: int) -> Feature:
    if None in row or None in row.values():
        raise ValueError(f"line {line}: there must be {len(COLUMNS)} fields; quote a text that holds a comma")
    feature = Feature(
        id=row["id"],
        priority=row["priority"],
        state=row["state"],
        tests=tuple(row["tests"].split()),
        note=row["note"],
        what=row["what"],
    )
    if feature.state not in STATES:
        raise ValueError(f"line {line}: the state must be one of {', '.join(STATES)}, not {feature.state!r}")
    if feature.priority not in PRIORITIES:
        raise ValueError(f"line {line}: the priority must be one of {', '.join(PRIORITIES)}")
    return feature


def dump(features: list[Feature]) -> str:
    """Return the content of the data file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in features:
        writer.writerow([item.id, item.priority, item.state, " ".join(item.tests), item.note, item.what])
    return out.getvalue()


def render(features: list[Feature]) -> str:
    """Return the page."""
    states = Counter(feature.state for feature in features)
    lines = [
        "# Features",
        "",
        "Every requirement, its state and the tests that prove it. Made from [features.csv](features.csv) by",
        "`make features`; do not edit this page.",
        "",
        f"{len(features)} requirements: " + ", ".join(f"{states[state]} {state}" for state in STATES) + ".",
        "",
        *(_count(features, priority) for priority in PRIORITIES),
        "",
        "| ID | what | state | tests |",
        "|---|---|---|---|",
        *(_row(feature) for feature in features),
    ]
    return "\n".join(lines) + "\n"


def _count(features: list[Feature], priority: str) -> str:
    states = Counter(feature.state for feature in features if feature.priority == priority)
    return f"- {priority}: " + ", ".join(f"{states[state]} {state}" for state in STATES)


def _row(feature: Feature) -> str:
    what = f"{feature.what} *{feature.note}*" if feature.note else feature.what
    tests = "<br>".join(f"`{test}`" for test in feature.tests)
    return f"| {feature.id} | {_cell(what)} | {feature.state} | {_cell(tests)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str]) -> int:
    """Set one row when one is named, then write the page."""
    parser = argparse.ArgumentParser(description="Write docs/features.md from docs/features.csv.")
    parser.add_argument("id", nargs="?", help="a requirement whose row is set first, e.g. ID-01")
    parser.add_argument("state", nargs="?", choices=STATES)
    parser.add_argument("tests", nargs="*", help="path::name of the tests that prove it")
    parser.add_argument("--note", default=None)
    wanted = parser.parse_args(arguments)
    features = load()
    if wanted.id:
        if wanted.state is None or wanted.id not in {feature.id for feature in features}:
            parser.error("name a requirement that exists, and its state")
        features = [
            replace(
                feature,
                state=wanted.state,
                tests=tuple(wanted.tests),
                note=feature.note if wanted.note is None else wanted.note,
            )
            if feature.id == wanted.id
            else feature
            for feature in features
        ]
        DATA.write_text(dump(features), encoding="utf-8")
    PAGE.write_text(render(features), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
