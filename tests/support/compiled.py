"""What each engine and each application would compile for itself, compiled once in a process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sqlalchemy import Engine
from werkzeug.routing import Rule

from app.db import engine


@contextmanager
def statements_once() -> Iterator[None]:
    """Let engines for one database share what they have compiled: it is a fifth of a use case's time."""
    make, firsts = engine.make_engine, dict[str, Engine]()

    def make_alike(*arguments: Any, **options: Any) -> Engine:
        made = make(*arguments, **options)
        # What a dialect knows of a server it learns from its first connection, the database's name included.
        kind = "sqlite" if made.dialect.name == "sqlite" else str(made.url.database)
        first = firsts.setdefault(kind, made)
        if first.dialect.default_schema_name is None:
            firsts[kind] = made
            # One process of the product works with fewer statements than all the tests together.
            cache: Any = made._compiled_cache
            cache.capacity = 10_000
        else:
            made.dialect, made._compiled_cache = first.dialect, first._compiled_cache
        return made

    with mock.patch.object(engine, "make_engine", make_alike):
        yield


@contextmanager
def routes_once() -> Iterator[None]:
    """Let applications share the functions that write the URLs of a route: each is compiled by itself."""
    compiled: dict[Any, Any] = {}
    compile_builder = Rule._compile_builder

    def compile_alike(rule: Rule, append_unknown: bool = True) -> Any:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = (*rule._trace, append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    with mock.patch.object(Rule, "_compile_builder", compile_alike):
        yield
