"""Codes that WeChat makes, from the order to the prize: the operator's commands, the shopper's phone."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.codes.models import CodeClaim, MarketAccount, MarketOrder, Scan
from app.organisation.models import AppKind
from app.organisation.operations import register_app
from app.outbox.models import OutboxMessage
from tests.support.operators import shop_shell
from tests.support.sandbox import SandboxRefusedError
from tests.support.shop import APPID, Shop, Shopper

KEY = "Kf3-0kq9sVzP_x1Y"
_numbers = itertools.count(1)


@dataclass
class Press:
    """An operator at the shell, with a service account that may order codes."""

    shop: Shop
    call: Callable[..., Result]
    account: str
    folder: Path

    def run(self, *arguments: str, ok: bool = True, group: str = "marketcode") -> str:
        return str(self.call(group, *arguments, ok=ok).output)

    def order(self) -> str:
        """Order 10,000 codes and wait until they are here; return the batch."""
        said = self.run(
            "order",
            "tea",
            "T-330",
            "--account",
            self.account,
            "--lot",
            "L-9",
            "--codes",
            "10000",
            "--under-cap",
        )
        assert "making" in said
        batch = said.split()[1].rstrip(":")
        self.shop.sandbox.advance(61)
        self.hurry()
        return batch

    def hurry(self) -> None:
        """Let happen now what is due in a few minutes."""
        early = update(OutboxMessage).values(due_at=self.shop.container.clock.now() - timedelta(days=1))
        self.shop.container.db.transact(lambda session: session.execute(early))
        self.shop.drain()

    def activate(self, batch: str, first: int, last: int, *, ok: bool = True) -> str:
        words = (
            "--activity",
            "扫码有奖",
            "--brand-name",
            "山泉",
            "--title",
            "绿茶",
            "--ean",
            "6901234567892",
        )
        bounds = ("--first", str(first), "--last", str(last))
        return self.run("activate", batch, *bounds, *words, "--page", "pages/index/index", ok=ok)

    def links(self, batch: str) -> list[str]:
        """The links as the printer gets them."""
        self.run("print", batch, "--into", str(self.folder))
        files = sorted(self.folder.glob(f"wechat-{batch}-*.csv"))
        return [line.split(",", 2)[2] for file in files for line in file.read_text().splitlines()[1:]]

    def ticket(self, shopper: Shopper, link: str) -> str:
        return str(self.shop.sandbox.market_scan(shopper.id, link)["code_ticket"])


@pytest.fixture(params=["shop", "embedded_shop"])
def press(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Press:
    shop: Shop = request.getfixturevalue(request.param)
    account = f"wxservice{next(_numbers):04d}"
    shop.sandbox.create_app(account, "service-secret", kind="service")
    shop.sandbox.grant_market(account, KEY)
    made = Press(shop, shop_shell(shop, tmp_path, monkeypatch), account, tmp_path / "printer")
    monkeypatch.setenv("SERVICE_SECRET", "service-secret")
    monkeypatch.setenv("FILE_KEY", KEY)
    made.run("add", account, "--kind", "service", "--secret-env", "SERVICE_SECRET", group="apps")
    made.run("account", account, "--opens", APPID, "--key-env", "FILE_KEY")
    return made


def test_codes_open_mini_programs_alone(press: Press) -> None:
    shop = press.shop
    now = shop.container.clock.now()
    shop.container.db.transact(
        lambda session: register_app(session, appid="wxchat", secret="s", kind=AppKind.SERVICE, now=now)
    )
    keys = ("--key-env", "FILE_KEY")
    assert "of this kind" in press.run("account", press.account, "--opens", "wxchat", *keys, ok=False)


def test_a_copy_that_is_not_the_apps_secret_is_told_and_renewed(press: Press) -> None:
    """Somebody has renewed the app's secret; the doctor says how the previous release gets it, too."""

    def keep(session: Session) -> None:
        account = session.scalars(select(MarketAccount).where(MarketAccount.appid == press.account)).one()
        account.secret = "of before"

    press.shop.container.db.transact(keep)
    told = str(press.call("doctor", ok=False).output)
    assert f"codes of {press.account}" in told
    said = f"`saoma marketcode account {press.account} --opens {APPID}`"
    assert said in told
    press.run("account", press.account, "--opens", APPID)
    assert "everything is in place" in str(press.call("doctor").output)
    assert press.order()


def _refused(shopper: Shopper, body: dict[str, str]) -> str:
    answer = shopper.call("POST", "/scans", body)
    assert answer.status_code >= 400
    return str(answer.json()["code"])


