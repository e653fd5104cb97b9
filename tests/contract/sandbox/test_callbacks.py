"""Callbacks: contracts 4.2, 4.4, 4.8 and row 9 of section 8."""

import json
import time

import pytest

from tests.contract.sandbox.conftest import Till
from tests.contract.sandbox.pay_client import BILLS, CallbackReceiver, Received, verifies
from tests.support.sandbox import SandboxRefusedError

DAY = 86_400


@pytest.fixture
def till(shared_till: Till) -> Till:
    return shared_till


def signed(till: Till, received: Received) -> bool:
    return verifies(till.account, received.headers, received.body)


def finish(till: Till, receiver: CallbackReceiver) -> str:
    """A bill that was opened and confirmed; its number."""
    opened = till.opened(notify_url=receiver.url)
    till.confirm(opened)
    return str(opened["out_bill_no"])


def wait_until_acknowledged(till: Till, number: str) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if till.sandbox.bill(number)["acknowledged"]:
            return True
        time.sleep(0.02)
    return False


def test_a_notice_is_signed_sealed_and_says_what_happened(till: Till, receiver: CallbackReceiver) -> None:
    number = finish(till, receiver)
    received = receiver.wait_for(1)[0]
    envelope = json.loads(received.body)

    assert received.path == "/callbacks/pay"
    assert received.headers["Content-Type"] == "application/json"
    assert signed(till, received)
    assert set(envelope) == {"id", "create_time", "event_type", "resource_type", "summary", "resource"}
    assert envelope["event_type"] == "MCHTRANSFER.BILL.FINISHED"
    assert envelope["resource_type"] == "encrypt-resource"
    assert envelope["resource"]["algorithm"] == "AEAD_AES_256_GCM"
    assert envelope["resource"]["original_type"] == "mch_payment"
    resource = received.resource(till.account)
    for name in ("create_time", "update_time", "transfer_bill_no"):
        assert resource.pop(name)
    assert resource == {
        "out_bill_no": number,
        "state": "SUCCESS",
        "mch_id": till.account.mchid,
        "transfer_amount": 100,
        "openid": till.openid,
    }
    assert wait_until_acknowledged(till, number)
    assert len(receiver.received) == 1


def test_failure_and_cancellation_are_told_too(till: Till, receiver: CallbackReceiver) -> None:
    failed = till.opened(notify_url=receiver.url)
    till.confirm(failed, fail_reason="ACCOUNT_FROZEN")
    cancelled = till.opened(notify_url=receiver.url)
    till.client.cancel(cancelled["out_bill_no"])
    till.sandbox.advance(1)
    overdue = till.opened(notify_url=receiver.url)
    till.sandbox.advance(DAY)

    told = {r["out_bill_no"]: r for r in (c.resource(till.account) for c in receiver.wait_for(3))}
    assert {number: (r["state"], r["fail_reason"]) for number, r in told.items()} == {
        failed["out_bill_no"]: ("FAIL", "ACCOUNT_FROZEN"),
        cancelled["out_bill_no"]: ("CANCELLED", "MCH_CANCEL"),
        overdue["out_bill_no"]: ("FAIL", "OVERDUE_CLOSE"),
    }


def test_what_is_not_taken_in_comes_again_the_same_but_newly_signed(
    till: Till, receiver: CallbackReceiver
) -> None:
    receiver.statuses = [500, 404, 302]
    number = finish(till, receiver)
    received = receiver.wait_for(4)

    assert len(received) == 4
    assert len({r.body for r in received}) == 1
    assert len({r.headers["Wechatpay-Nonce"] for r in received}) == 4
    assert all(signed(till, r) for r in received)
    assert {r.path for r in received} == {"/callbacks/pay"}
    assert wait_until_acknowledged(till, number)


def test_what_is_forgotten_is_not_sent_again(till: Till, receiver: CallbackReceiver) -> None:
    receiver.statuses = [500] * 60
    finish(till, receiver)
    receiver.wait_for(2)
    till.sandbox.forget_callbacks()
    sent = len(receiver.received)

    # One may have been on its way.
    assert len(receiver.wait_for(sent + 2, seconds=0.6)) <= sent + 1
    receiver.statuses = []
    assert wait_until_acknowledged(till, finish(till, receiver))


