"""From a printed code to money in WeChat, over HTTP."""

import pytest

from tests.support.shop import Shop


@pytest.fixture(params=["shop", "embedded_shop"], ids=["mariadb", "sqlite"])
def any_shop(request: pytest.FixtureRequest) -> Shop:
    """The installation on each database that one code runs on."""
    found: Shop = request.getfixturevalue(request.param)
    return found


def test_a_shopper_scans_joins_draws_collects_and_has_the_money_twice(any_shop: Shop) -> None:
    shopper = any_shop.shopper()

    login = shopper.login()
    assert login["person"] | {"id": ""} == {"id": "", "member": False, "virtual": False}
    first = shopper.scan()
    assert (first["scan"]["outcome"], first["next"]) == ("ok", "consent")
    assert (first["scan"]["earlier_scans"], first["scan"]["first_scanned_by_me"]) == (0, True)
    assert first["product"]["name_zh"] == "绿茶 <330ml>"
    assert first["campaign"]["name_en"] == "June: scan and win"
    joined = shopper.join(scan=first["scan"]["id"])
    assert len(joined["member"]["member_no"]) == 12
    assert shopper.give_phone().json() == {"phone_masked": "+86 139****0001"}

    for number in (1, 2):
        scan = first if number == 1 else shopper.scan()
        played = shopper.draw(scan)
        assert played["draw"]["prize"] | {"name_zh": "", "name_en": ""} == {
            "kind": "money",
            "name_zh": "",
            "name_en": "",
            "amount_fen": 100,
            "points": 0,
        }
        award = played["award"]
        assert award["state"] == "collectible"
        collected = shopper.collect(award)
        assert collected.status_code == 200
        assert collected.json()["award"]["state"] == "locked"
        shopper.confirm(collected.json()["transfer"])
        assert shopper.wait_for(award, "fulfilled")["amount_fen"] == 100
        assert shopper.balance_fen() == 100 * number

    second_look = shopper.ok("POST", "/scans", {"code": any_shop.code(1)})
    assert (second_look["scan"]["outcome"], second_look["next"]) == ("drawn_by_me", "result")
    assert second_look["draw"]["id"] == played["draw"]["id"]
    assert second_look["award"]["state"] == "fulfilled"
    me = shopper.ok("GET", "/me")
    assert (me["person"]["member"], me["phone_masked"], me["points"]) == (True, "+86 139****0001", 0)
    assert len(shopper.ok("GET", "/awards")["items"]) == 2
    assert any_shop.faults_of_the_books() == []
