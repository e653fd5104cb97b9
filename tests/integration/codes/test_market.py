"""Codes that WeChat makes: taken in whole or not at all, opened by range, found by tickets only."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.catalogue.operations import create_product
from app.codes import market, market_handlers
from app.codes.book import CodeBook
from app.codes.errors import (
    ForeignBatch,
    InvalidMarketOrder,
    InvalidTicket,
    NotACode,
    RangeTaken,
    UnknownMarketOrder,
)
from app.codes.format import CodeKeys
from app.codes.interfaces import ActiveCode, MadeCodes, Opening, Stretch
from app.codes.links import CodeLink
from app.codes.market_handlers import ActivateCodes, LoadFiles, OrderCodes
from app.codes.market_list import MadeCode
from app.codes.models import (
    ActivationState,
    ForeignCode,
    MarketAccount,
    MarketOrder,
    MarketTicket,
    OrderState,
)
from app.codes.operations import record_scan
from app.codes.outcome import Placement, ScanOutcome
from app.codes.queries import print_pack
from app.db.engine import Database
from app.identity.interfaces import AppCredentials, PlatformBusy, PlatformRefused
from app.identity.queries import Cluster
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.organisation.models import App, AppKind
from app.organisation.operations import create_brand, register_app
from app.outbox.drain import Drainer
from app.outbox.models import MessageState, OutboxMessage
from app.outbox.registry import Registry

KEY = "Kf3-0kq9sVzP_x1Y"
OLGA = Actor(ActorKind.OPERATOR, "olga")
# A tenth of WeChat's smallest order and of our portions; tests/functional/test_marketcode.py takes the whole.
CODES = 1_000
FILE = 500
PORTION = 100
OPENING = Opening("扫码有奖", "山泉", "绿茶", "6901234567892", "wxmini0001", "pages/index/index")
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass
class WeChat:
    """WeChat's side, in this process; `faults` are raised one after the other, before anything happens."""

    finished: bool = True
    files: tuple[Stretch, ...] = (Stretch(FILE, CODES - 1), Stretch(0, FILE - 1))
    orders: dict[str, int] = field(default_factory=dict)
    opened: list[tuple[Stretch, Opening]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    answers_lost: int = 0
    spoil: Callable[[bytes], bytes] = field(default=lambda sealed: sealed)
    codes: list[MadeCode] = field(default_factory=lambda: list(make_codes(5)), repr=False)

    def apply(self, account: AppCredentials, *, order_no: str, codes: int) -> int:
        self._begin("apply")
        number = self.orders.setdefault(order_no, 10**15 + len(self.orders))
        self._lose()
        return number

    def made(self, account: AppCredentials, *, application_id: int) -> MadeCodes:
        self._begin("made")
        return MadeCodes(finished=self.finished, files=self.files if self.finished else ())

    def download(self, account: AppCredentials, *, application_id: int, stretch: Stretch) -> bytes:
        self._begin("download")
        wanted = self.codes[stretch.first : stretch.last + 1]
        lines = [f"{index}\t{made.code}\t{made.link}\n" for index, made in enumerate(wanted, stretch.first)]
        text = "".join(lines).encode()
        padding = 16 - len(text) % 16
        encryptor = Cipher(algorithms.AES(KEY.encode()), modes.CBC(KEY.encode())).encryptor()
        return self.spoil(encryptor.update(text + bytes([padding]) * padding) + encryptor.finalize())

    def activate(
        self, account: AppCredentials, *, application_id: int, stretch: Stretch, opening: Opening
    ) -> None:
        self._begin("activate")
        self.opened.append((stretch, opening))
        self._lose()

    def active(self, account: AppCredentials, *, application_id: int, index: int) -> ActiveCode:
        self.calls.append("active")
        for stretch, opening in self.opened:
            if stretch.first <= index <= stretch.last:
                return ActiveCode(self.codes[index].code, application_id, stretch, opening)
        raise PlatformRefused("not active", errcode=40097)

    def redeem(self, account: AppCredentials, *, openid: str, ticket: str) -> ActiveCode:
        raise AssertionError("nothing here redeems")

    def _begin(self, call: str) -> None:
        self.calls.append(call)
        if self.faults:
            raise self.faults.pop(0)

    def _lose(self) -> None:
        if self.answers_lost:
            self.answers_lost -= 1
            raise PlatformBusy("timeout")


@cache
def make_codes(seed: int) -> list[MadeCode]:
    """Return what WeChat made for an order; the same each time, and nobody may change it."""
    chance = random.Random(seed)
    codes = ["".join(chance.choices(LETTERS, k=9)) for _ in range(CODES)]
    return [MadeCode(code, "P.URL.CN/" + "".join(chance.choices(LETTERS, k=10)) + code) for code in codes]


@dataclass
class Desk:
    """A brand that orders codes of WeChat."""

    db: Database
    clock: ManualClock
    wechat: WeChat
    book: CodeBook
    product_id: int
    account_id: int
    app_id: int
    drainer: Drainer

    def do(self, work, **more):  # type: ignore[no-untyped-def]
        return self.db.transact(lambda session: work(session, **more))

    def order(self, codes: int = CODES) -> int:
        return self.do(
            market.order,
            account_id=self.account_id,
            product_id=self.product_id,
            lot="L-1",
            codes=codes,
            placement=Placement.UNDER_CAP,
            actor=OLGA,
            now=self.clock.now(),
        )[0]

    def work(self, minutes: int = 3) -> None:
        """Let the outbox do what is due in the next minutes."""
        for _ in range(minutes):
            self.drainer.until_idle(seconds=20)
            self.clock.advance(timedelta(minutes=1))

    def loaded(self) -> int:
        batch_id = self.order()
        self.work()
        assert self.view(batch_id).state is OrderState.LOADED
        return batch_id

    def view(self, batch_id: int) -> market.OrderView:
        return self.do(market.order_of, batch_id=batch_id)

    def activate(self, batch_id: int, first: int, last: int, opening: Opening = OPENING) -> None:
        self.do(
            market.activate_at_wechat,
            batch_id=batch_id,
            stretch=Stretch(first, last),
            opening=opening,
            actor=OLGA,
            now=self.clock.now(),
        )

    def states(self, batch_id: int) -> list[tuple[int, ActivationState]]:
        listed = self.do(market.activations, batch_id=batch_id)
        return [(found.stretch.first, found.state) for found in listed]

    def parked(self) -> list[str]:
        parked = select(OutboxMessage.topic).where(OutboxMessage.state == MessageState.PARKED)
        return self.do(lambda session: list(session.scalars(parked)))

    def place(self, index: int, batch_id: int, account_id: int | None = None, application: int | None = None):  # type: ignore[no-untyped-def]
        number = self.view(batch_id).application_id if application is None else application
        assert number is not None
        active = ActiveCode(self.wechat.codes[index].code, number, Stretch(0, 9), OPENING)
        return self.do(market.place, book=self.book, account_id=account_id or self.account_id, active=active)

    def scan(self, text, person: int = 1):  # type: ignore[no-untyped-def]
        return self.do(
            record_scan,
            book=self.book,
            text=text,
            person_id=person,
            cluster=Cluster(person, (person,)),
            now=self.clock.now(),
        )

    def count(self, model: type) -> int:
        return self.do(lambda session: session.execute(select(func.count()).select_from(model)).scalar_one())


@pytest.fixture
def _small_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "SMALLEST", CODES)
    monkeypatch.setattr(market, "STEP", CODES)
    monkeypatch.setattr(market_handlers, "_PORTION", PORTION)


