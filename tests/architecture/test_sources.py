"""What a linter cannot say: sizes, and what the lowest floor stands on."""

import ast
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from app.config import Settings
from tests.support.source import PACKAGES, ROOT, functions, imported, python_files, tree

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
FOUNDATIONS = {"alerts", "db", "kernel", "ledger", "outbox"}
EDGES = {"cli", "gateways", "http"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_too_long() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in python_files(*PACKAGES)}

    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_every_function_fits_on_a_screen() -> None:
    too_long = {
        f"{_name(path)}::{function.name}": length
        for path in python_files(*PACKAGES)
        for function in functions(tree(path))
        if (length := _length(function)) > MAX_FUNCTION_LINES
    }

    assert too_long == {}


def test_every_setting_does_something() -> None:
    """Somebody sets it and believes that it holds."""
    read = {
        node.attr
        for path in (*python_files("app", "miniprogram_api", "jobs"), ROOT / "gunicorn.conf.py")
        if path.name != "config.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
    }

    assert {field.name for field in fields(Settings)} - read == set()


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def test_the_kernel_stands_on_the_standard_library_alone() -> None:
    strangers = {
        (_name(path), name)
        for path in python_files("app/kernel")
        for name in imported(tree(path))
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("app.kernel")
    }

    assert strangers == set()


@pytest.mark.parametrize("contract", ["rooms", "layers"])
def test_every_room_is_in_the_import_contracts(contract: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {entry["id"]: entry for entry in settings["tool"]["importlinter"]["contracts"]}
    packages = {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}

    listed = contracts[contract].get("source_modules") or contracts[contract]["layers"]
    words = {word.strip("() ").removeprefix("app.") for line in listed for word in line.split("|")}

    assert packages - FOUNDATIONS - EDGES <= words
