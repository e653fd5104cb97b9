"""Codes that WeChat makes, over the wire: ordered once, downloaded, decrypted, activated, redeemed once."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from app.codes.errors import InvalidMarketFile, InvalidTicket
from app.codes.interfaces import MarketGateway, Opening, Stretch
from app.codes.market_list import MadeCode, read_codes, unseal
from app.db.engine import Database
from app.gateways.market_codes import NullMarketCodes, WeChatMarketCodes
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import WeChatApi
from app.identity.interfaces import AppCredentials, PlatformBusy, PlatformRefused, TooFrequent
from tests.support.loopback import LoopbackServer, send
from tests.support.sandbox import SandboxProcess, SandboxRefusedError

KEY = "Kf3-0kq9sVzP_x1Y"
CODES = 10_000


@dataclass
class Printer:
    """A service account that may order codes for a mini-program."""

    sandbox: SandboxProcess
    gateway: WeChatMarketCodes
    account: AppCredentials
    app: AppCredentials

    @property
    def opening(self) -> Opening:
        return Opening("扫码有奖", "山泉", "绿茶 330ml", "6901234567892", self.app.appid, "pages/index/index")

    def order(self, number: str = "order-1") -> int:
        """An order whose codes are made."""
        application_id = self.gateway.apply(self.account, order_no=number, codes=CODES)
        self.sandbox.advance(61)
        return application_id

    def file(self, application_id: int, stretch: Stretch) -> list[MadeCode]:
        sealed = self.gateway.download(self.account, application_id=application_id, stretch=stretch)
        return read_codes(unseal(sealed, key=KEY), first=stretch.first, codes=stretch.codes)

    def activate(self, application_id: int, first: int, last: int, opening: Opening | None = None) -> None:
        self.gateway.activate(
            self.account,
            application_id=application_id,
            stretch=Stretch(first, last),
            opening=opening or self.opening,
        )

    def redeem(self, ticket: str, openid: str) -> str:
        return self.gateway.redeem(self.account, openid=openid, ticket=ticket).code


@pytest.fixture
def printer(sandbox: SandboxProcess, app: AppCredentials, sqlite_db: Database) -> Printer:
    account = AppCredentials(f"wx{secrets.token_hex(8)}", f"secret-{secrets.token_hex(8)}")
    sandbox.create_app(account.appid, account.secret, kind="service")
    sandbox.grant_market(account.appid, KEY)
    return Printer(sandbox, _gateway(sandbox.base_url, sqlite_db), account, app)


def _gateway(url: str, db: Database) -> WeChatMarketCodes:
    return WeChatMarketCodes(WeChatApi(url), WeChatApi(url, deadline_seconds=20), TokenProvider(db))


def test_an_order_is_one_order_and_is_made_after_a_while(printer: Printer) -> None:
    ask = printer.gateway
    first = ask.apply(printer.account, order_no="order-1", codes=CODES)
    assert ask.apply(printer.account, order_no="order-1", codes=CODES) == first
    assert ask.apply(printer.account, order_no="order-2", codes=CODES) != first
    made = ask.made(printer.account, application_id=first)
    assert (made.finished, made.files) == (False, ())
    with pytest.raises(PlatformRefused):
        ask.download(printer.account, application_id=first, stretch=Stretch(0, 4999))
    printer.sandbox.advance(61)
    assert ask.made(printer.account, application_id=first).files == (Stretch(0, 4999), Stretch(5000, 9999))


@pytest.mark.parametrize("codes", [0, 9_999, 15_000, 20_010_000])
def test_an_order_has_a_multiple_of_ten_thousand_codes(printer: Printer, codes: int) -> None:
    with pytest.raises(PlatformRefused):
        printer.gateway.apply(printer.account, order_no="odd", codes=codes)


@pytest.mark.parametrize("columns", [["index", "code", "url"], ["url", "code"], ["code", "index", "url"]])
def test_files_are_decrypted_and_no_code_comes_twice(printer: Printer, columns: list[str]) -> None:
    printer.sandbox.grant_market(printer.account.appid, KEY, columns=columns)
    application_id = printer.order()
    made = [
        *printer.file(application_id, Stretch(0, 4999)),
        *printer.file(application_id, Stretch(5000, 9999)),
    ]
    assert len({code for code, _ in made}) == CODES
    with pytest.raises(PlatformRefused):
        printer.file(application_id, Stretch(1, 4999))
    sealed = printer.gateway.download(
        printer.account, application_id=application_id, stretch=Stretch(0, 4999)
    )
    for broken, key in ((sealed[:-16], KEY), (sealed[:-1], KEY), (sealed, KEY[::-1])):
        with pytest.raises(InvalidMarketFile):
            read_codes(unseal(broken, key=key), first=0, codes=5000)


def test_a_code_works_once_activated_and_its_ticket_once(printer: Printer) -> None:
    application_id = printer.order()
    link = printer.file(application_id, Stretch(0, 4999))[17]
    shopper, other = printer.sandbox.shopper(), printer.sandbox.shopper()
    mine, theirs = (person["openids"][printer.app.appid] for person in (shopper, other))
    with pytest.raises(SandboxRefusedError, match="not_active"):
        printer.sandbox.market_scan(shopper["id"], link.link)
    with pytest.raises(PlatformRefused):
        printer.gateway.active(printer.account, application_id=application_id, index=17)
    printer.activate(application_id, 10, 19)
    known = printer.gateway.active(printer.account, application_id=application_id, index=17)
    assert (known.code, known.application_id) == (link.code, application_id)
    assert (known.stretch, known.opening) == (Stretch(10, 19), printer.opening)
    opened = printer.sandbox.market_scan(shopper["id"], link.link)
    assert (opened["appid"], opened["path"], opened["scene"]) == (
        printer.app.appid,
        "pages/index/index",
        1124,
    )
    ticket = opened["code_ticket"]
    with pytest.raises(InvalidTicket):
        printer.redeem(ticket, theirs)
    assert printer.redeem(ticket, mine) == link.code
    for wrong in (ticket, "made-up"):
        with pytest.raises(InvalidTicket):
            printer.redeem(wrong, mine)
    late = printer.sandbox.market_scan(shopper["id"], link.link)["code_ticket"]
    printer.sandbox.advance(301)
    with pytest.raises(InvalidTicket):
        printer.redeem(late, mine)


def test_an_activation_may_be_said_again_but_not_otherwise(printer: Printer) -> None:
    application_id = printer.order()
    printer.activate(application_id, 0, 99)
    printer.activate(application_id, 0, 99)
    for first, last in ((0, 98), (99, 150), (50, 60)):
        with pytest.raises(PlatformRefused):
            printer.activate(application_id, first, last)
    for wrong in (
        replace(printer.opening, path="pages/nowhere"),
        replace(printer.opening, appid="wxnobody"),
        replace(printer.opening, product_code="not an EAN"),
        replace(printer.opening, page_type=3),
    ):
        with pytest.raises(PlatformRefused):
            printer.activate(application_id, 200, 299, wrong)
    with pytest.raises(PlatformRefused):
        printer.activate(application_id, 9_990, 10_000)


def test_codes_and_tickets_belong_to_one_account(printer: Printer, sqlite_db: Database) -> None:
    application_id = printer.order()
    printer.activate(application_id, 0, 9)
    stranger = AppCredentials(f"wx{secrets.token_hex(8)}", "secret")
    printer.sandbox.create_app(stranger.appid, stranger.secret, kind="service")
    with pytest.raises(PlatformRefused):
        printer.gateway.apply(stranger, order_no="order-1", codes=CODES)
    printer.sandbox.grant_market(stranger.appid, KEY)
    with pytest.raises(PlatformRefused):
        printer.gateway.made(stranger, application_id=application_id)
    shopper = printer.sandbox.shopper()
    link = printer.file(application_id, Stretch(0, 4999))[0].link
    ticket = printer.sandbox.market_scan(shopper["id"], link)["code_ticket"]
    with pytest.raises(InvalidTicket):
        printer.gateway.redeem(stranger, openid=shopper["openids"][printer.app.appid], ticket=ticket)


@pytest.mark.parametrize(
    ("kind", "error"), [("-1", PlatformBusy), ("html_502", PlatformBusy), ("45009", TooFrequent)]
)
def test_what_may_pass_is_told_from_what_may_not_and_nothing_is_repeated(
    printer: Printer, kind: str, error: type[Exception]
) -> None:
    printer.gateway.apply(printer.account, order_no="order-0", codes=CODES)
    printer.sandbox.fault("/intp/marketcode/*", kind, times=1)
    with pytest.raises(error):
        printer.gateway.apply(printer.account, order_no="order-1", codes=CODES)
    printer.gateway.apply(printer.account, order_no="order-1", codes=CODES)


def test_settings_are_never_blamed_on_the_shopper(printer: Printer) -> None:
    wrong = replace(printer.account, secret="wrong")
    with pytest.raises(PlatformRefused):
        printer.gateway.redeem(wrong, openid="o", ticket="t")
    with pytest.raises(PlatformRefused):
        printer.gateway.redeem(printer.app, openid="o", ticket="t")


@pytest.fixture
def liar() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"errcode": 0, "application_id": "7", "buffer": 7, "status": "FINISH", "code_generate_list": 7}',
        b'{"application_id": true, "buffer": "***", "status": "FINISH", "code_generate_list": [7]}',
        (
            b'{"application_id": -1, "buffer": "", "status": "FINISH",'
            b' "code_generate_list": [{"code_start": 9, "code_end": 8}]}'
        ),
        b"[]",
        b"<html>",
    ],
)
def test_nonsense_is_never_taken_for_an_answer(
    liar: LoopbackServer, sqlite_db: Database, answer: bytes
) -> None:
    gateway, account = _gateway(liar.url, sqlite_db), AppCredentials("wxliar", "secret")
    token = b'{"access_token": "t", "expires_in": 7200}'
    asked_for_token = "/cgi-bin/stable_token"
    liar.answer = lambda handler, seen: send(
        handler, 200, token if seen.target.startswith(asked_for_token) else answer, {}
    )
    with pytest.raises(PlatformBusy):
        gateway.apply(account, order_no="o", codes=CODES)
    with pytest.raises(PlatformBusy):
        gateway.download(account, application_id=1, stretch=Stretch(0, 1))
    with pytest.raises(PlatformBusy):
        gateway.redeem(account, openid="o", ticket="t")


def test_without_a_platform_everything_is_refused() -> None:
    gateway: MarketGateway = NullMarketCodes()
    account, stretch = AppCredentials("wx", "s"), Stretch(0, 1)
    opening = Opening("a", "b", "c", "1", "wx", "p")
    for call in (
        lambda: gateway.apply(account, order_no="o", codes=CODES),
        lambda: gateway.made(account, application_id=1),
        lambda: gateway.download(account, application_id=1, stretch=stretch),
        lambda: gateway.activate(account, application_id=1, stretch=stretch, opening=opening),
        lambda: gateway.active(account, application_id=1, index=0),
        lambda: gateway.redeem(account, openid="o", ticket="t"),
    ):
        with pytest.raises(PlatformRefused):
            call()
