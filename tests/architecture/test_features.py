"""The feature table tells the truth: every requirement once, and proven by tests that live."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.source import ROOT, tree

REQUIREMENTS = 309


def _load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("features", ROOT / "bin" / "features.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generator = _load_generator()
FEATURES = generator.load()


def test_the_page_is_up_to_date() -> None:
    assert generator.PAGE.read_text() == generator.render(FEATURES), "run `make features`"


def test_the_data_are_written_as_the_generator_writes_them() -> None:
    assert generator.DATA.read_text() == generator.dump(FEATURES)


def test_every_requirement_is_there_once() -> None:
    ids = [feature.id for feature in FEATURES]

    assert len(ids) == REQUIREMENTS
    assert len(set(ids)) == REQUIREMENTS


def test_no_chapter_has_a_gap() -> None:
    chapters: dict[str, list[int]] = {}
    for feature in FEATURES:
        chapter, _, number = feature.id.rpartition("-")
        chapters.setdefault(chapter, []).append(int(number))

    assert {name: numbers for name, numbers in chapters.items() if sorted(numbers) != numbers} == {}
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in chapters.values())


def test_done_is_proven_and_partly_says_what_is_missing() -> None:
    assert [f.id for f in FEATURES if f.state == "done" and not f.tests] == []
    assert [f.id for f in FEATURES if f.state == "partly" and not f.note] == []
    assert [f.id for f in FEATURES if f.state == "not yet" and f.tests] == []


def test_every_named_test_lives() -> None:
    dead = [(feature.id, test) for feature in FEATURES for test in feature.tests if not _lives(ROOT, test)]

    assert dead == []


def _lives(root: Path, node_id: str) -> bool:
    """Tell whether pytest would collect `node_id` (path::name or path::Class::name)."""
    file, _, names = node_id.partition("::")
    path = root / file
    if not (file.startswith("tests/") and path.name.startswith("test_") and path.is_file() and names):
        return False
    body: list[ast.stmt] = tree(path).body
    *classes, name = names.partition("[")[0].split("::")
    for wanted in classes:
        found = [node for node in body if isinstance(node, ast.ClassDef) and node.name == wanted]
        if not (wanted.startswith("Test") and found):
            return False
        body = found[0].body
    return any(_defines(node, name) for node in body) and not _skipped(body, name)


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name == name and name.startswith("test")
    if isinstance(node, ast.Assign):
        # A state machine of Hypothesis: TestLedger = LedgerMachine.TestCase
        targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return name in targets and name.startswith("Test")
    return isinstance(node, ast.ClassDef) and node.name == name and name.startswith("Test")


def _skipped(body: list[ast.stmt], name: str) -> bool:
    """Tell whether the test is switched off; a test that never runs proves nothing."""
    return any(
        "mark.skip" in ast.unparse(decorator) or "mark.xfail" in ast.unparse(decorator)
        for node in body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        for decorator in node.decorator_list
    )


@pytest.mark.parametrize(
    ("node_id", "lives"),
    [
        ("tests/test_it.py::test_here", True),
        ("tests/test_it.py::test_here[case]", True),
        ("tests/test_it.py::TestGroup::test_inner", True),
        ("tests/test_it.py::TestMachine", True),
        ("tests/test_it.py::test_gone", False),
        ("tests/test_it.py::helper", False),
        ("tests/test_it.py::test_off", False),
        ("tests/test_it.py::TestGroup::test_here", False),
        ("tests/test_it.py", False),
        ("tests/test_gone.py::test_here", False),
        ("app/test_it.py::test_here", False),
    ],
)
def test_a_dead_test_is_told_from_a_living_one(tmp_path: Path, node_id: str, lives: bool) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(
        "import pytest\n"
        "def test_here(): ...\n"
        "def helper(): ...\n"
        "@pytest.mark.skip\ndef test_off(): ...\n"
        "class TestGroup:\n    def test_inner(self): ...\n"
        "TestMachine = Machine.TestCase\n"
    )

    assert _lives(tmp_path, node_id) is lives
