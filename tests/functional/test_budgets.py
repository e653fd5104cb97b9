"""A scan and a draw take twelve statements each at most, the session's and the key's included."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from tests.support.shop import Shop, Shopper

BUDGET = 12


@contextmanager
def counted(shop: Shop) -> Iterator[list[str]]:
    """Collect the statements that the product sends, but for those that only frame a transaction."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK TO")):
            seen.append(" ".join(statement.split())[:80])

    event.listen(shop.container.db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(shop.container.db.engine, "before_cursor_execute", note)


def _warm(shop: Shop) -> Shopper:
    """A member who has drawn once: what a process reads once, it has read."""
    shopper = shop.shopper().member()
    shopper.give_phone()
    shopper.win()
    return shopper


def test_a_scan_keeps_its_budget(shop: Shop) -> None:
    shopper = _warm(shop)
    with counted(shop) as statements:
        answer = shopper.call("POST", "/scans", {"code": shop.code()}, key=shopper.new_key())

    assert answer.json()["next"] == "draw"
    assert len(statements) <= BUDGET, statements


def test_a_scan_of_a_drawn_code_keeps_its_budget(shop: Shop) -> None:
    shopper = _warm(shop)
    with counted(shop) as statements:
        answer = shopper.call("POST", "/scans", {"code": shop.code(0)}, key=shopper.new_key())

    assert answer.json()["next"] == "result"
    assert len(statements) <= BUDGET, statements


def test_a_draw_keeps_its_budget(shop: Shop) -> None:
    shopper = _warm(shop)
    scan = shopper.scan()
    with counted(shop) as statements:
        played = shopper.draw(scan)

    assert played["award"]["kind"] == "money"
    assert len(statements) <= BUDGET, statements


def test_a_repeated_draw_costs_one_statement(shop: Shop) -> None:
    shopper = _warm(shop)
    body = {"scan": shopper.scan()["scan"]["id"]}
    first = shopper.call("POST", "/draws", body, key="the-same-key")
    with counted(shop) as statements:
        again = shopper.call("POST", "/draws", body, key="the-same-key")

    assert (again.status_code, again.json()) == (201, first.json())
    assert len(statements) == 1, statements
