"""Prizes that a company sends by its WeCom; its page gets to know the member by a link of theirs."""

import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.campaigns.operations import choose_payer
from app.identity.models import Identifier, IdentitySource
from app.identity.queries import open_conflicts
from app.identity.values import IdentifierKind
from app.organisation.models import AppKind
from app.organisation.operations import register_app
from app.payouts.interfaces import PayMethod, ReportInfo
from app.payouts.models import Bill
from app.payouts.operations import poll_due, save_payer
from tests.factories.prizes import OPERATOR, payer_details
from tests.support.certificates import certificate
from tests.support.sandbox import kept_private_key
from tests.support.shop import Shop, Shopper
from tests.support.wechat_browser import PUBLIC, WeChatBrowser

CORP = "wwfunctional00001"
AGENT = "1000002"
SECRET = "secret-of-the-application"
PAYMENT_SECRET = "secret-of-the-payment-app"


@pytest.fixture
def mchid(shop: Shop) -> str:
    """Let the campaign be paid by red packets of a corp; return the merchant number."""
    key, mchid = kept_private_key("a payer by corps"), f"15{secrets.randbelow(10**8):08d}"
    shop.sandbox.create_app(CORP, SECRET, kind="corp", agentid=AGENT, oauth_host="m.example.com")
    merchant = shop.sandbox.create_merchant(
        mchid,
        appids=[CORP],
        balance_fen=10_000,
        private_key_pem=key,
        apiv2_key="0" * 32,
        workwx_secret=PAYMENT_SECRET,
    )
    texts = {"sender_name": "茶铺", "wishing": "恭喜发财", "act_name": "扫码有礼"}

    def work(session: Session) -> None:
        now = shop.container.clock.now()
        corp = register_app(session, appid=CORP, secret=SECRET, kind=AppKind.CORP, agentid=AGENT, now=now)
        details = payer_details(
            (corp,),
            mchid=mchid,
            private_key=key,
            apiv3_key=merchant.apiv3_key,
            method=PayMethod.WECOM_RED_PACKET,
            apiv2_key=merchant.apiv2_key,
            client_certificate=certificate(key),
            workwx_secret=PAYMENT_SECRET,
            scene_id="",
            report_infos=tuple(ReportInfo(*pair) for pair in texts.items()),
            notify_url=None,
            product_max_fen=20_000,
        )
        payer = save_payer(session, payer=details, now=now, actor=OPERATOR)
        choose_payer(session, campaign_id=shop.ids["campaign"], payer_id=payer, now=now, actor=OPERATOR)

    shop.container.db.transact(work)
    return mchid


def _link(shopper: Shopper) -> str:
    return str(shopper.ok("POST", "/openid-links", {"app_id": CORP})["url"])


def _packets(shop: Shop, mchid: str) -> list[dict[str, Any]]:
    book = shop.sandbox.book()
    assert book["balanced"], book["faults"]
    return [packet for packet in book["packets"] if packet["mchid"] == mchid]


def _known(shop: Shop) -> list[IdentifierKind]:
    """What the visits of the corp's page have told."""
    with shop.container.db.read() as session:
        kinds = select(Identifier.kind).where(Identifier.source == IdentitySource.CORP_VISIT)
        return list(session.scalars(kinds.order_by(Identifier.id)))


def _openid(shop: Shop, shopper: Shopper) -> str:
    return str(next(it["openids"][CORP] for it in shop.sandbox.shoppers() if it["id"] == shopper.id))


