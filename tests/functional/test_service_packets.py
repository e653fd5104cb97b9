"""Prizes that a service account sends into the chat; it gets to know the member by a link of theirs."""

import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.campaigns.operations import choose_payer
from app.identity import trust
from app.identity.models import Identifier, IdentitySource, OpenidLink
from app.identity.queries import open_conflicts
from app.identity.values import IdentifierKind
from app.organisation.models import AppKind
from app.organisation.operations import register_app
from app.payouts.interfaces import PayMethod, ReportInfo
from app.payouts.limits import PACKET_TEXTS
from app.payouts.models import Bill
from app.payouts.operations import poll_due, save_payer
from tests.factories.prizes import OPERATOR, payer_details
from tests.support.certificates import certificate
from tests.support.sandbox import kept_private_key
from tests.support.shop import Shop, Shopper
from tests.support.wechat_browser import PUBLIC, WeChatBrowser

SERVICE = "wxservice00000001"
SECRET = "secret-of-the-service-account"
EXCHANGE = "/sns/oauth2/access_token"


@pytest.fixture
def mchid(shop: Shop) -> str:
    """Let the campaign be paid by red packets of a service account; return the merchant number."""
    key, mchid = kept_private_key("a payer by service accounts"), f"17{secrets.randbelow(10**8):08d}"
    shop.sandbox.create_app(
        SERVICE, SECRET, kind="service", open_platform="group", oauth_host="m.example.com"
    )
    merchant = shop.sandbox.create_merchant(
        mchid, appids=[SERVICE], balance_fen=10_000, private_key_pem=key, apiv2_key="0" * 32
    )

    def work(session: Session) -> None:
        now = shop.container.clock.now()
        account = register_app(session, appid=SERVICE, secret=SECRET, kind=AppKind.SERVICE, now=now)
        details = payer_details(
            (account,),
            mchid=mchid,
            private_key=key,
            apiv3_key=merchant.apiv3_key,
            method=PayMethod.SERVICE_RED_PACKET,
            apiv2_key=merchant.apiv2_key,
            client_certificate=certificate(key),
            scene_id="",
            report_infos=tuple(ReportInfo(name, "1.2.3.4") for name in PACKET_TEXTS),
            notify_url=None,
            product_max_fen=20_000,
        )
        payer = save_payer(session, payer=details, now=now, actor=OPERATOR)
        choose_payer(session, campaign_id=shop.ids["campaign"], payer_id=payer, now=now, actor=OPERATOR)

    shop.container.db.transact(work)
    return mchid


def _link(shopper: Shopper) -> str:
    answer = shopper.ok("POST", "/openid-links", {"app_id": SERVICE})
    assert answer["url"].startswith(f"{PUBLIC}/miniprogram/link/")
    return str(answer["url"])


def _packets(shop: Shop, mchid: str) -> list[dict[str, Any]]:
    book = shop.sandbox.book()
    assert book["balanced"], book["faults"]
    return [packet for packet in book["packets"] if packet["mchid"] == mchid]


def _ask(shop: Shop) -> None:
    def ask(session: Session) -> int:
        now = shop.container.clock.now()
        session.execute(update(Bill).values(poll_at=now))
        return poll_due(session, now=now)

    shop.container.db.transact(ask)


def _openids(shop: Shop) -> list[IdentitySource]:
    with shop.container.db.read() as session:
        sources = select(Identifier.source).where(Identifier.kind == IdentifierKind.OPENID)
        return list(session.scalars(sources.order_by(Identifier.id)))


def _conflicts(shop: Shop) -> int:
    with shop.container.db.read() as session:
        return len(open_conflicts(session))


