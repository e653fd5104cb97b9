"""One award, one transfer, however slow or broken the platform is and however often Collect is tapped."""

import secrets
import time
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.campaigns.operations import choose_payer
from app.payouts.interfaces import PayMethod, ReportInfo
from app.payouts.limits import PACKET_TEXTS
from app.payouts.models import Bill
from app.payouts.operations import poll_due, save_payer
from tests.factories.prizes import OPERATOR, payer_details
from tests.support.certificates import certificate
from tests.support.sandbox import kept_private_key
from tests.support.shop import APPID, Shop, Shopper

BILLS = "/v3/fund-app/mch-transfer/transfer-bills"


def _bills(shop: Shop, shopper: Shopper) -> list[dict[str, Any]]:
    """The platform's bills for a shopper."""
    (openid,) = [it["openids"] for it in shop.sandbox.shoppers() if it["id"] == shopper.id]
    return [bill for bill in shop.sandbox.book()["bills"] if bill["openid"] in openid.values()]


def _transfer(shop: Shop, shopper: Shopper, award: dict[str, Any], key: str) -> dict[str, str]:
    """Repeat a tap until the transfer is there."""
    end = time.monotonic() + 15
    while True:
        answer = shopper.collect(award, key=key)
        if answer.status_code == 200:
            found: dict[str, str] = answer.json()["transfer"]
            return found
        assert answer.status_code == 202, answer.text
        assert time.monotonic() < end
        shop.drain()
        time.sleep(0.1)


def test_taps_on_collect_open_one_transfer(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()

    first = shopper.collect(award, key="tap-number-1")
    repeated = shopper.collect(award, key="tap-number-1")
    others = [shopper.collect(award) for _ in range(3)]
    assert {answer.status_code for answer in (first, repeated, *others)} == {200}
    assert {answer.json()["transfer"]["package_info"] for answer in (first, repeated, *others)} == {
        first.json()["transfer"]["package_info"]
    }
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert len(_bills(shop, shopper)) == 1


def test_a_repeated_tap_does_not_offer_what_was_used(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()
    collected = shopper.collect(award, key="tap-number-1")
    shopper.confirm(collected.json()["transfer"])
    shopper.wait_for(award, "fulfilled")

    repeated = shopper.collect(award, key="tap-number-1")
    assert repeated.status_code == 200
    assert repeated.json() == {
        "award": shopper.award(award),
        "transfer": None,
        "red_packet": None,
        "service_red_packet": None,
        "wecom_red_packet": None,
        "voucher": None,
    }
    again = shopper.collect(award)
    assert (again.status_code, again.json()["code"]) == (409, "already_fulfilled")


def test_nobody_waits_for_a_slow_platform(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()
    shop.sandbox.fault(BILLS, "latency", latency_ms=4000, times=1)

    started = time.monotonic()
    answer = shopper.collect(award, key="tap-number-1")
    assert (answer.status_code, answer.json()["transfer"]) == (202, None)
    assert answer.json()["award"]["state"] == "locked"
    assert 1.9 < time.monotonic() - started < 3.9
    shopper.confirm(_transfer(shop, shopper, award, "tap-number-1"))
    shopper.wait_for(award, "fulfilled")
    assert len(_bills(shop, shopper)) == 1


@pytest.mark.parametrize("kind", ["html_502", "system_error"])
def test_a_broken_platform_is_asked_again_and_pays_once(shop: Shop, kind: str) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()
    shop.sandbox.fault(BILLS, kind, times=1, after_commit=True)

    assert shopper.collect(award, key="tap-number-1").status_code == 202
    shopper.confirm(_transfer(shop, shopper, award, "tap-number-1"))
    shopper.wait_for(award, "fulfilled")
    assert shopper.balance_fen() == 100
    assert len(_bills(shop, shopper)) == 1


def test_a_transfer_that_nobody_confirmed_can_be_opened_anew(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()
    old = shopper.collect(award, key="tap-number-1").json()["transfer"]
    shop.sandbox.advance(25 * 3600)
    shopper.wait_for(award, "collectible")

    # The old key speaks of the old tap; a new tap opens a new transfer.
    stale = shopper.collect(award, key="tap-number-1")
    assert (stale.status_code, stale.json()["award"]["state"]) == (202, "collectible")
    new = shopper.collect(award).json()["transfer"]
    assert new["package_info"] != old["package_info"]
    shopper.confirm(new)
    shopper.wait_for(award, "fulfilled")
    assert shopper.balance_fen() == 100


@pytest.mark.parametrize(
    ("kind", "status", "code"), [("-1", 503, "platform_busy"), ("45009", 429, "platform_too_frequent")]
)
def test_a_login_says_what_ails_the_platform(shop: Shop, kind: str, status: int, code: str) -> None:
    shopper = shop.shopper()
    shop.sandbox.fault("/sns/jscode2session", kind, times=1)
    body = {"app_id": "wxfunctional00001", "js_code": shop.sandbox.js_code(shopper.id, "wxfunctional00001")}

    answer = shopper.call("POST", "/sessions", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert int(answer.headers["Retry-After"]) > 0
    assert shopper.login()["token"]


def test_a_payer_of_red_packets_gives_the_app_what_opens_one(shop: Shop) -> None:
    key, mchid = kept_private_key("a payer by red packets"), f"18{secrets.randbelow(10**8):08d}"
    merchant = shop.sandbox.create_merchant(
        mchid, appids=[APPID], balance_fen=10_000, private_key_pem=key, apiv2_key="0" * 32
    )
    details = payer_details(
        (shop.ids["app"],),
        mchid=mchid,
        private_key=key,
        apiv3_key=merchant.apiv3_key,
        method=PayMethod.RED_PACKET,
        apiv2_key=merchant.apiv2_key,
        client_certificate=certificate(key),
        scene_id="",
        report_infos=tuple(ReportInfo(name, "1.2.3.4") for name in PACKET_TEXTS),
        notify_url=None,
        product_max_fen=20_000,
    )

    def choose(session: Session) -> None:
        now = shop.container.clock.now()
        payer = save_payer(session, payer=details, now=now, actor=OPERATOR)
        choose_payer(session, campaign_id=shop.ids["campaign"], payer_id=payer, now=now, actor=OPERATOR)

    shop.container.db.transact(choose)
    shopper = shop.shopper().member()
    award = shopper.win()

    answer = shopper.collect(award)
    assert (answer.status_code, answer.json()["transfer"]) == (200, None)
    again = shopper.collect(award)
    assert again.json()["red_packet"] == answer.json()["red_packet"]
    shop.sandbox.send_biz_red_packet(shopper.id, {"appId": APPID, **answer.json()["red_packet"]})

    def ask(session: Session) -> int:
        now = shop.container.clock.now()
        session.execute(update(Bill).values(poll_at=now))
        return poll_due(session, now=now)

    assert shop.container.db.transact(ask) == 1
    shopper.wait_for(award, "fulfilled")
    assert shopper.balance_fen() == 100
    assert shop.faults_of_the_books() == []