@pytest.mark.parametrize("relation", ["customer", "staff"])
def test_the_whole_walk(shop: Shop, mchid: str, relation: str) -> None:
    """A customer, and one of the staff: whoever has won is paid."""
    shopper = shop.shopper().member()
    shop.sandbox.relate(shopper.id, CORP, relation)
    award = shopper.win()
    refused = shopper.collect(award)
    assert (refused.status_code, refused.json()["code"]) == (409, "corp_wanted")
    assert refused.json()["appid"] == CORP
    assert shopper.award(award)["state"] == "collectible"

    browser, url = WeChatBrowser(shop, shopper), _link(shopper)
    assert "number as a contact" in browser.call("GET", url).text
    address = browser.accept(url)
    names = ["appid", "redirect_uri", "response_type", "scope", "state", "agentid"]
    assert list(parse_qs(urlsplit(address).query)) == names
    done = browser.call("GET", browser.authorize(address))
    assert "tap Collect again" in done.text
    customer = [IdentifierKind.EXTERNAL_USERID] if relation == "customer" else []
    assert sorted(_known(shop)) == sorted([IdentifierKind.OPENID, *customer])

    answer = shopper.collect(award)
    assert (answer.status_code, answer.json()["wecom_red_packet"]) == (200, {"app_id": CORP})
    assert answer.json()["transfer"] is answer.json()["service_red_packet"] is None
    assert shopper.collect(award).json() == answer.json()
    (packet,) = _packets(shop, mchid)
    assert (packet["state"], packet["amount_fen"]) == ("SENT", 100)
    assert packet["openid"] == _openid(shop, shopper)

    shop.sandbox.open_packet(shopper.id, mchid=mchid, mch_billno=packet["mch_billno"])
    shop.container.db.transact(lambda session: _ask(session, shop))
    shopper.wait_for(award, "fulfilled")
    assert shopper.balance_fen() == 100
    assert len(_packets(shop, mchid)) == 1
    assert shop.faults_of_the_books() == []


def _ask(session: Session, shop: Shop) -> int:
    now = shop.container.clock.now()
    session.execute(update(Bill).values(poll_at=now))
    return poll_due(session, now=now)


def test_staff_whom_the_corp_does_not_know_are_told_what_helps(shop: Shop, mchid: str) -> None:
    """Who has not signed in to WeCom with WeChat can try for ever; the link is not used up meanwhile."""
    shopper = shop.shopper().member()
    shop.sandbox.relate(shopper.id, CORP, "staff")
    url = _link(shopper)
    shop.sandbox.fault("/cgi-bin/user/convert_to_openid", "43004", times=1)
    page = WeChatBrowser(shop, shopper).walk(url).text
    assert "sign in to WeCom with this WeChat, or ask your administrator" in page
    assert _known(shop) == []
    assert "Collect again" in WeChatBrowser(shop, shopper).walk(url).text


def test_the_openid_of_somebody_else_and_a_snapshot_move_nothing(shop: Shop, mchid: str) -> None:
    """Both are no customers: the openid is all that is told."""
    shopper, friend = shop.shopper().member(), shop.shopper().member()
    browser = WeChatBrowser(shop, shopper)
    back = urlsplit(browser.authorize(browser.accept(_link(shopper))))
    (state,) = parse_qs(back.query)["state"]
    code = shop.sandbox.oauth_code(shopper.id, CORP, virtual=True)
    page = browser.call("GET", f"{PUBLIC}/miniprogram/link?code={code}&state={state}")
    assert "snapshot" in page.text
    assert _known(shop) == []
    # The link was not used up by it.
    assert "Collect again" in browser.call("GET", f"{PUBLIC}{back.path}?{back.query}").text
    assert _known(shop) == [IdentifierKind.OPENID]
    page = WeChatBrowser(shop, shopper).walk(_link(friend))
    assert "belongs to another member" in page.text
    assert _known(shop) == [IdentifierKind.OPENID]
    with shop.container.db.read() as session:
        assert len(open_conflicts(session)) == 1
    assert friend.collect(friend.win()).json()["code"] == "corp_wanted"
    assert _packets(shop, mchid) == []


def test_a_platform_that_fails_spends_no_link(shop: Shop, mchid: str) -> None:
    shopper = shop.shopper().member()
    shop.sandbox.relate(shopper.id, CORP, "staff")
    url, browser = _link(shopper), WeChatBrowser(shop, shopper)
    for path, kind in (("auth/getuserinfo", "45009"), ("user/convert_to_openid", "html_502")):
        shop.sandbox.fault(f"/cgi-bin/{path}", kind, times=1)
        assert "Open the link again" in browser.walk(url).text
    assert _known(shop) == []
    assert "Collect again" in browser.walk(url).text
