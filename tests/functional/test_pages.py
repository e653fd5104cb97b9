"""Who scans without WeChat learns whether the bottle is genuine, and leaves no trace."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from app.codes import operations as codes
from app.codes.format import ALPHABET
from app.codes.models import Scan
from app.db.engine import Database
from app.http.access import rule_of
from app.identity.models import Person
from app.members.models import PlacementKind
from app.members.operations import close_placement, create_placement
from tests.support.sandbox import MerchantAccount, SandboxProcess
from tests.support.shop import OLGA, Shop, open_shop


def _page(shop: Shop, path: str, language: str = "zh-CN,zh;q=0.9") -> requests.Response:
    return requests.get(shop.url + path, headers={"Accept-Language": language}, timeout=10)


def _traces(shop: Shop) -> tuple[int, int]:
    with shop.container.db.read() as session:
        return len(session.scalars(select(Scan.id)).all()), len(session.scalars(select(Person.id)).all())


def test_a_genuine_code_is_called_genuine_in_both_languages(shop: Shop) -> None:
    code = shop.code()
    chinese, english = _page(shop, f"/q/{code}"), _page(shop, f"/q/{code}", "en-GB,en;q=0.8")

    assert chinese.status_code == english.status_code == 200
    assert chinese.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "正品：这是我们发出的码。" in chinese.text
    assert "此前没有人扫过该码。" in chinese.text
    assert '<html lang="zh-CN">' in chinese.text
    assert "Genuine: we issued this code." in english.text
    assert '<html lang="en">' in english.text
    assert english.headers["Content-Language"] == "en"
    # The product's name holds angle brackets: they are text here.
    assert "Green tea &lt;330ml&gt;" in english.text
    for page in (chinese.text, english.text):
        assert "<script" not in page
        assert "<form" not in page
    assert "Set-Cookie" not in english.headers
    assert _traces(shop) == (0, 0)


def test_the_page_tells_when_a_code_was_first_scanned_and_that_it_was_used(shop: Shop) -> None:
    code = shop.code()
    winner = shop.shopper().member()
    winner.scan(code)
    assert "First scanned on" in _page(shop, f"/q/{code}", "en").text
    winner.win(code)
    before = _traces(shop)

    page = _page(shop, f"/q/{code}", "en").text
    assert "Somebody else has used this code" in page
    assert "(2 times in all)" in page
    assert _traces(shop) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "This is not one of our codes."),
        ("%3Cscript%3Ealert(1)", "This is not one of our codes."),
        ("x" * 500, "This is not one of our codes."),
        ("%00%ff", "This is not one of our codes."),
    ],
)
def test_what_is_not_ours_is_called_so(shop: Shop, text: str, words: str) -> None:
    page = _page(shop, f"/q/{text}", "en")

    assert page.status_code == 200
    assert "Take care: not confirmed as genuine" in page.text
    assert words in page.text
    assert "<script" not in page.text
    assert "Open WeChat" not in page.text


def test_a_code_that_nobody_issued_is_told_from_one_that_was_misread(shop: Shop) -> None:
    pages = {letter: _page(shop, f"/q/N9P4JWSJFGD7A6P{letter}", "en").text for letter in ALPHABET}
    said = {letter: "We did not issue this code." in page for letter, page in pages.items()}

    # Of all check letters one fits.
    assert sum(said.values()) == 1
    for letter, page in pages.items():
        assert said[letter] or "The code was not read correctly." in page
        assert "Take care: not confirmed as genuine" in page


def test_a_frozen_code_tells_nothing_more(shop: Shop) -> None:
    code = shop.code(3)
    shop.shopper().member().scan(code)
    now = shop.container.clock.now()
    shop.container.db.transact(
        lambda session: codes.freeze(
            session, batch_id=shop.ids["batch"], reason="stolen", actor=OLGA, now=now
        )
    )

    page = _page(shop, f"/q/{code}", "en").text
    assert "This batch is being checked" in page
    assert "First scanned" not in page


def test_a_placement_points_to_wechat_open_or_closed(shop: Shop) -> None:
    now = shop.container.clock.now()
    placement = shop.container.db.transact(
        lambda session: create_placement(session, kind=PlacementKind.TILL, label="Till 3", now=now)
    )
    page = _page(shop, f"/p/{placement.key}", "en")
    assert (page.status_code, "Open WeChat" in page.text) == (200, True)
    assert "Till 3" not in page.text
    shop.container.db.transact(lambda session: close_placement(session, placement_id=placement.id, now=now))
    assert _page(shop, f"/p/{placement.key}", "en").status_code == 200


def test_a_member_joins_through_a_placement(shop: Shop) -> None:
    now = shop.container.clock.now()
    placement = shop.container.db.transact(
        lambda session: create_placement(session, kind=PlacementKind.TILL, label="Till 3", now=now)
    )
    shopper = shop.shopper()
    shopper.login()

    assert shopper.join(placement=placement.key)["member"]["member_no"]


def test_the_demo_has_a_start_page_and_a_sheet_of_codes(embedded_shop: Shop) -> None:
    start = _page(embedded_shop, "/", "en").text
    for link in ("/sheet", "/miniprogram/docs", "/miniprogram/openapi.json", ":8001/phone"):
        assert f'{link}"' in start
    listed: list[dict[str, Any]] = _page(embedded_shop, "/sheet.json").json()["codes"]
    sheet = _page(embedded_shop, "/sheet").text

    assert len(listed) == sheet.count("<img ") == 12
    assert [entry["index"] for entry in listed] == [*range(6), *range(5000, 5006)]
    shopper = embedded_shop.shopper().member()
    for entry in (listed[0], listed[-1]):
        assert entry["url"] == f"https://m.example.com/q/{entry['code']}"
        assert entry["code"] in sheet
        assert shopper.scan(entry["code"])["scan"]["outcome"] == "ok"


def test_a_production_installation_shows_no_codes(shop: Shop) -> None:
    assert _page(shop, "/sheet").status_code == 404
    assert _page(shop, "/sheet.json").status_code == 404
    start = _page(shop, "/").text
    assert "/phone" not in start
    assert "/miniprogram/docs" in start


@pytest.fixture
def verified_shop(
    platform: tuple[SandboxProcess, MerchantAccount], clean_db: Database, mariadb_url: str, tmp_path: Path
) -> Iterator[Shop]:
    """An installation whose link prefix the platform's console verifies by a file."""
    with open_shop(
        mariadb_url, tmp_path, *platform, SAOMA_VERIFICATION_FILE="Abc_123.txt=0123456789abcdef"
    ) as found:
        yield found