def test_after_the_last_attempt_there_is_silence(till: Till, receiver: CallbackReceiver) -> None:
    till.sandbox.settings(callback_speed=1_000_000.0)
    receiver.statuses = [500] * 100
    finish(till, receiver)

    assert len(receiver.wait_for(65)) == 65
    till.sandbox.advance(10)
    assert len(receiver.wait_for(66, seconds=0.3)) == 65


def test_an_answer_after_five_seconds_is_none(till: Till, receiver: CallbackReceiver) -> None:
    receiver.delay_seconds = 5.4
    finish(till, receiver)
    first = receiver.wait_for(1)[0]
    receiver.delay_seconds = 0
    second = receiver.wait_for(2, seconds=9)[1]

    assert 5 <= second.at - first.at < 9


def test_without_a_notify_url_nothing_is_sent(till: Till, receiver: CallbackReceiver) -> None:
    till.confirm(till.opened())

    assert receiver.wait_for(1, seconds=0.2) == []


def test_an_https_address_is_delivered_to_the_product(till: Till, receiver: CallbackReceiver) -> None:
    till.sandbox.settings(product_url=receiver.origin)
    opened = till.opened(notify_url="https://shop.example/callbacks/pay/1900000001")
    till.confirm(opened)

    assert receiver.wait_for(1)[0].path == "/callbacks/pay/1900000001"


def test_one_notice_may_come_many_times_at_once(till: Till, receiver: CallbackReceiver) -> None:
    till.sandbox.fault(BILLS, "duplicate_callback", copies=3, times=1)
    receiver.delay_seconds = 0.5
    finish(till, receiver)
    received = receiver.wait_for(3)

    assert len(received) == 3
    assert len({r.body for r in received}) == 1
    assert max(r.at for r in received) - min(r.at for r in received) < 0.5
    assert len(receiver.wait_for(4, seconds=0.6)) == 3


def test_notices_may_overtake_one_another(till: Till, receiver: CallbackReceiver) -> None:
    till.sandbox.fault("/callbacks/pay", "reorder_callback", times=1)
    first, second = finish(till, receiver), finish(till, receiver)

    numbers = [r.resource(till.account)["out_bill_no"] for r in receiver.wait_for(2)]
    assert numbers == [second, first]
    assert len(receiver.wait_for(3, seconds=0.2)) == 2


def test_a_held_notice_comes_even_if_nothing_overtakes_it(till: Till, receiver: CallbackReceiver) -> None:
    till.sandbox.fault(BILLS, "reorder_callback", times=1, hold_seconds=60)
    finish(till, receiver)
    assert receiver.wait_for(1, seconds=0.1) == []
    till.sandbox.advance(60)

    assert len(receiver.wait_for(1)) == 1


def test_a_notice_may_come_late(till: Till, receiver: CallbackReceiver) -> None:
    till.sandbox.fault(BILLS, "late_callback", times=1, delay_seconds=3_600)
    finish(till, receiver)
    assert receiver.wait_for(1, seconds=0.1) == []
    till.sandbox.advance(3_600)

    assert signed(till, receiver.wait_for(1)[0])


def test_a_notice_may_never_come(till: Till, receiver: CallbackReceiver) -> None:
    till.sandbox.fault(BILLS, "no_callback", times=1)
    lost = finish(till, receiver)
    told = finish(till, receiver)
    till.sandbox.advance(DAY)

    assert [r.resource(till.account)["out_bill_no"] for r in receiver.wait_for(2, seconds=0.2)] == [told]
    assert till.client.state(lost) == "SUCCESS"


def test_a_probe_must_be_refused_by_the_merchant(till: Till, receiver: CallbackReceiver) -> None:
    receiver.statuses = [401, 200]
    answers = [till.sandbox.probe(till.account.mchid, receiver.url) for _ in range(2)]

    assert answers == [{"status": 401, "refused": True}, {"status": 200, "refused": False}]
    for probe in receiver.received:
        assert probe.headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
        assert not signed(till, probe)


def test_nothing_is_ever_sent_to_the_outside(till: Till) -> None:
    for url in ("http://shop.example/c", "ftp://127.0.0.1/c", "file:///etc/passwd"):
        with pytest.raises(SandboxRefusedError, match="bad_notify_url"):
            till.sandbox.probe(till.account.mchid, url)