@pytest.fixture(params=["clean_db", "sqlite_db"])
def desk(
    request: pytest.FixtureRequest, clock: ManualClock, keyring: object, _small_orders: None
) -> Iterator[Desk]:
    db: Database = request.getfixturevalue(request.param)
    wechat, registry, now = WeChat(), Registry(), clock.now()
    registry.add(effects=[OrderCodes(wechat), LoadFiles(wechat), ActivateCodes(wechat)])

    def build(session: Session) -> tuple[int, int, int]:
        brand = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=now)
        product = create_product(
            session, brand_id=brand, sku="T", line="t", name_zh="绿茶", name_en="Tea", now=now
        )
        app = register_app(session, appid=OPENING.appid, secret="s", now=now)
        register_app(session, appid="wxservice1", secret="s", kind=AppKind.SERVICE, now=now)
        market.save_account(session, app_id=app, appid="wxservice1", file_key=KEY, now=now)
        return product, market.account_by_appid(session, appid="wxservice1").id, app

    product_id, account_id, app_id = db.transact(build)
    book = CodeBook(CodeKeys(b"c" * 32), CodeLink("https://codes.example.com/q/"))
    drainer = Drainer(db, registry, clock, worker="test")
    yield Desk(db, clock, wechat, book, product_id, account_id, app_id, drainer)
    drainer.close()


