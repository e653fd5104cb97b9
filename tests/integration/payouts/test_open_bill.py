"""Opening bills: one open bill per award, everything it says frozen, a new number only after an end."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.identity import queries as identity
from app.identity import trust
from app.identity.values import openid_claim
from app.kernel.actor import SYSTEM
from app.organisation.operations import register_app
from app.payouts import operations
from app.payouts.errors import (
    AlreadyPaid,
    AmountNotPayable,
    AppNotBound,
    NameNeeded,
    NoOpenid,
    ServiceDeskWanted,
    UnknownPayer,
)
from app.payouts.interfaces import TransferAnswer, TransferOutcome
from app.payouts.numbers import bill_number
from app.payouts.queries import BillView, bills_of, open_bills
from app.payouts.states import BillState
from tests.factories.prizes import OPERATOR, PrizeWorld, payer_details
from tests.support.scripted_pay import CANCELLED, FAIL, Hiccup


def open_bill(world: PrizeWorld, person_id: int, **changes: Any) -> BillView:
    values: dict[str, Any] = {
        "award_id": 77,
        "brand_id": world.brand_id,
        "person_id": person_id,
        "person_ids": world.cluster(person_id).person_ids,
        "app_id": world.app_id,
        "payer_id": world.payer_id,
        "amount_fen": 100,
        "remark": "扫码奖励",
        "actor": SYSTEM,
        **changes,
    }
    return world.do(operations.open_bill, **values)


def test_a_second_tap_returns_the_bill_that_is_open(world: PrizeWorld) -> None:
    person = world.person()
    first = open_bill(world, person)
    assert (first.state, first.generation, first.package_info) == (BillState.NEW, 1, None)
    assert open_bill(world, person) == first
    world.drain()
    again = open_bill(world, person)
    assert (again.bill_no, again.message_id) == (first.bill_no, first.message_id)
    assert (again.state, again.package_info) == (BillState.WAIT_USER_CONFIRM, f"package-{first.bill_no}")
    assert world.pay.calls == [("open", first.bill_no)]


def test_a_number_tells_nobody_anything_and_fits_the_platform(world: PrizeWorld) -> None:
    numbers = [open_bill(world, world.person(), award_id=award).bill_no for award in range(1, 9)]
    assert all(re.fullmatch(r"[0-9A-Za-z]{17}", number) for number in numbers)
    assert len(set(numbers)) == 8
    assert numbers != sorted(numbers)
    # It can be told from the award alone, also by a database that has forgotten the bill.
    assert numbers == [bill_number(award, 1) for award in range(1, 9)]
    later = [bill_number(1, generation) for generation in (1, 2, 11, 112)]
    assert len(set(later)) == 4
    assert all(re.fullmatch(r"[0-9A-Za-z]{17,28}", number) for number in later)


def test_the_request_says_what_the_payer_and_the_award_say(world: PrizeWorld) -> None:
    bill = open_bill(world, world.person())
    world.drain()
    request = world.pay.bills[bill.bill_no].request
    assert (request.payer.mchid, request.appid, request.openid) == (bill.mchid, bill.appid, "openid-000001")
    assert (request.amount_fen, request.remark, request.scene_id) == (100, "扫码奖励", "1000")
    assert {info.info_type for info in request.report_infos} == {"活动名称", "奖励说明"}
    assert request.notify_url == payer_details(()).notify_url
    assert (request.user_name, request.recv_style) == (None, None)


def test_a_repeat_says_the_same_although_the_payer_was_edited(world: PrizeWorld) -> None:
    bill = open_bill(world, world.person())
    timeout = TransferAnswer(TransferOutcome.RETRY_SAME, code="timeout")
    world.pay.script.append(Hiccup("open", timeout, after=True))
    world.drain()
    before = world.pay.bills[bill.bill_no].request
    edited = payer_details((world.app_id,), notify_url=None, recv_style="RED_PACKET", product_max_fen=50)
    world.do(operations.save_payer, payer=edited, actor=OPERATOR)
    world.clock.advance(timedelta(minutes=1))
    world.drain()  # the platform asserts that the repeat is the same
    assert world.bill_rows()[0].state is BillState.WAIT_USER_CONFIRM
    assert world.pay.bills[bill.bill_no].request == before


@pytest.mark.parametrize("end", [FAIL, CANCELLED])
def test_a_new_number_comes_only_after_the_platform_ended_the_last_bill(world: PrizeWorld, end: Any) -> None:
    person = world.person()
    first = open_bill(world, person)
    world.drain()
    world.clock.advance(timedelta(days=3))
    assert open_bill(world, person).bill_no == first.bill_no, "our clock ends no bill"
    world.pay.end(first.bill_no, end, "OVERDUE_CLOSE")
    assert open_bill(world, person).bill_no == first.bill_no, "we have not heard of it yet"
    world.call_back(first.bill_no)
    world.drain()
    second = open_bill(world, person)
    assert second.bill_no != first.bill_no
    assert (second.generation, second.state) == (2, BillState.NEW)
    assert open_bill(world, person) == second
    rows = world.read(bills_of, award_id=77)
    assert [(row.generation, row.fail_reason) for row in rows] == [(1, "OVERDUE_CLOSE"), (2, None)]


def test_what_is_paid_is_paid(world: PrizeWorld) -> None:
    person = world.person()
    bill = open_bill(world, person)
    world.drain()
    world.pay.confirm(bill.bill_no)
    world.call_back(bill.bill_no)
    world.drain()
    with pytest.raises(AlreadyPaid):
        open_bill(world, person)
    assert len(world.bill_rows()) == 1


def test_it_is_paid_only_where_the_payer_is_bound_and_the_person_known(world: PrizeWorld) -> None:
    person = world.person()
    other_app = world.do(register_app, appid="wx2222222222222222", secret="s")
    with pytest.raises(AppNotBound):
        open_bill(world, person, app_id=other_app)
    both = payer_details((world.app_id, other_app))
    world.do(operations.save_payer, payer=both, actor=OPERATOR)
    with pytest.raises(NoOpenid):
        open_bill(world, person, app_id=other_app)
    assert open_bill(world, person).appid == "wx1111111111111111"


def test_whose_openid_was_demoted_is_sent_to_the_service_desk(world: PrizeWorld) -> None:
    """To sign in again changes nothing, so nobody is told to."""
    person = world.person(openid="openid-of-theirs")
    (known,) = world.read(identity.identifiers, person_ids=[person])
    world.do(trust.demote, identifier_id=known.id, reason="a friend's", actor=OPERATOR)
    with pytest.raises(ServiceDeskWanted) as refused:
        open_bill(world, person)
    assert refused.value.extra == {"appid": "wx1111111111111111"}
    assert "请联系品牌客服" in refused.value.detail
    world.do(trust.reinstate, identifier_id=known.id, actor=OPERATOR)
    assert open_bill(world, person).state is BillState.NEW


def test_an_open_bill_is_found_by_the_openid_that_it_pays_to(world: PrizeWorld) -> None:
    person, other = world.person(openid="openid-of-theirs"), world.person(openid="openid-of-another")
    number = open_bill(world, person).bill_no
    (bill,) = world.read(open_bills, person_ids=[person, other], app_id=world.app_id)
    assert bill.bill_no == number
    claim = openid_claim(world.app_id, bill.openid)
    known = world.read(identity.identifiers, person_ids=[person, other])
    owners = [it.person_id for it in known if world.read(identity.is_named, identifier_id=it.id, claim=claim)]
    assert owners == [person]
    assert world.read(open_bills, person_ids=[other], app_id=world.app_id) == []
    assert world.read(open_bills, person_ids=[person], app_id=world.app_id + 1) == []
    world.drain()
    world.pay.end(number, CANCELLED, "OVERDUE_CLOSE")
    world.call_back(number)
    world.drain()
    assert world.read(open_bills, person_ids=[person], app_id=world.app_id) == []


def test_a_later_attempt_goes_to_the_app_in_use_then(world: PrizeWorld) -> None:
    other_app = world.do(register_app, appid="wx2222222222222222", secret="s")
    world.do(operations.save_payer, payer=payer_details((world.app_id, other_app)), actor=OPERATOR)
    here, there = world.person(), world.person(app_id=other_app)
    person_ids = (here, there)
    first = open_bill(world, here, person_ids=person_ids)
    world.drain()
    assert open_bill(world, here, person_ids=person_ids, app_id=other_app).app_id == world.app_id
    world.pay.end(first.bill_no, CANCELLED, "OVERDUE_CLOSE")
    world.call_back(first.bill_no)
    world.drain()
    second = open_bill(world, here, person_ids=person_ids, app_id=other_app)
    world.drain()
    assert world.pay.bills[second.bill_no].request.appid == "wx2222222222222222"
    assert world.pay.bills[second.bill_no].request.openid == "openid-000002"


def test_amounts_have_the_platforms_bounds(world: PrizeWorld) -> None:
    person = world.person()
    for amount_fen in (9, 500_001):
        with pytest.raises(AmountNotPayable):
            open_bill(world, person, amount_fen=amount_fen, user_name="李雷")
    with pytest.raises(NameNeeded):
        open_bill(world, person, amount_fen=200_000)
    with pytest.raises(UnknownPayer):
        open_bill(world, person, payer_id=1)
    assert world.bill_rows() == []


def test_a_name_is_kept_only_where_the_platform_asks_for_it(world: PrizeWorld) -> None:
    person = world.person()
    open_bill(world, person, amount_fen=199_999, user_name="李雷", award_id=1)
    open_bill(world, person, amount_fen=200_000, user_name="李雷", award_id=2)
    assert [bill.user_name for bill in world.bill_rows()] == [None, "李雷"]
    stored = world.read(lambda session: session.execute(text("SELECT user_name, openid FROM bills")).all())
    assert all("李雷".encode() not in bytes(cell or b"") for row in stored for cell in row)
    assert all(b"openid-000001" not in bytes(cell or b"") for row in stored for cell in row)


def test_a_large_transfer_does_not_look_like_a_red_packet(world: PrizeWorld) -> None:
    red = replace(payer_details((world.app_id,)), recv_style="RED_PACKET")
    world.do(operations.save_payer, payer=red, actor=OPERATOR)
    person = world.person()
    open_bill(world, person, amount_fen=20_000, award_id=1)
    open_bill(world, person, amount_fen=20_001, award_id=2)
    assert [bill.recv_style for bill in world.bill_rows()] == ["RED_PACKET", "CONFIRM_PAGE"]