def test_from_the_order_to_the_prize(press: Press) -> None:
    batch = press.order()
    (row,) = json.loads(press.run("status", "--json"))
    assert (row["state"], row["files"], row["fault"]) == ("loaded", "2 of 2", None)
    links = press.links(batch)
    assert len(set(links)) == 10_000
    mei, lei = press.shop.shopper().member(), press.shop.shopper().member()
    with pytest.raises(SandboxRefusedError, match="not_active"):
        press.ticket(mei, links[3])
    assert press.activate(batch, 0, 99).strip() == "active"

    ticket = press.ticket(mei, links[3])
    scanned = mei.ok("POST", "/scans", {"code_ticket": ticket})
    assert (scanned["scan"]["outcome"], scanned["scan"]["earlier_scans"], scanned["next"]) == (
        "ok",
        0,
        "draw",
    )
    # The answer was lost: the client asks again, with the ticket that WeChat takes only once.
    assert mei.ok("POST", "/scans", {"code_ticket": ticket})["scan"]["outcome"] == "ok"
    assert _refused(lei, {"code_ticket": ticket}) == "invalid_ticket"
    award = mei.draw(scanned)["award"]
    assert award["amount_fen"] == 100
    mei.collect(award)
    again = lei.ok("POST", "/scans", {"code_ticket": press.ticket(lei, links[3])})
    assert (again["scan"]["outcome"], again["next"]) == ("drawn_by_another", "none")
    for text in (links[3], links[4], links[4][-9:]):
        assert _refused(lei, {"code": text}) == "not_a_code"
    assert press.shop.faults_of_the_books() == []


def test_a_repeated_scan_under_a_key_asks_wechat_once(press: Press) -> None:
    batch = press.order()
    link = press.links(batch)[0]
    press.activate(batch, 0, 9)
    mei = press.shop.shopper().member()
    body, key = {"code_ticket": press.ticket(mei, link)}, mei.new_key()
    first = mei.call("POST", "/scans", body, key=key)
    again = mei.call("POST", "/scans", body, key=key)
    assert (first.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    with press.shop.container.db.read() as session:
        assert session.execute(select(func.count()).select_from(Scan)).scalar_one() == 1
        assert session.execute(select(func.count()).select_from(CodeClaim)).scalar_one() == 0


def test_bad_tickets_are_refused_and_leave_no_trace(press: Press) -> None:
    batch = press.order()
    links = press.links(batch)
    press.activate(batch, 0, 9)
    mei, lei = press.shop.shopper().member(), press.shop.shopper().member()
    assert _refused(mei, {"code_ticket": "made-up"}) == "invalid_ticket"
    assert _refused(lei, {"code_ticket": press.ticket(mei, links[0])}) == "invalid_ticket"
    late = press.ticket(mei, links[0])
    press.shop.sandbox.advance(301)
    assert _refused(mei, {"code_ticket": late}) == "invalid_ticket"
    assert _refused(mei, {"code_ticket": "x", "code": "y"}) == "invalid_input"
    assert _refused(mei, {"code_ticket": "x" * 5000}) == "invalid_input"
    press.shop.sandbox.fault("/intp/marketcode/tickettocode", "html_502", times=1)
    ticket = press.ticket(mei, links[1])
    assert _refused(mei, {"code_ticket": ticket}) == "platform_busy"
    assert mei.ok("POST", "/scans", {"code_ticket": ticket})["scan"]["outcome"] == "ok"
    with press.shop.container.db.read() as session:
        assert session.execute(select(func.count()).select_from(Scan)).scalar_one() == 1


def test_a_code_of_an_order_that_is_not_ours_is_no_code(press: Press) -> None:
    """Somebody else works with the same service account: what they ordered is none of ours."""
    batch = press.order()
    links = press.links(batch)
    press.activate(batch, 0, 9)
    mei = press.shop.shopper().member()
    ticket = press.ticket(mei, links[5])
    other = update(MarketOrder).values(application_id=MarketOrder.application_id + 1)
    press.shop.container.db.transact(lambda session: session.execute(other))
    assert _refused(mei, {"code_ticket": ticket}) == "not_a_code"


def test_the_shell_says_in_one_line_what_is_wrong(press: Press) -> None:
    said = press.run(
        "order", "tea", "T-330", "--account", press.account, "--lot", "L", "--codes", "15000", ok=False
    )
    assert "invalid_market_order" in said
    batch = press.order()
    press.activate(batch, 0, 99)
    assert "range_taken" in press.activate(batch, 99, 120, ok=False)
    assert "invalid_market_order" in press.activate(batch, 0, 10_000, ok=False)
    assert "unknown_market_order" in press.activate("1", 0, 9, ok=False)
    assert "unknown_market_order" in press.run("print", "1", "--into", str(press.folder), ok=False)
    (row,) = json.loads(press.run("activations", batch, "--json"))
    assert (row["first"], row["last"], row["state"]) == (0, 99, "active")


def test_printing_goes_on_where_it_stopped_and_notices_other_codes(press: Press) -> None:
    batch = press.order()
    links = press.links(batch)
    first, second = sorted(press.folder.glob("*.csv"))
    assert first.stat().st_mode & 0o077 == 0
    kept = second.read_bytes()
    second.unlink()
    assert press.links(batch) == links
    assert second.read_bytes() == kept
    second.unlink()
    press.shop.sandbox.grant_market(press.account, KEY, columns=["url", "code"])
    said = press.run("print", batch, "--into", str(press.folder), ok=False)
    assert "not those that were taken in" in said
    assert not second.exists()