def test_an_order_is_placed_made_and_taken_in(desk: Desk) -> None:
    desk.wechat.finished = False
    batch_id = desk.order()
    desk.work()
    assert desk.view(batch_id).state is OrderState.MAKING
    assert desk.wechat.calls.count("apply") == 1
    desk.wechat.finished = True
    desk.work()
    found = desk.view(batch_id)
    assert (found.state, found.files, found.loaded, found.fault) == (OrderState.LOADED, 2, 2, None)
    assert desk.count(ForeignCode) == CODES
    files = desk.do(market.files_of, batch_id=batch_id)
    assert [file.stretch for file in files] == [Stretch(0, FILE - 1), Stretch(FILE, CODES - 1)]
    for index in (0, FILE - 1, FILE, CODES - 1):
        parsed = desk.place(index, batch_id)
        assert (parsed.batch_id, parsed.code_index) == (batch_id, index)
    with pytest.raises(ForeignBatch):
        desk.do(print_pack, book=desk.book, batch_id=batch_id, now=desk.clock.now())


def test_a_lost_answer_orders_nothing_twice(desk: Desk) -> None:
    desk.wechat.answers_lost = 2
    batch_id = desk.order()
    desk.work(6)
    assert desk.view(batch_id).state is OrderState.LOADED
    assert desk.wechat.calls.count("apply") == 3
    assert len(desk.wechat.orders) == 1


def test_a_day_without_codes_is_told(desk: Desk) -> None:
    desk.wechat.finished = False
    desk.order()
    desk.work()
    desk.clock.advance(timedelta(hours=25))
    desk.work(1)
    assert [it.kind for it in desk.do(open_alerts, limit=9)] == ["codes.market_late"]
    desk.wechat.finished = True
    desk.work()
    assert desk.do(open_alerts, limit=9) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sealed: sealed[:-16],
        lambda sealed: sealed[:-5],
        lambda sealed: sealed[16:],
        lambda _sealed: b"",
        lambda sealed: bytes([sealed[0] ^ 1]) + sealed[1:],
    ],
    ids=["a block short", "bytes short", "without its head", "empty", "a bit flipped"],
)
def test_a_spoilt_file_is_not_taken_in_until_it_is_whole(desk: Desk, spoil: Callable[[bytes], bytes]) -> None:
    desk.wechat.spoil = spoil
    batch_id = desk.order()
    desk.work()
    found = desk.view(batch_id)
    assert (found.state, found.files, found.loaded) == (OrderState.LOADING, 2, 0)
    assert found.fault
    assert desk.count(ForeignCode) == 0
    with pytest.raises(InvalidMarketOrder):
        desk.activate(batch_id, 0, 9)
    desk.wechat.spoil = lambda sealed: sealed
    desk.work(10)
    assert desk.view(batch_id).state is OrderState.LOADED
    assert desk.view(batch_id).fault is None


@pytest.mark.parametrize(
    "files",
    [
        (),
        (Stretch(0, CODES - 2),),
        (Stretch(1, CODES - 1),),
        (Stretch(0, FILE), Stretch(FILE, CODES - 1)),
        (Stretch(0, FILE - 1), Stretch(FILE + 1, CODES - 1)),
        (Stretch(0, CODES),),
    ],
)
def test_files_that_are_not_the_order_stop_it(desk: Desk, files: tuple[Stretch, ...]) -> None:
    desk.wechat.files = files
    batch_id = desk.order()
    desk.work()
    assert desk.parked() == [market.ORDER_TOPIC]
    assert "not the codes that were ordered" in (desk.view(batch_id).fault or "")
    assert desk.count(ForeignCode) == 0


def test_codes_of_an_earlier_order_are_not_taken_in_again(desk: Desk) -> None:
    first = desk.loaded()
    second = desk.order()
    desk.work()
    assert desk.view(second).loaded == 0
    assert desk.parked() == [market.FILE_TOPIC] * 2
    assert "taken in before" in (desk.view(second).fault or "")
    assert desk.place(7, first).batch_id == first
    with pytest.raises(NotACode):
        desk.place(7, second)


def test_what_wechat_refuses_waits_for_a_person(desk: Desk) -> None:
    desk.wechat.faults = [PlatformRefused("WeChat refused applycode", errcode=48001)]
    batch_id = desk.order()
    desk.work()
    assert desk.parked() == [market.ORDER_TOPIC]
    assert desk.view(batch_id).fault == "WeChat refused applycode (errcode 48001)"


