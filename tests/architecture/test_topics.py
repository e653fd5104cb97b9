"""What is put on the outbox, published or received has somebody who acts on it."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.outbox.registry import Registry, inbox_topic
from tests.support.product import product
from tests.support.source import ROOT, python_files, tree

# Facts that are recorded for rooms that are still to come, and why each is worth recording now.
UNHEARD: dict[str, str] = {}


@pytest.fixture
def registry(sqlite_url: str, tmp_path: Path) -> Iterator[Registry]:
    """Give the registry as the factory fills it."""
    with product(sqlite_url, tmp_path) as container:
        yield container.registry


def _named(function: str, keyword: str) -> dict[str, set[str]]:
    """Return each value that a call of `function` in the product gives for `keyword`, and its files."""
    values: dict[str, set[str]] = {}
    for path in python_files("app", "miniprogram_api", "jobs"):
        if path.is_relative_to(ROOT / "app" / "outbox"):
            continue
        for call in ast.walk(tree(path)):
            if isinstance(call, ast.Call) and _called(call) == function:
                for value in _values(path, call, keyword):
                    values.setdefault(value, set()).add(str(path.relative_to(ROOT)))
    return values


def _called(call: ast.Call) -> str:
    name = call.func
    return name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else ""


def _values(path: Path, call: ast.Call, keyword: str) -> Iterator[str]:
    given = [argument.value for argument in call.keywords if argument.arg == keyword]
    if not given:
        return
    branches = [given[0].body, given[0].orelse] if isinstance(given[0], ast.IfExp) else given
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for branch in branches:
        # A constant, by whatever name it goes in that module; anything else ends the test here.
        yield str(eval(ast.unparse(branch), vars(module)))


def test_every_message_has_an_effect(registry: Registry) -> None:
    enqueued = _named("enqueue", "topic")

    assert enqueued
    assert {topic: files for topic, files in enqueued.items() if topic not in registry.effects} == {}


def test_every_effect_has_somebody_who_asks_for_it(registry: Registry) -> None:
    assert set(registry.effects) - set(_named("enqueue", "topic")) == set()


def test_every_fact_has_a_handler(registry: Registry) -> None:
    published = _named("publish", "name")

    assert published
    unheard = {name: files for name, files in published.items() if not registry.handlers_of(name)}
    assert set(unheard) == set(UNHEARD), unheard


def test_every_handled_fact_is_published_by_somebody(registry: Registry) -> None:
    assert {handler.fact for handler in registry.fact_handlers.values()} <= set(_named("publish", "name"))


def test_every_recorded_callback_has_a_handler(registry: Registry) -> None:
    received = {inbox_topic(source): files for source, files in _named("receive", "source").items()}

    assert received
    assert set(received) == set(registry.callback_handlers), received
