import socket
from dataclasses import replace

import pytest
import requests

from sandbox.directory import Merchant
from sandbox.errors import AdminError
from sandbox.transfer_request import TransferOrder
from sandbox.transfers import Bill
from sandbox.world import World


@pytest.fixture
def bill() -> Bill:
    order = TransferOrder(
        appid="wxunit0000000001",
        out_bill_no="P1",
        scene_id="1000",
        openid="o",
        user_name=None,
        amount_fen=100,
        remark="r",
        notify_url="https://shop.example/callbacks/pay",
        perception=None,
        report_infos=(),
        recv_style="CONFIRM_PAGE",
    )
    return Bill("1900000001", order, "133", "package", 1.8e9, "SUCCESS", 1.8e9)


@pytest.fixture
def nobody_listens() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_the_retry_schedule_of_transfers(
    world: World, merchant: Merchant, bill: Bill, nobody_listens: str, speed: float
) -> None:
    world.settings.change({"product_url": nobody_listens, "callback_speed": speed})
    world.callbacks.announce(bill)
    delays: list[float] = []
    with requests.Session() as session:
        while not world.callbacks._due.empty():
            item = world.callbacks._due.get()
            assert item is not None
            world.callbacks._attempt(session, item[0], retry=item[1])
            if world.agenda._heap:
                delays.append(world.agenda._heap[0][0] - world.clock.now())
                world.clock.advance(delays[-1])
                world.agenda.run_due()

    expected = [15.0] * 10 + [300.0] * 10 + [1800.0] * 44
    assert [delay * speed for delay in delays] == pytest.approx(expected, abs=speed)
    assert not bill.acknowledged


def test_where_a_notice_goes(world: World) -> None:
    world.settings.change({"product_url": "http://127.0.0.1:8123"})
    target = world.callbacks.target

    assert target("https://shop.example:444/callbacks/pay") == "http://127.0.0.1:8123/callbacks/pay"
    assert target("https://shop.example") == "http://127.0.0.1:8123/"
    assert target("http://localhost:5000/c") == "http://localhost:5000/c"
    for outside in ("http://shop.example/c", "gopher://localhost/c"):
        with pytest.raises(AdminError):
            target(outside)


def test_a_bill_without_an_address_is_not_announced(world: World, merchant: Merchant, bill: Bill) -> None:
    bill.order = replace(bill.order, notify_url=None)
    world.callbacks.announce(bill)

    assert world.callbacks._due.empty()