@pytest.mark.parametrize("codes", [0, 9_999, 15_000, 20_010_000])
def test_an_order_is_a_multiple_of_ten_thousand(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, codes: int
) -> None:
    monkeypatch.undo()  # WeChat's own sizes again
    with pytest.raises(InvalidMarketOrder):
        desk.order(codes)


def test_a_range_opens_at_wechat_and_then_with_us(desk: Desk) -> None:
    batch_id = desk.loaded()
    assert desk.scan(desk.place(5, batch_id)).outcome is ScanOutcome.INACTIVE
    desk.activate(batch_id, 0, 99)
    assert desk.scan(desk.place(5, batch_id)).outcome is ScanOutcome.INACTIVE, "WeChat has not agreed"
    desk.work(1)
    assert desk.wechat.opened == [(Stretch(0, 99), OPENING)]
    assert desk.states(batch_id) == [(0, ActivationState.ACTIVE)]
    assert desk.scan(desk.place(5, batch_id)).outcome is ScanOutcome.OK
    assert desk.scan(desk.place(100, batch_id)).outcome is ScanOutcome.INACTIVE


def test_ranges_never_overlap_unless_one_was_refused(desk: Desk) -> None:
    batch_id = desk.loaded()
    desk.wechat.faults = [PlatformRefused("WeChat refused codeactive", errcode=40097)]
    desk.activate(batch_id, 100, 199)
    for first, last in ((100, 199), (0, 100), (199, 300), (150, 160), (50, 250)):
        with pytest.raises(RangeTaken):
            desk.activate(batch_id, first, last)
    desk.work(1)
    assert desk.states(batch_id) == [(100, ActivationState.REFUSED)]
    assert [it.kind for it in desk.do(open_alerts, limit=9)] == ["codes.market_refused"]
    assert desk.scan(desk.place(150, batch_id)).outcome is ScanOutcome.INACTIVE
    desk.activate(batch_id, 100, 150)
    desk.activate(batch_id, 151, 199)
    desk.work(1)
    assert [state for _, state in desk.states(batch_id)].count(ActivationState.ACTIVE) == 2
    assert desk.do(open_alerts, limit=9) == []


def test_an_activation_whose_answer_was_lost_is_asked_about_and_not_repeated(desk: Desk) -> None:
    batch_id = desk.loaded()
    desk.wechat.answers_lost = 1
    desk.activate(batch_id, 0, 9)
    desk.work()
    assert desk.states(batch_id) == [(0, ActivationState.ACTIVE)]
    assert desk.wechat.calls.count("activate") == 1
    assert desk.wechat.calls.count("active") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"appid": "wxother"},
        {"activity_name": ""},
        {"product_title": "x" * 65},
        {"product_brand": "a\nb"},
        {"product_code": "12"},
        {"path": "/pages/index"},
        {"path": "pages index"},
        {"page_type": 3},
    ],
)
def test_an_opening_is_checked_before_wechat_is_asked(desk: Desk, wrong: dict[str, object]) -> None:
    batch_id = desk.loaded()
    with pytest.raises(InvalidMarketOrder):
        desk.activate(batch_id, 0, 9, replace(OPENING, **wrong))  # type: ignore[arg-type]
    for first, last in ((-1, 5), (6, 5), (0, CODES)):
        with pytest.raises(InvalidMarketOrder):
            desk.activate(batch_id, first, last)
    with pytest.raises(UnknownMarketOrder):
        desk.do(market.activations, batch_id=batch_id + 1)


def test_a_code_is_found_by_what_wechat_says_and_by_nothing_else(desk: Desk) -> None:
    batch_id = desk.loaded()
    made = desk.wechat.codes[3]
    for text in (made.code, made.link, f"https://{made.link}", made.link.lower()):
        with pytest.raises(NotACode):
            desk.scan(text)
    number = desk.view(batch_id).application_id
    assert number is not None
    with pytest.raises(NotACode):
        desk.place(3, batch_id, application=number + 1)
    with pytest.raises(NotACode):
        desk.place(3, batch_id, account_id=desk.account_id + 1)
    unknown = ActiveCode("000000000", number, Stretch(0, 9), OPENING)
    with pytest.raises(NotACode):
        desk.do(market.place, book=desk.book, account_id=desk.account_id, active=unknown)