def test_the_whole_walk(shop: Shop, mchid: str) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()
    refused = shopper.collect(award)
    assert (refused.status_code, refused.json()["code"]) == (409, "service_account_wanted")
    assert refused.json()["appid"] == SERVICE
    assert shopper.award(award)["state"] == "collectible"

    browser = WeChatBrowser(shop, shopper)
    done = browser.walk(_link(shopper))
    assert done.status_code == 200
    assert "tap Collect again" in done.text
    assert _openids(shop) == [IdentitySource.MINIPROGRAM_LOGIN, IdentitySource.SERVICE_ACCOUNT_VISIT]

    answer = shopper.collect(award)
    assert (answer.status_code, answer.json()["service_red_packet"]) == (200, {"app_id": SERVICE})
    assert answer.json()["transfer"] is answer.json()["red_packet"] is None
    again = shopper.collect(award)
    assert again.json() == answer.json()
    (packet,) = _packets(shop, mchid)
    assert (packet["state"], packet["amount_fen"]) == ("SENT", 100)
    openid = next(it["openids"][SERVICE] for it in shop.sandbox.shoppers() if it["id"] == shopper.id)
    assert packet["openid"] == openid

    shop.sandbox.open_packet(shopper.id, mchid=mchid, mch_billno=packet["mch_billno"])
    _ask(shop)
    shopper.wait_for(award, "fulfilled")
    assert shopper.balance_fen() == 100
    assert len(_packets(shop, mchid)) == 1
    assert shop.faults_of_the_books() == []
    # From now on nothing is asked any more.
    assert shopper.collect(shopper.win()).json()["service_red_packet"] == {"app_id": SERVICE}


def test_a_packet_that_nobody_opened_can_be_collected_again(shop: Shop, mchid: str) -> None:
    shopper = shop.shopper().member()
    WeChatBrowser(shop, shopper).walk(_link(shopper))
    award = shopper.win()
    shopper.collect(award)
    shop.sandbox.advance(25 * 3600)
    _ask(shop)
    shopper.wait_for(award, "collectible")

    assert shopper.collect(award).status_code == 200
    sent = _packets(shop, mchid)
    assert [packet["state"] for packet in sent] == ["REFUND", "SENT"]
    assert len({packet["mch_billno"] for packet in sent}) == 2


@pytest.mark.parametrize("kind", ["html_502", "system_error"])
def test_an_answer_that_was_lost_sends_no_second_packet(shop: Shop, mchid: str, kind: str) -> None:
    shopper = shop.shopper().member()
    WeChatBrowser(shop, shopper).walk(_link(shopper))
    award = shopper.win()
    shop.sandbox.fault("/mmpaymkttransfers/sendredpack", kind, times=1, after_commit=True)

    waiting = shopper.collect(award)
    assert (waiting.status_code, waiting.json()["service_red_packet"]) == (202, None)
    _ask(shop)
    shop.drain()
    assert shopper.collect(award).json()["service_red_packet"] == {"app_id": SERVICE}
    assert [packet["state"] for packet in _packets(shop, mchid)] == ["SENT"]


def test_a_link_works_once_and_for_its_browser(shop: Shop, mchid: str) -> None:
    shopper, friend = shop.shopper().member(), shop.shopper().member()
    url = _link(shopper)
    browser, other = WeChatBrowser(shop, shopper), WeChatBrowser(shop, friend)
    address = browser.accept(url)
    back = browser.authorize(address)

    # Somebody else's browser has not been told what it would do, or was told of another link.
    assert "did not work" in other.call("GET", back).text
    assert "did not work" in other.call("POST", url).text
    other.accept(_link(friend))
    assert "did not work" in other.call("GET", back).text
    # A code of somebody else cannot be slipped in under a state that is not this browser's.
    forged = other.authorize(other.accept(_link(friend)))
    assert "did not work" in browser.call("GET", forged).text
    assert _openids(shop) == [IdentitySource.MINIPROGRAM_LOGIN] * 2

    assert "tap Collect again" in browser.call("GET", back).text
    assert "did not work" in browser.call("GET", back).text
    assert "did not work" in browser.call("GET", url).text
    assert _openids(shop).count(IdentitySource.SERVICE_ACCOUNT_VISIT) == 1


def test_whoever_has_only_opened_the_page_is_not_taken_for_the_member(shop: Shop, mchid: str) -> None:
    """A foreign site can make a browser open pages, but not send the form on ours."""
    thief, victim = shop.shopper().member(), shop.shopper().member()
    url = _link(thief)
    address = WeChatBrowser(shop, thief).accept(url)
    browser = WeChatBrowser(shop, victim)
    assert browser.call("GET", url).status_code == 200
    back = browser.authorize(address)
    assert "did not work" in browser.call("GET", back).text
    # Nor has one who tapped on the page of another link.
    browser.accept(_link(victim))
    browser.call("GET", url)
    assert "did not work" in browser.call("GET", browser.authorize(address)).text
    assert _openids(shop) == [IdentitySource.MINIPROGRAM_LOGIN] * 2


