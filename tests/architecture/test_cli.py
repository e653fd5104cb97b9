"""A command writes as somebody: allowed, and written into the audit trail."""

import ast

from app.access.roles import ApprovalKind, Role
from tests.support.source import ROOT, functions, python_files, tree

WITHOUT_A_ROLE = {
    "app/cli/context.py::act": "the one way: signed in, allowed, done and written down",
    "app/cli/accounts.py::login": "nobody is signed in yet; it writes into the trail itself",
    "app/cli/accounts.py::create": "so is the first administrator",
    "app/cli/accounts.py::_change_own": "everybody changes their own password, even one they must change",
    "app/cli/trace.py::import_file": "so are the portions of a file",
    "app/cli/foreign.py::import_list": "so are the portions of a list",
    "app/cli/diversions.py::find": "does what the scheduler does anyway",
    "app/cli/persons.py::reconcile": "the steps of an act that was allowed and written down before",
}


def test_every_command_that_writes_goes_through_the_one_way() -> None:
    found = {
        f"{path.relative_to(ROOT)}::{function.name}"
        for path in python_files("app")
        if path.is_relative_to(ROOT / "app" / "cli")
        for function in functions(tree(path))
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and node.attr in {"transact", "unit_of_work"}
    }

    assert found == set(WITHOUT_A_ROLE)


def test_the_page_for_operators_tells_every_role_and_what_takes_two() -> None:
    page = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")

    assert [name.value for name in (*Role, *ApprovalKind) if f"| `{name.value}` |" not in page] == []