def test_a_ticket_is_one_persons_and_is_forgotten_after_a_day(desk: Desk) -> None:
    parsed = desk.place(3, desk.loaded())
    now = desk.clock.now()

    def recall(*persons: int):  # type: ignore[no-untyped-def]
        return desk.do(market.recall_ticket, book=desk.book, ticket="t-1", person_ids=persons)

    def keep(person: int) -> None:
        desk.do(
            market.keep_ticket, ticket="t-1", person_id=person, person_ids=[person], parsed=parsed, now=now
        )

    assert recall(1) is None
    keep(1)
    keep(1)
    assert recall(1) == recall(2, 1) == parsed
    with pytest.raises(InvalidTicket):
        recall(2)
    with pytest.raises(InvalidTicket):
        keep(2)
    assert desk.count(MarketTicket) == 1
    assert desk.do(market.purge_tickets, now=now + timedelta(hours=23)) == 0
    assert desk.do(market.purge_tickets, now=now + timedelta(hours=25)) == 1


def test_an_account_opens_one_mini_program(desk: Desk) -> None:
    now = desk.clock.now()
    other = desk.do(register_app, appid="wxmini0002", secret="s", now=now)
    desk.do(register_app, appid="wxservice2", secret="s", kind=AppKind.SERVICE, now=now)

    def save(**changes: object) -> None:
        said = {"app_id": desk.app_id, "appid": "wxservice1", "file_key": KEY[::-1], "now": now}
        desk.do(market.save_account, **{**said, **changes})

    save()
    save(file_key=None)
    (found,) = desk.do(market.accounts)
    assert (found.file_key, found.opens) == (KEY[::-1], OPENING.appid)
    assert KEY[::-1] not in repr(found)
    for wrong in (
        {"app_id": other},
        {"appid": "wxservice2"},
        {"appid": "wxservice2", "app_id": other, "file_key": None},
        {"file_key": "short"},
        {"file_key": "中" * 16},
        {"appid": "wxservice3"},
        # Only a service account orders codes.
        {"appid": "wxmini0002"},
    ):
        with pytest.raises(InvalidMarketOrder):
            save(**wrong)


def test_the_secret_of_an_account_is_that_of_the_app(desk: Desk) -> None:
    """One secret in one place: who renews the app's has renewed what codes are ordered with."""
    now = desk.clock.now()
    kinds = {"appid": "wxservice1", "kind": AppKind.SERVICE, "now": now}

    def secret() -> tuple[str, bool]:
        (found,) = desk.do(market.accounts)
        return found.secret, found.copy_differs

    def copy(session: Session) -> None:
        session.scalars(select(MarketAccount)).one().secret = "of its own"

    def become(session: Session, kind: AppKind) -> None:
        session.execute(update(App).where(App.appid == "wxservice1").values(kind=kind))

    assert secret() == ("s", False)
    desk.do(register_app, secret="renewed", **kinds)
    assert secret() == ("renewed", True)
    # An account of before the two were one: what it kept counts until its app is registered.
    desk.do(copy)
    assert secret() == ("renewed", True)
    desk.do(become, kind=AppKind.MINIPROGRAM)
    assert secret() == ("of its own", True)
    desk.do(become, kind=AppKind.SERVICE)
    assert secret() == ("renewed", True)
    desk.do(market.save_account, app_id=desk.app_id, appid="wxservice1", now=now)
    assert secret() == ("renewed", False)


def test_the_previous_release_finds_the_secret_where_it_reads_it(desk: Desk) -> None:
    """During a rolling restart, and after a way back: it knows the account's own column alone."""
    now = desk.clock.now()

    def read() -> str | None:
        return desk.do(lambda session: session.scalars(select(MarketAccount.secret)).one())

    assert read() == "s"
    desk.do(register_app, appid="wxservice1", kind=AppKind.SERVICE, secret="renewed", now=now)
    desk.do(market.save_account, app_id=desk.app_id, appid="wxservice1", now=now)
    assert read() == "renewed"


def test_no_code_is_kept_in_clear(desk: Desk, tmp_path: Path) -> None:
    batch_id = desk.loaded()
    desk.activate(batch_id, 0, 9)
    desk.work(1)
    digests = desk.do(lambda session: session.scalars(select(ForeignCode.digest)).all())
    assert all(len(digest) == 32 for digest in digests)
    numbers = desk.do(lambda session: session.scalars(select(MarketOrder.order_no)).all())
    assert numbers == list(desk.wechat.orders)
    if desk.db.engine.dialect.name == "sqlite":
        kept = Path(str(desk.db.engine.url.database)).read_bytes()
        assert not any(made.code.encode() in kept for made in desk.wechat.codes[::50])
        assert KEY.encode() not in kept