def test_the_platform_finds_its_file_below_the_link_prefix(verified_shop: Shop) -> None:
    page = _page(verified_shop, "/q/Abc_123.txt")

    assert (page.status_code, page.text) == (200, "0123456789abcdef")
    assert page.headers["Content-Type"].startswith("text/plain")


def test_the_documentation_shows_every_operation(shop: Shop) -> None:
    document = _page(shop, "/miniprogram/openapi.json").json()
    page = _page(shop, "/miniprogram/docs").text

    operations = [
        operation
        for methods in document["paths"].values()
        for method, operation in methods.items()
        if method != "parameters"
    ]
    assert len(operations) == 27
    for operation in operations:
        assert f'id="{operation["operationId"]}"' in page
    for name in document["components"]["schemas"]:
        assert f'id="shape-{name}"' in page
    assert "<script" not in page


def test_every_address_of_the_api_is_documented_and_every_route_says_who_may_call_it(shop: Shop) -> None:
    document = _page(shop, "/miniprogram/openapi.json").json()
    documented = {
        (path, method.upper())
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    routes = set()
    for route in shop.app.url_map.iter_rules():
        rule = rule_of(shop.app.view_functions[route.endpoint])
        assert rule is not None, route
        if route.rule.startswith("/miniprogram/v1/") and "callbacks" not in route.rule:
            path = route.rule.replace("<", "{").replace(">", "}")
            routes |= {(path, method) for method in (route.methods or set()) - {"HEAD", "OPTIONS"}}
        if rule.public is None:
            for method in (route.methods or set()) - {"HEAD", "OPTIONS"}:
                url = shop.url + route.rule.replace("<", "").replace(">", "")
                assert requests.request(method, url, timeout=10).status_code == 401, route
        else:
            assert len(rule.public) > 10
    assert routes == documented
