"""A scan and a draw take twelve statements each at most, the session's and the key's included."""

from tests.support.shop import Shop, Shopper
from tests.support.statements import statements

BUDGET = 12


def _warm(shop: Shop) -> Shopper:
    """A member who has drawn once: what a process reads once, it has read."""
    shopper = shop.shopper().member()
    shopper.give_phone()
    shopper.win()
    return shopper


def test_a_scan_keeps_its_budget(shop: Shop) -> None:
    shopper = _warm(shop)
    with statements(shop.container.db.engine, framing=False) as seen:
        answer = shopper.call("POST", "/scans", {"code": shop.code()}, key=shopper.new_key())

    assert answer.json()["next"] == "draw"
    assert len(seen) <= BUDGET, seen


def test_a_scan_of_a_drawn_code_keeps_its_budget(shop: Shop) -> None:
    shopper = _warm(shop)
    with statements(shop.container.db.engine, framing=False) as seen:
        answer = shopper.call("POST", "/scans", {"code": shop.code(0)}, key=shopper.new_key())

    assert answer.json()["next"] == "result"
    assert len(seen) <= BUDGET, seen


def test_a_draw_keeps_its_budget(shop: Shop) -> None:
    shopper = _warm(shop)
    scan = shopper.scan()
    with statements(shop.container.db.engine, framing=False) as seen:
        played = shopper.draw(scan)

    assert played["award"]["kind"] == "money"
    assert len(seen) <= BUDGET, seen


def test_a_repeated_draw_costs_one_statement(shop: Shop) -> None:
    shopper = _warm(shop)
    body = {"scan": shopper.scan()["scan"]["id"]}
    first = shopper.call("POST", "/draws", body, key="the-same-key")
    with statements(shop.container.db.engine, framing=False) as seen:
        again = shopper.call("POST", "/draws", body, key="the-same-key")

    assert (again.status_code, again.json()) == (201, first.json())
    assert len(seen) == 1, seen
