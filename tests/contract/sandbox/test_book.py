"""The book under pressure: whatever happens at once, every fen is somewhere and nobody is paid twice."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest

from tests.contract.sandbox.conftest import Till
from tests.contract.sandbox.pay_client import bill
from tests.support.sandbox import SandboxRefusedError

BILLS = 24
DAY = 86_400


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_confirming_cancelling_repeating_and_expiring_at_the_same_time(
    make_till: Callable[..., Till], seed: int
) -> None:
    till = make_till(balance_fen=100_000)
    till.sandbox.settings(transfer_seconds=0.01)
    orders = [till.bill(transfer_amount=100 + number) for number in range(BILLS)]
    opened = [till.client.open(order).json() for order in orders]

    def confirm(number: int) -> None:
        with suppress(SandboxRefusedError):
            till.confirm(opened[number])

    actions: list[Callable[[], object]] = []
    for number in range(BILLS):
        actions += [
            partial(confirm, number),
            partial(confirm, number),
            partial(till.client.cancel, orders[number]["out_bill_no"]),
            partial(till.client.open, orders[number]),
        ]
    random.Random(seed).shuffle(actions)
    # Late enough that some are confirmed, early enough that some are not.
    actions.insert(BILLS, partial(till.sandbox.advance, DAY))
    with ThreadPoolExecutor(16) as pool:
        for outcome in [pool.submit(action) for action in actions]:
            outcome.result()
    till.sandbox.advance(DAY)

    states = {order["out_bill_no"]: till.client.state(order["out_bill_no"]) for order in orders}
    paid = sum(o["transfer_amount"] for o in orders if states[o["out_bill_no"]] == "SUCCESS")
    book = till.sandbox.book()
    assert book["balanced"], book["faults"]
    assert set(states.values()) <= {"SUCCESS", "FAIL", "CANCELLED"}
    assert len(set(states.values())) > 1
    assert till.money() == (100_000 - paid, 0)
    assert book["paid"].get(till.openid, 0) == paid


def test_one_number_many_times_at_once_is_one_bill(till: Till) -> None:
    order = till.bill()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: till.client.open(order).json(), range(32)))

    assert len({answer["transfer_bill_no"] for answer in answers}) == 1
    assert len({answer["package_info"] for answer in answers}) == 1
    assert till.money() == (999_900, 100)


def test_a_balance_is_spent_once(make_till: Callable[..., Till]) -> None:
    till = make_till(balance_fen=1_000)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: till.client.open(till.bill()), range(32)))

    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [403] * 22
    assert till.money() == (0, 1_000)


def test_the_book_tells_who_got_what(till: Till) -> None:
    other = till.sandbox.shopper("韩梅梅")
    for_other = bill(till.appid, other["openids"][till.appid], transfer_amount=250)
    opened = till.client.open(for_other).json()
    fields = {"package_info": opened["package_info"], "mch_id": till.account.mchid, "app_id": till.appid}
    till.sandbox.confirm(other["id"], **fields)
    till.confirm(till.opened())
    waiting = till.opened()

    book = till.sandbox.book()
    assert book["balanced"]
    assert book["paid"][till.openid] == 100
    assert book["paid"][other["openids"][till.appid]] == 250
    merchant = next(m for m in book["merchants"] if m["mchid"] == till.account.mchid)
    assert merchant == {
        "mchid": till.account.mchid,
        "available_fen": 999_550,
        "frozen_fen": 100,
        "paid_fen": 350,
    }
    assert till.sandbox.bill(waiting["out_bill_no"])["state"] == "WAIT_USER_CONFIRM"