def test_what_a_query_says_is_not_believed(shop: Shop, mchid: str) -> None:
    shopper = shop.shopper().member()
    browser = WeChatBrowser(shop, shopper)
    url = _link(shopper)
    address = browser.accept(url)
    query = parse_qs(urlsplit(address).query)
    assert query["redirect_uri"] == [f"{PUBLIC}/miniprogram/link"]
    assert (query["scope"], query["appid"]) == (["snsapi_base"], [SERVICE])
    (state,) = query["state"]
    assert state.isalnum()
    assert len(state) <= 128

    ticket = url.rpartition("/")[2]
    for wrong in ("", state[:-2] + "AA", ticket, *browser.cookies.values(), "x" * 5000):
        code = shop.sandbox.oauth_code(shopper.id, SERVICE)
        answer = browser.call("GET", f"{PUBLIC}/miniprogram/link?code={code}&state={wrong}")
        assert "did not work" in answer.text
    for code in ("", "made-up", "x" * 5000):
        answer = browser.call("GET", f"{PUBLIC}/miniprogram/link?code={code}&state={state}")
        assert "did not work" in answer.text
    for wrong in (ticket[:-2] + "AA", state, "short"):
        assert "did not work" in browser.call("GET", f"{PUBLIC}/miniprogram/link/{wrong}").text
    assert _openids(shop) == [IdentitySource.MINIPROGRAM_LOGIN]


def test_a_link_ends_with_its_time_and_with_the_session(shop: Shop, mchid: str) -> None:
    shopper = shop.shopper().member()
    old, later = _link(shopper), _link(shopper)

    def age(session: Session) -> None:
        first = session.scalar(select(OpenidLink.id).order_by(OpenidLink.id).limit(1))
        session.execute(
            update(OpenidLink).where(OpenidLink.id == first).values(expires_at=shop.container.clock.now())
        )

    shop.container.db.transact(age)
    browser = WeChatBrowser(shop, shopper)
    assert "did not work" in browser.call("GET", old).text
    back = browser.authorize(browser.accept(later))
    assert shopper.call("DELETE", "/sessions/current").status_code == 204
    assert "did not work" in browser.call("GET", back).text
    assert _openids(shop) == [IdentitySource.MINIPROGRAM_LOGIN]


def test_one_wechat_account_is_one_member(shop: Shop, mchid: str) -> None:
    """Friends who link the same account would be one person: nothing moves, and an operator is asked."""
    shopper, friend = shop.shopper().member(), shop.shopper().member()
    WeChatBrowser(shop, shopper).walk(_link(shopper))
    page = WeChatBrowser(shop, shopper).walk(_link(friend))
    assert "belongs to another member" in page.text
    assert _conflicts(shop) == 1
    award = friend.win()
    assert friend.collect(award).json()["code"] == "service_account_wanted"
    # Nor does a link that was passed on replace the account that is known.
    assert "belongs to another member" in WeChatBrowser(shop, friend).walk(_link(shopper)).text
    assert shopper.collect(shopper.win()).json()["service_red_packet"] == {"app_id": SERVICE}
    openid = next(it["openids"][SERVICE] for it in shop.sandbox.shoppers() if it["id"] == shopper.id)
    assert [packet["openid"] for packet in _packets(shop, mchid)] == [openid]


def test_a_demoted_account_is_a_matter_for_the_service_desk(shop: Shop, mchid: str) -> None:
    shopper = shop.shopper().member()
    WeChatBrowser(shop, shopper).walk(_link(shopper))
    award = shopper.win()

    def demote(session: Session) -> None:
        wanted = select(Identifier.id).where(Identifier.source == IdentitySource.SERVICE_ACCOUNT_VISIT)
        (openid,) = session.scalars(wanted)
        now = shop.container.clock.now()
        trust.demote(session, identifier_id=openid, reason="a friend's", now=now, actor=OPERATOR)

    shop.container.db.transact(demote)
    refused = shopper.collect(award)
    assert (refused.status_code, refused.json()["code"]) == (409, "service_desk_wanted")
    assert refused.json()["appid"] == SERVICE
    assert _packets(shop, mchid) == []


