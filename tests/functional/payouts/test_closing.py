"""An operator frees an award from the shell: its bill was refused for its receiver, or nobody confirms it."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.outbox.models import OutboxMessage
from app.payouts.models import Bill
from tests.support.operators import approval, second, shop_shell
from tests.support.shop import Shop

BILLS = "/v3/fund-app/mch-transfer/transfer-bills"
Saoma = Callable[..., Result]


@pytest.fixture
def run(embedded_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saoma:
    """Runs the command on the shop's installation; `ok=False` expects a refusal in one line."""
    return shop_shell(embedded_shop, tmp_path, monkeypatch)


def time_passes(shop: Shop, past: timedelta) -> None:
    """Set back what was noted, as if it had been noted long ago, and what is due."""

    def work(session: Session) -> None:
        before = shop.container.clock.now() - past
        for change in (
            update(Bill).where(Bill.absent_at.is_not(None)).values(absent_at=before),
            update(Bill).values(opened_at=before),
            update(OutboxMessage).values(due_at=before),
        ):
            session.execute(change)

    shop.container.db.transact(work)
    shop.drain()


def test_a_refused_bill_is_closed_and_its_award_collected_again(embedded_shop: Shop, run: Saoma) -> None:
    shop = embedded_shop
    shopper = shop.shopper("13912340099").member()
    shopper.give_phone()
    award = shopper.win()
    shop.sandbox.fault(BILLS, "user_account_abnormal", times=1)
    assert shopper.collect(award).json()["transfer"] is None
    (row,) = json.loads(run("payouts", "stuck", "--json").stdout)
    assert row["award"] == award["id"]
    assert row["why"].startswith("USER_ACCOUNT_ABNORMAL")
    assert "139****0099" in row["person"]
    assert "13912340099" not in json.dumps(row)
    said = run("payouts", "close", row["bill"], "--reason", "cannot take money").stdout
    assert "does not know it" in said
    assert shopper.award(award)["state"] == "locked"
    time_passes(shop, timedelta(minutes=11))
    assert shopper.award(award)["state"] == "collectible"
    assert run("payouts", "stuck").stdout.strip() == "none"
    shopper.confirm(shopper.collect(award).json()["transfer"])
    shopper.wait_for(award, "fulfilled")
    assert shopper.balance_fen() == 100
    assert shop.faults_of_the_books() == []


def test_an_unconfirmed_bill_is_cancelled_at_the_platform(embedded_shop: Shop, run: Saoma) -> None:
    shop = embedded_shop
    shopper = shop.shopper().member()
    award = shopper.win()
    transfer = shopper.collect(award).json()["transfer"]
    (bill,) = [bill for bill in shop.sandbox.book()["bills"] if bill["state"] == "WAIT_USER_CONFIRM"]
    run("payouts", "close", bill["out_bill_no"], "--reason", "the shopper asks for it")
    shopper.wait_for(award, "collectible")
    with pytest.raises(AssertionError, match="bill is CANCELLED"):
        shopper.confirm(transfer)
    assert run("awards", "refuse", award["id"], "--reason", "returned the goods").stdout.strip() == "refused"
    assert shopper.balance_fen() == 0
    assert shop.faults_of_the_books() == []


def test_bills_that_still_pay_to_a_demoted_openid_are_listed(embedded_shop: Shop, run: Saoma) -> None:
    """What a bill says is frozen, so it pays to the openid that was demoted after it was opened."""
    shop = embedded_shop
    shopper = shop.shopper("13912340098").member()
    shopper.give_phone()
    award = shopper.win()
    shopper.collect(award)
    (bill,) = [bill for bill in shop.sandbox.book()["bills"] if bill["state"] == "WAIT_USER_CONFIRM"]
    person = run("persons", "find", "--phone", "13912340098").stdout.strip()
    rows = json.loads(run("persons", "show", person, "--json").stdout)
    known = {row["what"].partition(" ")[0]: row["id"] for row in rows}
    assert bill["out_bill_no"] not in run("persons", "demote", known["phone"], "--reason", "a shop's").stdout

    said = run("persons", "demote", known["openid"], "--reason", "a friend's").stdout

    assert f"{bill['out_bill_no']}  1.00  wait_user_confirm" in said
    run("payouts", "close", bill["out_bill_no"], "--reason", "the account is a friend's")
    shopper.wait_for(award, "collectible")
    assert shopper.collect(award).json()["code"] == "service_desk_wanted"
    run("persons", "reinstate", known["openid"])
    assert bill["out_bill_no"] not in run("persons", "demote", known["openid"], "--reason", "so it is").stdout
    assert shopper.balance_fen() == 0
    assert shop.faults_of_the_books() == []


def test_refusals_say_what_to_do(
    embedded_shop: Shop, run: Saoma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, as_peter = embedded_shop, second(run, tmp_path, monkeypatch)
    assert "payouts stuck" in run("payouts", "close", "SB1", "--reason", "x", ok=False).stderr
    shopper = shop.shopper().member()
    award = shopper.win()
    shop.sandbox.fault(BILLS, "user_account_abnormal", times=1)
    shopper.collect(award)
    (row,) = json.loads(run("payouts", "stuck", "--json").stdout)
    concluding = ("payouts", "conclude", row["bill"], "--unpaid", "--evidence", "ticket 4711")
    assert "still_provable" in run(*concluding, ok=False).stderr
    run("payouts", "close", row["bill"], "--reason", "cannot take money")
    time_passes(shop, timedelta(days=31))
    assert shopper.award(award)["state"] == "locked", "not being known proves nothing by now"
    asked = approval(run(*concluding).output)
    assert shopper.award(award)["state"] == "locked", "another account decides"
    assert "second_account_needed" in run(*asked, ok=False).stderr
    as_peter(*asked)
    shopper.wait_for(award, "collectible")
