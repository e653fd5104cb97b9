"""An operator makes up for a mistake: proposed, approved by somebody else, collected by the shopper."""

import json
from pathlib import Path

import pytest

from tests.support.operators import approval, second, shop_shell
from tests.support.shop import Shop


def test_a_compensation_is_approved_seen_and_collected(
    embedded_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = embedded_shop
    run = shop_shell(shop, tmp_path, monkeypatch)
    as_peter = second(run, tmp_path, monkeypatch)
    shopper = shop.shopper().member()
    person = shopper.ok("GET", "/me")["person"]["id"]
    giving = ("awards", "grant", "tea/scan", person, "--yuan", "5", "--reference", "CASE-1")
    asked = approval(run(*giving, "--reason", "parcel of 13800138000 lost").output)
    assert shopper.ok("GET", "/awards")["items"] == []
    assert "[second_account_needed]" in run(*asked, ok=False).stderr
    as_peter(*asked)
    assert "[state_refused]" in as_peter(*asked, ok=False).stderr
    (award,) = shopper.ok("GET", "/awards")["items"]
    assert (award["amount_fen"], award["draw"], award["name_en"]) == (500, None, "Compensation")
    shopper.confirm(shopper.collect(award).json()["transfer"])
    shopper.wait_for(award, "fulfilled")
    assert shopper.balance_fen() == 500
    assert shop.faults_of_the_books() == []

    again = run(*giving, "--reason", "again", ok=False)
    assert "[granted_already]" in again.stderr
    (row,) = json.loads(run("awards", "granted", "tea/scan", "--json").stdout)
    assert (row["by"], row["state"], row["person"]) == ("olga, peter", "fulfilled", person)
    trail = json.loads(run("audit", "list", "--json").stdout)
    acts = {entry["act"]: entry for entry in trail}
    assert (acts["award.proposed"]["by"], acts["award.granted"]["by"]) == ("olga", "peter")
    assert "13800138000" not in json.dumps(trail)


def test_points_and_faults(embedded_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = embedded_shop
    run = shop_shell(shop, tmp_path, monkeypatch)
    as_peter = second(run, tmp_path, monkeypatch)
    shopper = shop.shopper().member()
    person = shopper.ok("GET", "/me")["person"]["id"]
    giving = ("awards", "grant", "tea/scan", person, "--reference", "CASE-1", "--reason", "sorry")
    assert "[invalid_grant]" in run(*giving, ok=False).stderr
    assert "such as" in run(*giving, "--yuan", "x", ok=False).stderr
    as_peter(*approval(run(*giving, "--points", "30").output))
    assert shopper.ok("GET", "/points") == {"points": 30}