def test_a_snapshot_is_nobody(shop: Shop, mchid: str) -> None:
    shopper = shop.shopper().member()
    browser = WeChatBrowser(shop, shopper)
    back = urlsplit(browser.authorize(browser.accept(_link(shopper))))
    (state,) = parse_qs(back.query)["state"]
    code = shop.sandbox.oauth_code(shopper.id, SERVICE, virtual=True)
    page = browser.call("GET", f"{PUBLIC}/miniprogram/link?code={code}&state={state}")
    assert "snapshot" in page.text
    assert _openids(shop) == [IdentitySource.MINIPROGRAM_LOGIN]
    # The link was not used up by it.
    assert "tap Collect again" in browser.call("GET", f"{PUBLIC}{back.path}?{back.query}").text


def test_a_unionid_that_is_not_the_members_tells(shop: Shop, mchid: str) -> None:
    """With snsapi_base none is told; where one is, it outweighs the link."""
    shop.sandbox.create_app("wxfunctional00001", "app-secret", open_platform="group")
    shopper, friend = shop.shopper().member(), shop.shopper().member()
    browser = WeChatBrowser(shop, shopper)
    (state,) = parse_qs(urlsplit(browser.accept(_link(shopper))).query)["state"]
    code = shop.sandbox.oauth_code(friend.id, SERVICE, scope="snsapi_userinfo")
    before = len(_openids(shop))
    page = browser.call("GET", f"{PUBLIC}/miniprogram/link?code={code}&state={state}")
    assert "belongs to another member" in page.text
    assert len(_openids(shop)) == before
    own = shop.sandbox.oauth_code(shopper.id, SERVICE, scope="snsapi_userinfo")
    assert "Collect again" in browser.call("GET", f"{PUBLIC}/miniprogram/link?code={own}&state={state}").text
    shop.sandbox.create_app("wxfunctional00001", "app-secret")


@pytest.mark.parametrize("kind", ["-1", "45009", "html_502"])
def test_a_platform_that_fails_spends_no_link(shop: Shop, mchid: str, kind: str) -> None:
    shopper = shop.shopper().member()
    url, browser = _link(shopper), WeChatBrowser(shop, shopper)
    shop.sandbox.fault(EXCHANGE, kind, times=1)
    assert "Open the link again" in browser.walk(url).text
    assert "tap Collect again" in browser.walk(url).text


def test_the_page_says_whose_packets_these_are_and_keeps_to_itself(shop: Shop, mchid: str) -> None:
    shopper = shop.shopper()
    shopper.login()
    number = shopper.join()["member"]["member_no"]
    url = _link(shopper)
    page = WeChatBrowser(shop, shopper).call("GET", url)
    assert f"…{number[-4:]}" in page.text
    assert number not in page.text
    assert "<script" not in page.text
    cookie = page.headers["Set-Cookie"]
    for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/;", "__Host-saoma_link="):
        assert word in cookie
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    elsewhere = WeChatBrowser(shop, shopper, agent="Mozilla/5.0 Firefox").call("GET", url)
    assert "Open this link in WeChat" in elsewhere.text
    assert "Set-Cookie" not in elsewhere.headers


def test_only_service_accounts_are_linked_and_only_mini_programs_logged_in_to(shop: Shop, mchid: str) -> None:
    shopper = shop.shopper().member()
    for appid in ("wxfunctional00001", "wxnobody000000001"):
        answer = shopper.call("POST", "/openid-links", {"app_id": appid})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_app")
    answer = shopper.call("POST", "/sessions", {"app_id": SERVICE, "js_code": "x"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_app")
    guest = shop.shopper()
    guest.login()
    answer = guest.call("POST", "/openid-links", {"app_id": SERVICE})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_a_member")
    snapshot = shop.shopper()
    snapshot.login(virtual=True)
    answer = snapshot.call("POST", "/openid-links", {"app_id": SERVICE})
    assert (answer.status_code, answer.json()["code"]) == (403, "virtual_person")
